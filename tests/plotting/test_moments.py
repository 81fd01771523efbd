"""Figures of fields beside rates and loadings: what is drawn is what came."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.lines import Line2D

from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError

TIMES = np.arange(20) / 10
SIZE = 30
ON, OFF = "cell 1", "cell 2"


def world(component=True):
    """Fields of an ON and an OFF cell at four times, small in a large frame; rates; loadings."""
    random = np.random.default_rng(0)
    some, cells = TIMES[[2, 7, 11, 16]], {"cell": [ON, OFF]}
    spatial = np.zeros((4, 2, SIZE, SIZE))
    spatial[:, 0, 8:11, 20:23], spatial[:, 1, 15:17, 4:6] = 2.0, -3.0
    course = np.broadcast_to([0.0, -0.6, 0.8], (4, 2, 3))
    coords = {"time": some, **cells, "lag": [-0.02, -0.01, 0.0]}
    parts = {
        "temporal": (("time", "cell", "component", "lag"), course[:, :, None]),
        "spatial": (("time", "cell", "component", "y", "x"), spatial[:, :, None]),
    }
    fields = xr.Dataset(parts, coords)
    if not component:
        irf = (fields.temporal * fields.spatial).sum("component")
        fields = irf.to_dataset(name="irf")
    rates = xr.DataArray(random.random((20, 2)), {"time": TIMES, **cells}, ("time", "cell"))
    rates = rates * [1.0, 5.0]
    loadings = xr.DataArray(random.random((20, 3)), {"time": TIMES}, ("time", "mode"))
    return fields, rates, loadings


def maps(figure):
    """Images of fields; the first image is that of the loadings."""
    return [ax.images[0] for ax in figure.axes if ax.images][1:]


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


@pytest.mark.parametrize("component", [True, False])
def test_every_moment_has_its_map_its_time_and_its_polarity(component) -> None:
    figure = plotting.plot_moments(*world(component), cell=OFF, times=[0.7, 1.6])
    figure.draw_without_rendering()
    assert titles(figure) == ["0.70 s OFF", "1.60 s OFF"]
    assert any(ax.get_ylabel() == f"field of\n{OFF}" for ax in figure.axes)
    on = plotting.plot_moments(*world(component), cell=ON, times=[0.7])
    assert titles(on) == ["0.70 s ON"]
    assert figure.axes[0].get_title(loc="left").startswith(OFF)


def test_maps_show_the_part_of_the_frame_that_has_the_field() -> None:
    figure = plotting.plot_moments(*world(), cell=OFF, times=[0.2, 0.7])
    for image in maps(figure):
        shown = np.asarray(image.get_array())
        assert shown.shape == (6, 6)
        assert (shown == -3).sum() == 4
        assert image.get_extent() == [1.5, 7.5, 18.5, 12.5]


def test_the_strongest_moments_with_a_field_are_chosen_in_order_of_time() -> None:
    fields, rates, loadings = world()
    rates.loc[{"cell": OFF}] = 0.1
    rates.loc[{"cell": OFF, "time": TIMES[[2, 3, 16]]}] = [4.0, 9.0, 7.0]
    figure = plotting.plot_moments(fields, rates, loadings, cell=OFF)
    assert [t.split(" ")[0] for t in titles(figure)] == ["0.20", "0.70", "1.10", "1.60"]
    lines = [x.get_xdata()[0] for x in figure.axes[0].lines if isinstance(x, Line2D)][1:]
    np.testing.assert_allclose(lines, TIMES[[2, 7, 11, 16]])
    part = plotting.plot_moments(fields, rates, loadings, cell=OFF, time=slice(0.5, 1.2))
    assert [t.split(" ")[0] for t in titles(part)] == ["0.70", "1.10"]


def test_the_liveliest_cell_with_fields_is_drawn_where_none_is_named() -> None:
    fields, rates, loadings = world()
    figure = plotting.plot_moments(fields, rates, loadings)
    assert figure.axes[0].get_title(loc="left").startswith(OFF)
    only = plotting.plot_moments(fields.sel(cell=[ON]), rates, loadings)
    assert only.axes[0].get_title(loc="left").startswith(ON)


def test_cells_may_be_named_by_number() -> None:
    fields, rates, loadings = (x.copy() for x in world())
    fields, rates = (x.assign_coords(cell=[10, 20]) for x in (fields, rates))
    figure = plotting.plot_moments(fields, rates, loadings, cell="20", times=[0.2])
    assert titles(figure) == ["0.20 s OFF"]


def test_what_is_not_there_is_named() -> None:
    fields, rates, loadings = world()
    with pytest.raises(UnknownNameError, match="'cell 9'"):
        plotting.plot_moments(fields, rates, loadings, cell="cell 9")
    with pytest.raises(InputError, match=r"no field at \[0.3\]"):
        plotting.plot_moments(fields, rates, loadings, times=[0.2, 0.3])
    with pytest.raises(InputError, match="times is empty"):
        plotting.plot_moments(fields, rates, loadings, times=[])
    with pytest.raises(InputError, match="no field between"):
        plotting.plot_moments(fields, rates, loadings, time=slice(0.3, 0.6))
    other = rates.assign_coords(time=TIMES + 0.01)
    with pytest.raises(InputError, match="no field between"):
        plotting.plot_moments(fields, other, loadings)


def test_a_field_of_zeros_has_no_polarity() -> None:
    fields, rates, loadings = world()
    fields["spatial"] = 0 * fields.spatial
    figure = plotting.plot_moments(fields, rates, loadings, cell=ON, times=[0.2])
    figure.draw_without_rendering()
    assert titles(figure) == ["0.20 s"]
    assert maps(figure)[0].get_array().shape == (SIZE, SIZE)
