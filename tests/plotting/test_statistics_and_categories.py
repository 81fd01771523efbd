"""Figures of image networks: what is drawn is what came."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.reports.image_figures import typical

LAYERS = [f"block{i}" for i in range(12)]
NAMES = ("cat", "dog", "jeep", "ship")


@pytest.fixture(scope="module")
def tree():
    """Contributions and activations of random sizes; later layers have more class signal."""
    random = np.random.default_rng(0)
    codes = np.arange(80) % 4
    nodes = {}
    for place, layer in enumerate(LAYERS):
        values = random.gamma(1.0, size=(80, 2, 6)) * np.array([1.0, -1.0])[:, None]
        values[:, 0, :4] += place * np.eye(4)[codes]
        nodes[f"/{layer}"] = xr.Dataset(
            {
                "contribution": (("stimulus", "sign", "channel"), values),
                "activation": (("stimulus", "channel"), random.gamma(1.0, size=(80, 6))),
            },
            {"sign": ["excitatory", "inhibitory"]},
        )
    root = xr.Dataset(coords={"label": ("stimulus", np.array(NAMES)[codes])})
    return xr.DataTree.from_dict({"/": root, **nodes})


@pytest.fixture(scope="module")
def statistics(tree):
    return (
        nc.statistics.hoyer(tree, bootstrap=20),
        nc.statistics.sign_correlation(tree, bootstrap=20),
        nc.statistics.dimensionality(tree, bootstrap=5),
    )


@pytest.fixture(scope="module")
def scores(tree):
    modes = {n: tree[n]["activation"].rename(channel="mode") for n in LAYERS}
    return nc.concept_scores(tree, nc.class_masks(tree), modes=modes, permutations=5)


def panel(figure, label):
    return next(ax for ax in figure.axes if ax.get_ylabel() == label)


def test_every_measure_is_drawn_over_the_layers(tree, statistics) -> None:
    figure = plotting.plot_layer_statistics(*statistics, tree=tree, note="ResNet, 80 images")
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "ResNet, 80 images"
    hoyer, signs, dimensions = statistics
    lines = panel(figure, "Hoyer sparsity").lines
    for line, kind in zip(lines, ("contribution", "activation"), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), hoyer.hoyer.sel(kind=kind))
    curve = panel(figure, "correlation of signs").lines[0]
    np.testing.assert_array_equal(curve.get_ydata(), signs.sign_correlation)
    lines = panel(figure, "participation ratio").lines
    np.testing.assert_array_equal(
        lines[1].get_ydata(),
        dimensions.participation_ratio.sel(kind="contribution", points="sample"),
    )
    assert [line.get_linestyle() for line in lines] == ["-", ":", "-", ":"]
    names = [t.get_text() for t in panel(figure, "components").get_xticklabels()]
    assert names == LAYERS[::2]


def test_bands_are_the_intervals(statistics) -> None:
    hoyer = statistics[0]
    figure = plotting.plot_layer_statistics(hoyer)
    (ax,) = figure.axes
    box = ax.collections[0].get_paths()[0].vertices
    ends = hoyer.hoyer_interval.sel(kind="contribution")
    assert box[:, 1].min() == pytest.approx(float(ends.min()))
    assert box[:, 1].max() == pytest.approx(float(ends.max()))


def test_a_dot_is_a_channel_of_an_image(tree, statistics) -> None:
    figure = plotting.plot_layer_statistics(
        signs=statistics[1], tree=tree, layers=["block3", "block11"]
    )
    shown = [ax for ax in figure.axes if ax.get_xlabel() == "excitatory"]
    r = statistics[1].sign_correlation.sel(layer="block3").item()
    assert shown[0].get_title(loc="left") == f"block3, r = {r:.2f}"
    dots = np.asarray(shown[0].collections[0].get_offsets())
    values = tree["block3"]["contribution"].values
    expected = abs(values).transpose(0, 2, 1).reshape(-1, 2) / abs(values).max()
    np.testing.assert_allclose(np.sort(dots, axis=0), np.sort(expected, axis=0))


def test_the_cumulative_variance_of_some_layers_is_drawn(statistics) -> None:
    figure = plotting.plot_layer_statistics(dimensions=statistics[2], layers=["block2"])
    ax = panel(figure, "part of the variance")
    curve = statistics[2].cumulative_variance.sel(layer="block2", kind="contribution")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), curve)
    assert ax.get_xlabel() == "component (class means)"


def test_scores_are_drawn_as_histograms_numbers_and_medians(scores) -> None:
    figure = plotting.plot_concept_scores(scores, layers=["block0", "block11"], note="80 images")
    figure.draw_without_rendering()
    summary = scores["summary"].to_dataset()
    numbers = panel(figure, "units above 0.2")
    for line, kind in zip(numbers.lines, summary.kind.values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), summary.n_above.sel(kind=kind))
    medians = panel(figure, "median of the largest r")
    np.testing.assert_array_equal(
        medians.lines[0].get_ydata(), summary["median"].sel(kind=summary.kind[0])
    )
    np.testing.assert_array_equal(
        medians.lines[1].get_ydata(), summary.chance_maximum.sel(kind=summary.kind[0])
    )
    ax = panel(figure, "part of the modes")
    assert ax.get_title(loc="left") == "block0"
    found = scores["block0/contribution_mode"]["max_correlation"].values
    assert ax.lines[0].get_xdata()[0] == pytest.approx(np.nanmedian(found))
    (outline,) = ax.patches
    heights = np.unique(outline.get_xy()[:, 1].round(9))
    bins = np.linspace(-0.05, 1.0, 29)
    expected = np.unique((np.histogram(found, bins)[0] / len(found)).round(9))
    np.testing.assert_allclose(heights, expected)


def test_no_histogram_is_cut_off_by_that_of_another_layer() -> None:
    """The axis is shared; an early layer may follow the classes better than the last."""
    random = np.random.default_rng(0)
    label = np.array(["cat", "dog"])[np.arange(60) % 2]
    rows = {"early": np.eye(2)[np.arange(60) % 2], "late": random.random((60, 2))}
    nodes = {
        f"/{n}": xr.Dataset(
            dict.fromkeys(("contribution", "activation"), (("stimulus", "channel"), x))
        )
        for n, x in rows.items()
    }
    root = xr.Dataset(coords={"label": ("stimulus", label)})
    data = xr.DataTree.from_dict({"/": root, **nodes})
    figure = plotting.plot_concept_scores(nc.concept_scores(data, nc.class_masks(data)))
    figure.draw_without_rendering()
    assert panel(figure, "part of the channels").get_xlim()[1] >= 1.0
    one = nc.concept_scores(data, nc.class_masks(data).sel(category=["cat"]))
    figure = plotting.plot_concept_scores(one, layers=["early"])
    ax = panel(figure, "part of the channels")
    assert ax.get_xlim()[0] < -1  # the channel of dogs, which goes against the only class
    assert ax.patches[0].get_xy()[:, 1].sum() > 0
    heights = ax.patches[0].get_xy()
    assert heights[heights[:, 1] > 0, 0].min() < -0.9


def test_a_layer_without_modes_leaves_a_gap(tree) -> None:
    few = {"block0": tree["block0"]["activation"].rename(channel="mode")}
    found = nc.concept_scores(tree, nc.class_masks(tree), modes=few, permutations=0)
    figure = plotting.plot_concept_scores(found)
    figure.draw_without_rendering()
    line = panel(figure, "units above 0.2").lines[0]
    assert np.isfinite(line.get_ydata()).tolist() == [True] + [False] * 11


def test_bad_input_is_refused_with_words(tree, statistics, scores) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        plotting.plot_layer_statistics()
    with pytest.raises(InputError, match=r"nc\.statistics\.dimensionality"):
        plotting.plot_layer_statistics(dimensions=statistics[0])
    with pytest.raises(UnknownNameError, match="'block9'"):
        plotting.plot_layer_statistics(tree=tree, layers=["block99"])
    with pytest.raises(UnknownNameError, match="'block9'"):
        plotting.plot_concept_scores(scores, layers=["block99"])
    with pytest.raises(InputError, match=r"nc\.concept_scores"):
        plotting.plot_concept_scores(tree)


def test_the_example_is_the_class_with_the_median_area() -> None:
    """A class whose area cannot be said does not count."""
    area = [0.5, np.nan, 0.1, 0.9, np.nan]
    curve = xr.Dataset(
        {"category_area": (("ranking", "kind", "category"), [[area]])}, {"category": [*"abcde"]}
    )
    assert typical(curve) == "a"
