"""Figures of stability and sweeps: what is drawn where."""

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from neurocodec import labels, plotting
from neurocodec.errors import InputError
from neurocodec.plotting import style


def stability(fits=3, kinds=("seed", "seed", "bootstrap")):
    """A result with numbers made up for the figure."""
    cosine = np.linspace(0.7, 0.99, fits * 4).reshape(fits, 4)
    found = xr.Dataset(
        {
            "dictionary": (("mode", "channel"), np.eye(4)[:, :3]),
            "matched_cosine": (("fit", "mode"), cosine),
            "stability": ("mode", np.median(cosine, axis=0)),
            "chance": ("mode", [0.5, 0.6, 0.95, 0.7]),
            "above_chance": ("mode", [False, False, False, True]),
        },
        {"kind": ("fit", list(kinds)), "mode": np.arange(4)},
    )
    return labels.stamp(found, "nc.mode_stability", cosine=0.85)


def sweep(**settings):
    """A sweep with made-up numbers: R2 counts the points, L0 is ten times as much."""
    sizes = [len(values) for values in settings.values()]
    points = np.arange(np.prod(sizes), dtype=float).reshape(sizes)
    r2 = points[..., None] + np.array([-0.25, 0.25])
    dims = (*settings, "seed")
    return xr.Dataset(
        {
            "r2": (dims, r2),
            "l0": (dims, 10 * r2),
            "alive": (dims, np.full(r2.shape, 0.5)),
            "replicated_share": (tuple(settings), points / points.size),
        },
        {**settings, "seed": [0, 1]},
    )


def drawn(figure):
    """Lay out and draw, so that positions are final and a broken label raises or warns."""
    figure.draw_without_rendering()
    return figure


def large_points(ax):
    return {
        (round(float(line.get_xdata()[0]), 6), round(float(line.get_ydata()[0]), 6)): line
        for line in ax.lines
        if line.get_markersize() == 7
    }


def test_modes_are_rows_from_the_most_stable_down():
    result = stability()
    left, right = drawn(plotting.plot_stability(result)).axes
    np.testing.assert_allclose(left.images[0].get_array(), result.dictionary[::-1])
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], result.chance[::-1])
    medians = right.collections[-1]
    np.testing.assert_allclose(medians.get_offsets()[:, 0], result.stability[::-1])
    np.testing.assert_allclose(medians.get_offsets()[:, 1], range(4))
    assert right.get_title(loc="left") == (
        "2 of 4 modes stable (cosine >= 0.85), 1 also above chance"
    )
    assert "each mode / its largest" in left.get_xlabel()
    legend = {text.get_text() for text in left.figure.legends[0].get_texts()}
    assert {"chance: closest mode of shuffled rows", "not both"} < legend
    assert right.lines[0].get_xdata()[0] == 0.85
    low, high = right.get_xlim()
    assert low < 0.5  # the lowest chance
    assert high > 1.0


def test_modes_above_chance_are_coloured():
    _, right = drawn(plotting.plot_stability(stability())).axes
    colors = right.collections[0].get_facecolors()
    assert len(colors) == 4
    np.testing.assert_allclose(colors[0, :3], to_rgba(style.CATEGORIES[0])[:3])
    assert not np.allclose(colors[1], colors[0])


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        ({"threshold": [0.8, 0.9]}, 1),
        ({"expansion": [3, 10], "l1_loading": [0.1, 0.2, 0.4]}, 1),
        ({"hidden": ["None", "64"], "threshold": [0.8, 0.9]}, 1),
        ({"expansion": [3, 10], "threshold": [0.7, 0.8, 0.9], "l1_loading": [0.1, 0.2]}, 3),
        ({"batch_size": [64, 128], "epochs": [1, 2], "hidden": ["None", "64"]}, 2),
        ({"expansion": [3], "threshold": [0.7, 0.8], "epochs": [5], "l1_loading": [0.1]}, 1),
    ],
)
def test_every_point_is_drawn_once(settings, columns):
    result = sweep(**settings)
    figure = drawn(plotting.plot_sweep(result))
    panels = np.reshape(figure.axes, (3, columns))
    points = [large_points(ax) for ax in panels[0]]
    assert sum(map(len, points)) == result.replicated_share.size
    expected = {(round(10 * p, 6), round(p, 6)) for p in result.r2.mean("seed").values.ravel()}
    assert set(itertools.chain(*points)) == expected
    shares = {y for ax in panels[1] for _, y in large_points(ax)}
    assert shares == {round(float(s), 6) for s in result.replicated_share.values.ravel()}


def test_colour_is_the_penalty_marker_the_expansion_column_the_threshold():
    settings = {"expansion": [3, 10], "threshold": [0.8, 0.9], "l1_loading": [0.4, 0.1]}
    result = sweep(**settings)
    figure = drawn(plotting.plot_sweep(result))
    titles = [ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles == ["threshold 0.8", "threshold 0.9"]
    colors, markers = ([t.get_text() for t in legend.get_texts()] for legend in figure.legends)
    assert colors == ["0.4", "0.1"]
    assert markers == ["3", "10"]
    points = large_points(figure.axes[0])

    def look(expansion, l1_loading):
        here = result.sel(expansion=expansion, threshold=0.8, l1_loading=l1_loading)
        line = points[(round(float(here.l0.mean()), 6), round(float(here.r2.mean()), 6))]
        return line.get_color(), line.get_marker()

    assert look(3, 0.4)[0] == look(10, 0.4)[0] != look(3, 0.1)[0]
    assert look(3, 0.4)[1] == look(3, 0.1)[1] != look(10, 0.1)[1]
    shown = [h.get_color() for h in figure.legends[0].legend_handles]
    assert shown == [look(3, 0.4)[0], look(3, 0.1)[0]]


def test_unfinished_points_are_left_out():
    result = sweep(expansion=[3, 10], l1_loading=[0.1, 0.2])
    for name in result.data_vars:
        result[name][1, 1] = np.nan
    drawn(plotting.plot_sweep(result))


def test_bad_input_is_named():
    with pytest.raises(InputError, match="a result of nc.mode_stability"):
        plotting.plot_stability(sweep(expansion=[1, 2]))
    with pytest.raises(InputError, match="a result of nc.sweep"):
        plotting.plot_sweep(stability())
    four = {name: [1, 2] for name in ("expansion", "epochs", "batch_size", "hidden")}
    with pytest.raises(InputError, match="at most three"):
        plotting.plot_sweep(sweep(**four))


def test_figures_can_be_drawn_into_one_that_exists():
    assert plotting.plot_stability(stability(), figure=(mine := Figure())) is mine
    assert plotting.plot_sweep(sweep(expansion=[1, 2]), figure=(mine := Figure())) is mine
