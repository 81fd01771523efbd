"""Figures of receptive fields."""

import io

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.plotting import plot_field, plot_fields
from neurocodec.plotting.fields import cropped, draw_course, draw_map
from neurocodec.plotting.style import new_axes

LAG = np.arange(-9, 1) / 100
Y, X = np.mgrid[:20, :24]


def fields(cells=2, times=3) -> xr.Dataset:
    rng = np.random.default_rng(0)
    shape = (times, cells, 1)
    course = rng.normal(size=(*shape, 10))
    image = rng.normal(size=(*shape, 1, 1)) * np.exp(-((Y - 8) ** 2 + (X - 12) ** 2) / 6)
    return xr.Dataset(
        {
            "temporal": (("time", "cell", "component", "lag"), course),
            "spatial": (
                ("time", "cell", "component", "y", "x"),
                image,
                {"units": "Hz per unit of stimulus"},
            ),
            "energy_share": (("time", "cell", "component"), np.full(shape, 0.73)),
        },
        {
            "time": np.arange(times) / 10,
            "cell": [f"cell {i}" for i in range(cells)],
            "lag": ("lag", LAG, {"units": "s"}),
            "component": [0],
        },
    )


def drawn(figure) -> None:
    figure.savefig(io.BytesIO())


def test_one_field_is_a_map_and_a_time_course() -> None:
    one = fields().isel(time=1, cell=0)
    figure = plot_field(one)
    drawn(figure)
    left, right = figure.axes[:2]
    np.testing.assert_array_equal(left.images[0].get_array(), one.spatial[0])
    np.testing.assert_array_equal(right.lines[1].get_ydata(), one.temporal[0])
    assert left.get_title(loc="left") == "cell 0, 0.10 s"
    assert right.get_title(loc="left") == "time course, 73 % of the energy"
    assert right.get_xlabel() == "lag (s)"
    low, high = left.images[0].get_clim()
    assert low == -high  # white is zero


def test_a_whole_field_is_drawn_by_its_first_component() -> None:
    field = xr.DataArray(
        np.multiply.outer(LAG, np.exp(-((Y - 8) ** 2) / 6)), {"lag": LAG}, ("lag", "y", "x")
    )
    drawn(plot_field(field, title="mine"))
    drawn(plot_field(xr.Dataset({"sta": field})))


def test_several_fields_are_no_field() -> None:
    with pytest.raises(InputError, match="one field"):
        plot_field(fields())


def test_the_grid_has_cells_down_and_times_across() -> None:
    figure = plot_fields(fields(cells=2, times=3), title="fields")
    drawn(figure)
    assert len(figure.axes) == 2 * 2 * 3
    assert [ax.get_title() for ax in figure.axes[:3]] == ["0.00 s", "0.10 s", "0.20 s"]
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["cell 0", "cell 1"]
    turned = plot_fields(fields(cells=2, times=3), rows="time", columns="cell")
    assert turned.axes[0].get_title() == "cell 0"
    one = fields().isel(time=0)
    assert len(plot_fields(one).axes) == 4
    assert len(plot_fields(one.isel(cell=0)).axes) == 2


def test_maps_are_cropped_to_where_they_are() -> None:
    whole = plot_fields(fields(), crop=False).axes[0].images[0]
    cut = plot_fields(fields()).axes[0].images[0]
    assert whole.get_array().shape == (20, 24)
    assert cut.get_array().shape[0] < 16
    left, right, bottom, top = cut.get_extent()
    assert left < 12 < right
    assert top < 8 < bottom


def test_one_scale_for_all_maps() -> None:
    figure = plot_fields(fields(), shared=True)
    limits = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert len(limits) == 1
    assert len({ax.images[0].get_clim() for ax in plot_fields(fields()).axes if ax.images}) == 6


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(InputError, match="at most 100"):
        plot_fields(fields(cells=11, times=10))
    with pytest.raises(InputError, match="at most two dims"):
        plot_fields(fields().expand_dims(channel=2))


def test_fields_of_nothing_are_drawn() -> None:
    drawn(plot_fields(fields() * 0))


def test_plots_are_public() -> None:
    assert nc.plotting.plot_fields is plot_fields


def test_a_network_without_a_past_has_a_dot_for_a_time_course() -> None:
    now = xr.DataArray(np.ones((2, 1, 3, 5)), dims=("cell", "lag", "y", "x"))
    drawn(plot_fields(now))
    figure = plot_field(now[0])
    drawn(figure)
    assert figure.axes[1].lines[-1].get_marker() == "o"


def test_a_map_is_drawn_with_white_at_zero() -> None:
    image = xr.DataArray(np.ones((2, 3)), dims=("y", "x"))
    drawn_map = draw_map(new_axes(None, 2.0), image, 1.0)
    assert drawn_map.get_clim() == (-1.0, 1.0)
    assert drawn_map.get_extent() == [-0.5, 2.5, 1.5, -0.5]


def test_a_course_has_a_line_at_zero() -> None:
    ax = new_axes(None, 2.0)
    draw_course(ax, xr.DataArray([0.0, 1.0], dims="lag"))
    assert len(ax.lines) == 2


def test_two_pixels_are_left_around_a_map() -> None:
    image = xr.DataArray(np.eye(1, 81, 40).reshape(9, 9), dims=("y", "x"))
    assert cropped(image).y.values.tolist() == [2, 3, 4, 5, 6]


def test_the_centre_is_outlined_and_measured_where_pixels_have_units():
    image = np.zeros((3, 9, 8))  # lag, y, x
    image[1, 2:5, 3:5], image[1, 7, 7], image[1, 3, 5] = -2.0, -1.5, -0.9
    where = {d: (d, 30.0 * np.arange(n), {"units": "um"}) for d, n in (("y", 9), ("x", 8))}
    field = xr.DataArray(image, {"lag": [-0.2, -0.1, 0.0], **where}, ("lag", "y", "x"))
    ax = plot_field(field).axes[0]
    across = 2 * np.sqrt(6 * 30 * 30 / np.pi)  # six pixels together; the seventh is apart
    assert f"half of the peak, {across:.3g} um across" in ax.get_xlabel()
    (outline,) = [c for c in ax.collections if hasattr(c, "levels")]
    points = np.concatenate([path.vertices for path in outline.get_paths()])
    np.testing.assert_allclose(points.min(0), [75, 45])  # between pixels that are in and out
    np.testing.assert_allclose(points.max(0), [135, 135])
    plain = plot_field(field.drop_vars(["y", "x"])).axes[0]
    assert not [c for c in plain.collections if hasattr(c, "levels")]
    assert plain.get_xlabel() == "x (pixel)"
