import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.plotting.tension import tension_colors


def found(n=6) -> xr.Dataset:
    rng = np.random.default_rng(0)
    plus, minus = rng.random((2, n, 2))
    dims = ("stimulus", "feature")
    data = {"excitation": plus, "inhibition": minus, "target": plus - minus}
    return xr.Dataset({k: (dims, x) for k, x in data.items()}, {"feature": [3, 7]})


def test_rings_are_where_the_ranked_stimuli_are():
    rows = found()
    ranked = nc.rank_stimuli(rows, "tension", count=2)
    ax = nc.plot.tension(rows, 7, ranked={"tension": ranked}).axes[0]
    dots, rings = ax.collections
    one = rows.sel(feature=7)
    np.testing.assert_allclose(dots.get_offsets().T, [one.excitation, one.inhibition])
    np.testing.assert_allclose(dots.get_array(), one.target)
    best = one.isel(stimulus=ranked.sel(feature=7).values)
    np.testing.assert_allclose(rings.get_offsets().T, [best.excitation, best.inhibition])
    for line in ax.lines:
        x, y = line.get_data()
        assert np.ptp(x - y) == pytest.approx(0)


def test_the_dark_line_is_where_a_target_of_0_is_though_it_has_a_constant():
    plus, minus = np.array([5.0, 6.0, 7.0]), np.array([2.0, 3.5, 3.0])
    rows = {"excitation": plus, "inhibition": minus, "target": plus - minus - 3}
    ax = nc.plot.tension(xr.Dataset({k: ("stimulus", x) for k, x in rows.items()})).axes[0]
    levels = [float(np.subtract(*line.get_data())[0]) for line in ax.lines]
    np.testing.assert_allclose(levels, np.linspace(2, 4, 7))
    (dark,) = {line.get_color() for line in ax.lines[3:4]}
    assert dark not in {line.get_color() for i, line in enumerate(ax.lines) if i != 3}


def test_colours_are_red_blue_green_and_black():
    plus, minus = np.array([1.0, 0.0, 2.0, 0.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 0.5])
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0.25, 0.5, 0.25]]
    np.testing.assert_allclose(tension_colors(plus, minus, 1.0), expected)


def test_maps_stand_below_their_images():
    rng = np.random.default_rng(1)
    maps = xr.DataArray(rng.random((2, 3, 4, 4)), dims=("ranking", "stimulus", "y", "x"))
    pictures = xr.DataArray(
        rng.random((2, 3, 8, 8, 3)), dims=("ranking", "stimulus", "y", "x", "color")
    )
    rows = xr.Dataset({"excitation_map": maps, "inhibition_map": 0 * maps})
    axes = nc.plot.tension_maps(rows, pictures, rows=["a", "b"]).axes
    drawn = [ax.images[0].get_array() for ax in axes if ax.images]
    np.testing.assert_allclose(drawn[1], pictures[0, 1])
    limit = np.quantile(maps, 0.99)
    np.testing.assert_allclose(drawn[4][..., 0], np.minimum(maps[0, 0] / limit, 1))
    assert [ax.get_ylabel() for ax in axes if ax.get_ylabel()][:2] == ["a", "E-"]


def test_curves_have_a_line_for_each_method_and_bands_of_chance():
    values = {"pearson": (("layer", "feature"), [[0.2, 0.4], [0.9, 0.8]])}
    rows = xr.Dataset(values, {"layer": ["a", "b"]})
    ax = nc.plot.attribution_correlation({"x": rows, "y": rows + 0.1}).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.3, 0.85])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    ranked = xr.DataArray([[0, 1], [1, 2]], dims=("feature", "rank"))
    told = nc.statistics.uniqueness(ranked, stimuli=4)
    ax = nc.plot.uniqueness({"tension": told, "other": told}).axes[0]
    assert float(ax.lines[0].get_ydata()[0]) == 0.75


def test_toys_are_scaled_by_column():
    ax = nc.plot.toys(nc.superposition.reference("xor")).axes[0]
    colors = ax.images[0].get_array()
    np.testing.assert_allclose(colors[0, 0], [0.5, 0, 0])  # half of what (1, 1) has, red
    np.testing.assert_allclose(colors[1, 0], [0, 1, 0])  # excited and inhibited alike


@pytest.mark.parametrize("losses", [(0.011, 0.013), (0.012, 0.04), (2e-3, 9e-3), (1e-9, 1e-2)])
def test_the_axis_of_losses_has_numbers(losses):
    trained = nc.superposition.train("absolute", hidden=3, seeds=2, steps=1, progress=False)
    trained["expected_loss"] = trained["expected_loss"].copy(data=[losses])
    figure = nc.plot.toys(trained)
    figure.draw_without_rendering()
    ax = figure.axes[1]
    low, high = ax.get_xlim()
    told = [t for t in ax.get_xticklabels() if t.get_text() and low <= t.get_position()[0] <= high]
    assert 1 <= len(told) <= 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nc.plot.tension(found(), 4), "feature 4"),
        (lambda: nc.plot.tension(xr.Dataset()), "without 'excitation'"),
        (
            lambda: nc.plot.tension_maps(
                found().rename(excitation="excitation_map", inhibition="inhibition_map"), found()
            ),
            "of one feature",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("wrong", [2.0, -0.5, np.nan])
def test_pictures_as_a_network_takes_them_are_refused_not_clipped(wrong):
    maps = xr.DataArray(np.ones((1, 1, 2, 2)), dims=("ranking", "stimulus", "y", "x"))
    maps = maps.assign_coords(x=[0, 1])
    rows = xr.Dataset({"excitation_map": maps, "inhibition_map": maps})
    pictures = maps / 2
    nc.plot.tension_maps(rows, pictures + 0.5 + 5e-4)
    with pytest.raises(InputError, match="from 0 .black. to 1"):
        nc.plot.tension_maps(rows, xr.where(pictures.x > 0, pictures, wrong))
