"""Figures of interneurons: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.plotting import style

NAMES = ["a", "b", "c"]
TYPES = ["ON bipolar", "amacrine", "ON bipolar"]


def comparison(ceiling=False) -> xr.DataTree:
    """Three interneurons, a layer of two channels of 4 by 5 units, three modes."""
    coords = {"interneuron": NAMES, "interneuron_cell_type": ("interneuron", TYPES)}
    rng = np.random.default_rng(0)
    maps = rng.uniform(-0.3, 0.3, (3, 2, 4, 5))
    maps[0, 1, 2, 3], maps[1, 0, 0, 1], maps[2, 1, 3, 0] = 0.9, -0.6, 0.7
    scores = {
        "correlation": ("interneuron", [0.8, 0.3, 0.6]),
        "correlation_selected": ("interneuron", [0.85, 0.5, 0.7]),
        "chance_correlation": ("interneuron", [0.1, 0.2, -0.1]),
    }
    layer = {
        **scores,
        "correlation_map": (("interneuron", "channel", "y", "x"), maps),
        "best_channel": ("interneuron", [1, 0, 1]),
        "best_y": ("interneuron", [2, 0, 3]),
        "best_x": ("interneuron", [3, 1, 0]),
    }
    loading = (("interneuron", "mode"), rng.uniform(-0.4, 0.4, (3, 3)))
    modes = {**scores, "mode_correlation": loading, "best_mode": ("interneuron", [2, 0, 5])}
    root = {**scores, "best_layer": ("interneuron", ["layer1"] * 3)}
    if ceiling:
        root["ceiling"] = ("interneuron", [0.95, 0.9, 0.85])
    nodes = {
        "/": xr.Dataset(root, coords),
        "/layer1": xr.Dataset(layer, coords),
        "/modes/layer1": xr.Dataset(modes, {**coords, "mode": [0, 2, 5]}),
    }
    return xr.DataTree.from_dict(nodes)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_legend_is_in_the_figure_however_few_rows_there_are(rows):
    ax = plotting.plot_interneurons(comparison().isel(interneuron=slice(rows)).to_dataset())
    ax.figure.draw_without_rendering()
    (legend,) = ax.figure.legends
    below = legend.get_window_extent()
    assert 0 <= below.y0 < below.y1 <= ax.get_tightbbox().y0


def test_a_name_that_begins_with_the_type_stands_alone():
    data = comparison().to_dataset().assign_coords(interneuron=["ON bipolar 3", "b", "c"])
    ax = plotting.plot_interneurons(data)
    assert labels(ax) == ["ON bipolar 3", "ON bipolar · c", "amacrine · b"]


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_dots_are_at_held_out_correlations_and_bars_at_chance():
    ax = plotting.plot_interneurons(comparison(ceiling=True))
    ax.figure.draw_without_rendering()
    assert labels(ax) == ["ON bipolar · a", "ON bipolar · c", "amacrine · b"]
    held_out, chosen = (c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 3)
    np.testing.assert_allclose(held_out, [[0.8, 0], [0.6, 1], [0.3, 2]])
    np.testing.assert_allclose(chosen[:, 0], [0.85, 0.7, 0.5])
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.1, 0, 0.2])
    (ceiling,) = (line for line in ax.lines if line.get_label() == "ceiling")
    np.testing.assert_allclose(ceiling.get_xdata(), [0.95, 0.85, 0.9])
    told = {text.get_text() for text in ax.figure.legends[0].get_texts()}
    assert told == {"chance", "held out", "where it was chosen", "ceiling"}
    colors = ax.collections[1].get_facecolors()
    np.testing.assert_allclose(colors[0], colors[1])
    assert not np.allclose(colors[0], colors[2])


def test_without_chance_or_ceiling_neither_is_drawn():
    data = comparison().to_dataset().drop_vars("chance_correlation")
    ax = plotting.plot_interneurons(data, ax=style.new_axes(None, 3.0))
    assert len(ax.patches) == 0
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "held out",
        "where it was chosen",
    ]


def test_maps_have_a_ring_at_the_best_unit():
    figure = plotting.plot_interneuron_maps(comparison(), interneurons=["a", "b"])
    figure.draw_without_rendering()
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 2 * 2
    assert [len(ax.lines) for ax in maps] == [0, 1, 1, 0]
    assert (maps[1].lines[0].get_xdata()[0], maps[1].lines[0].get_ydata()[0]) == (3, 2)
    np.testing.assert_allclose(
        maps[1].images[0].get_array(), comparison()["layer1"].correlation_map[0, 1]
    )
    assert len({image.get_clim() for ax in maps for image in ax.images}) == 1
    assert maps[0].images[0].get_clim() == (-0.9, 0.9)
    assert maps[0].get_ylabel() == "ON bipolar\na\nheld out 0.80"
    assert "layer1" in figure.get_suptitle()


def test_the_best_of_each_type_is_drawn_where_none_are_named():
    figure = plotting.plot_interneuron_maps(comparison(), "layer1")
    rows = [ax.get_ylabel().split("\n")[1] for ax in figure.axes if ax.get_ylabel().count("\n")]
    assert rows == ["a", "b"]


def test_the_matrix_has_the_largest_correlation_of_each_channel():
    found = comparison()
    figure = plotting.plot_interneuron_matrix(found)
    figure.draw_without_rendering()
    channels, modes = (ax for ax in figure.axes if ax.images)
    assert labels(channels) == ["ON bipolar · a", "ON bipolar · c", "amacrine · b"]
    drawn = channels.images[0].get_array()
    assert [drawn[0, 1], drawn[1, 1], drawn[2, 0]] == pytest.approx([0.9, 0.7, -0.6])
    np.testing.assert_allclose(channels.lines[0].get_xdata(), [1, 1, 0])
    expected = found["modes/layer1"].mode_correlation.values[[0, 2, 1]]
    np.testing.assert_allclose(modes.images[0].get_array(), expected)
    np.testing.assert_allclose(modes.lines[0].get_xdata(), [1, 2, 0])  # columns, not names
    assert channels.images[0].get_clim() == modes.images[0].get_clim()
    assert modes.get_xlabel() == "mode"


def test_one_part_alone_can_be_drawn():
    figure = plotting.plot_interneuron_matrix(comparison(), ["modes/layer1"])
    assert len([ax for ax in figure.axes if ax.images]) == 1


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda c: plotting.plot_interneuron_maps(c, "layer2"), "'layer1'"),
        (lambda c: plotting.plot_interneuron_maps(c, "modes/layer1"), "'correlation_map'"),
        (lambda c: plotting.plot_interneuron_maps(c, interneurons=["d"]), "'d'"),
        (lambda c: plotting.plot_interneuron_matrix(c, ["layer3"]), "'layer3'"),
        (lambda _: plotting.plot_interneurons(xr.Dataset({"x": 1})), "'correlation'"),
    ],
)
def test_unknown_names_are_refused(draw, message):
    with pytest.raises(UnknownNameError, match=message):
        draw(comparison())


def test_layers_without_positions_have_no_maps():
    found = comparison()
    node = found["layer1"].to_dataset().isel(y=0, x=0)
    found["dense"] = xr.DataTree(node.drop_vars([*node.coords]))
    with pytest.raises(InputError, match="plot_interneuron_matrix"):
        plotting.plot_interneuron_maps(found, "dense")
