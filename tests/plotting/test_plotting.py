"""Figures: what is drawn where, in which colours, with which labels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from small_retina import CELLS, TYPES, small_analysis

from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.plotting import style


def drawn(figure):
    """Lay out and draw, so that positions are final and a broken label raises or warns."""
    figure.draw_without_rendering()
    return figure


def images(figure):
    return [image for ax in figure.axes for image in ax.images]


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_frames_are_where_they_are_in_time():
    movie = small_analysis().stimulus
    ax = plotting.plot_stimulus(movie, [0.5, 1.5, 2.5])
    drawn(ax.figure)
    centers = [np.mean(image.get_extent()[:2]) for image in ax.images]
    np.testing.assert_allclose(centers, [0.5, 1.5, 2.5])
    np.testing.assert_array_equal(ax.images[1].get_array(), movie.sel(time=1.5))
    assert ax.get_xlim() == pytest.approx((-0.005, 2.995))
    assert ax.get_xlabel() == "time (s)"
    assert len({image.get_clim() for image in ax.images}) == 1
    box = ax.images[0].get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)  # pixels stay square


def test_responses_are_sorted_by_type_and_lie_on_one_time_axis():
    found = small_analysis()
    figure = drawn(plotting.plot_responses(found.rates, found.recorded, note=" (simulated)"))
    heat = figure.axes[0]
    order = [CELLS[0], CELLS[2], CELLS[1], CELLS[3]]
    assert [t.get_text() for t in heat.get_yticklabels()] == order
    np.testing.assert_array_equal(heat.images[0].get_array(), found.rates.sel(cell=order).values.T)
    times = found.rates.time.values
    assert heat.images[0].get_extent()[:2] == pytest.approx([times[0] - 0.005, times[-1] + 0.005])
    assert titles(figure)[0] == "firing rates of the model's cells (simulated)"
    traces = [ax for ax in figure.axes if ax.get_ylabel() == "rate (Hz)"]
    assert len(traces) == 2  # the liveliest ON cell, the liveliest OFF cell
    assert {ax.get_xlim() for ax in traces} == {heat.get_xlim()}
    assert [t.get_text() for t in traces[0].get_legend().get_texts()] == [
        "simulated retina",
        "model",
    ]
    cell = traces[0].get_title(loc="left").split(",")[0]
    np.testing.assert_array_equal(traces[0].lines[0].get_ydata(), found.rates.sel(cell=cell))


def test_types_are_named_beside_the_cells():
    figure = drawn(plotting.plot_responses(small_analysis().rates))
    strip = next(ax for ax in figure.axes[0].child_axes if ax.images)
    assert [t.get_text() for t in strip.texts] == ["ON", "OFF"]
    colors = np.asarray(strip.images[0].get_array())[:, 0]
    assert (colors[0] == colors[1]).all()
    assert (colors[0] != colors[2]).any()


def test_contributions_are_signed_and_centred_at_zero():
    found = small_analysis()
    parts = found.tree["layer1/contribution"]
    figure = drawn(
        plotting.plot_contributions(
            parts, found.tree["target"], found.rates, cell=CELLS[1], time=slice(1.0, 2.0)
        )
    )
    (image,) = [i for i in images(figure) if i.get_cmap().name == style.CONTRIBUTIONS]
    low, high = image.get_clim()
    assert low == -high
    shown = parts.sel(time=slice(1.0, 2.0))
    rows = np.asarray(image.get_array())
    np.testing.assert_array_equal(rows[:2], shown.sel(sign="excitatory").values.T)
    np.testing.assert_array_equal(rows[2:], shown.sel(sign="inhibitory").values.T)
    assert rows[:2].min() >= 0 >= rows[2:].max()
    line = next(ax for ax in figure.axes if ax.get_ylabel() == "rate (Hz)").lines[0]
    np.testing.assert_array_equal(
        line.get_ydata(), found.rates.sel(cell=CELLS[1], time=slice(1.0, 2.0))
    )
    scale = next(ax for ax in figure.axes if ax.get_label() == "color scale")
    assert scale.texts[0].get_text().startswith("contribution (bit)")


def test_completeness_shows_every_sample_of_every_layer():
    found = small_analysis()
    figure = drawn(plotting.plot_completeness(found.tree))
    left, right = figure.axes
    points = {line.get_label(): line for line in left.lines}
    node = found.tree["layer2"]
    np.testing.assert_allclose(
        points["layer2"].get_ydata(), node["contribution"].sum(("sign", "channel")), rtol=1e-4
    )
    median = float(found.completeness.sel(layer="layer2", quantile=0.5))
    assert right.lines[1].get_xdata()[0] == pytest.approx(median)
    assert left.get_xlabel() == "change of the target (bit)"


def test_modes_are_ordered_by_use():
    loadings = xr.DataArray(
        [[0.0, 2.0, 0.0], [1.0, 2.0, 0.0]],
        {"time": [0.0, 0.1], "mode": [0, 1, 2]},
        ("time", "mode"),
    )
    dictionary = xr.DataArray([[1.0, 0.0], [2.0, 4.0], [1.0, 1.0]], dims=("mode", "channel"))
    figure = drawn(plotting.plot_modes(dictionary, loadings))
    left, right = figure.axes[:2]
    assert [t.get_text() for t in left.get_yticklabels()] == ["1  (100%)", "0  (50%)"]
    np.testing.assert_allclose(left.images[0].get_array(), [[0.5, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(right.images[0].get_array(), [[2.0, 2.0], [0.0, 1.0]])


def test_cells_are_sorted_by_cluster_with_lines_between():
    corr = xr.DataArray(
        [[0.9, 0.1, 0.8, 0.0], [0.0, 0.8, 0.1, 0.9], [np.nan] * 4],
        {"cell": CELLS, "cell_type": ("cell", TYPES)},
        ("mode", "cell"),
    )
    clusters = xr.Dataset({"cluster": ("cell", [1, 0, 1, 0])}, {"cell": CELLS})
    ax = plotting.plot_mode_correlation(corr, clusters)
    drawn(ax.figure)
    assert [t.get_text() for t in ax.get_yticklabels()] == [CELLS[i] for i in (1, 3, 0, 2)]
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[0.8, 0.1], [0.9, 0.0], [0.0, 0.9], [0.1, 0.8]]
    )
    assert ax.images[0].get_clim() == (-0.9, 0.9)
    assert [line.get_ydata()[0] for line in ax.lines] == [1.5]


def test_clusters_that_chance_makes_too_are_faded_and_said():
    corr = xr.DataArray([[0.9, 0.1, 0.8, 0.0], [0.0, 0.8, 0.1, 0.9]], dims=("mode", "cell"))
    corr = corr.assign_coords(cell=CELLS)
    clusters = xr.Dataset({"cluster": ("cell", [1, 0, 1, 0]), "p_value": 0.43}, {"cell": CELLS})
    ax = plotting.plot_mode_correlation(corr, clusters)
    assert "no evidence for more than one type (p = 0.43)" in ax.get_title(loc="left")
    assert ax.images[0].get_alpha() < 0.5
    assert not ax.lines
    ax = plotting.plot_mode_correlation(corr, clusters.assign(p_value=0.01))
    assert ax.images[0].get_alpha() is None
    assert len(ax.lines) == 1


def test_many_cells_and_modes_keep_their_own_names():
    names = [f"cell {i:02d}" for i in range(60)]
    values = np.random.default_rng(0).random((50, 60))
    coords = {"cell": names, "mode": np.arange(50) + 100}
    corr = xr.DataArray(values, coords, ("mode", "cell"))
    clusters = xr.Dataset({"cluster": ("cell", [1] * 30 + [0] * 30)}, {"cell": names})
    ax = plotting.plot_mode_correlation(corr, clusters)
    drawn(ax.figure)
    shown = ax.images[0].get_array()
    for row, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        for column, number in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
            expected = corr.sel(cell=text.get_text(), mode=int(number.get_text()))
            assert shown[int(row), int(column)] == float(expected)
    rates = xr.DataArray(
        np.ones((5, 60)), {"time": np.arange(5.0), "cell": names}, ("time", "cell")
    )
    ax = plotting.plot_responses(rates, cells=[names[0]]).axes[0]
    assert {t.get_text() for t in ax.get_yticklabels()} <= set(names)


def test_silhouette_marks_what_was_chosen():
    found = small_analysis().clusters
    ax = plotting.plot_silhouette(found)
    drawn(ax.figure)
    curve, ring = ax.lines[:2]
    np.testing.assert_allclose(curve.get_ydata(), found["layer1"].silhouette)
    assert list(ring.get_xdata()) == [int(found["layer1"].n_clusters)]


def test_overview_is_aligned_and_says_simulated():
    found = small_analysis()
    time = slice(0.5, 2.0)
    figure = drawn(plotting.plot_overview(found, layer="layer1", cell=CELLS[0], time=time))
    panels = figure.axes[:4]
    for ax in panels:
        assert ax.get_xlim() == pytest.approx((0.495, 2.005))
    lefts, rights = zip(*[(ax.bbox.x0, ax.bbox.x1) for ax in panels], strict=True)
    np.testing.assert_allclose(lefts, lefts[0], atol=0.5)  # pixels
    np.testing.assert_allclose(rights, rights[0], atol=0.5)
    assert titles(figure)[0] == "stimulus (simulated model and movie)"
    assert titles(figure)[2] == "contributions of layer1"


def test_excerpt_is_where_the_target_varies():
    target = xr.DataArray(np.zeros(400), {"time": np.arange(400) / 100}, "time")
    target[250:260] = 5.0
    found = plotting.excerpt(target, seconds=0.5)
    assert found.start <= 2.5
    assert found.stop >= 2.59 - 1e-9
    assert found.stop - found.start == pytest.approx(0.49)
    assert plotting.excerpt(target, seconds=60.0) == slice(0.0, 3.99)


def test_bad_input_is_named():
    found = small_analysis()
    with pytest.raises(InputError, match="times from 0.03 to 2.99"):
        plotting.plot_responses(found.rates, time=slice(10.0, 20.0))
    with pytest.raises(UnknownNameError, match="no cell 'simulated 9'"):
        plotting.plot_responses(found.rates, cells=["simulated 9"])
    with pytest.raises(UnknownNameError, match="no layer 'layer9'"):
        plotting.plot_overview(found, layer="layer9")


def test_figures_can_be_drawn_into_one_that_exists():
    figure = Figure(layout="constrained")
    ax = figure.add_subplot()
    assert plotting.plot_silhouette(small_analysis().clusters, ax=ax) is ax
    found = small_analysis()
    assert plotting.plot_completeness(found.tree, figure=(mine := Figure())) is mine


def test_pyplot_and_its_global_state_are_not_loaded():
    code = "import sys, neurocodec.plotting; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
