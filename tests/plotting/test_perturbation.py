"""Figures of perturbations: what is drawn where."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from torch import nn

import neurocodec as nc
from neurocodec import plotting
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.perturbation import group_of, ranking_colors

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def scores():
    truth = xr.DataArray(
        np.kron(np.eye(3), [3.0, 2.0, 1.0]), {"category": NAMES}, ("category", "channel")
    )
    return {"modes": truth, "random": nc.rankings.at_random(truth)}


@pytest.fixture(scope="module")
def curve(scores):
    readout = nn.Linear(9, 3, bias=False)
    readout.weight.data[:] = 0
    for i in range(3):
        readout.weight.data[i, 3 * i : 3 * i + 3] = 1
    net = nc.Network(nn.Sequential(nn.Identity(), readout), {"hidden": "0"}, outputs=NAMES)
    label = np.repeat(NAMES, 8)
    code = np.kron(np.eye(3), np.ones(3))[np.repeat(np.arange(3), 8)]
    values = (code + np.random.default_rng(0).random(code.shape)).astype("float32")
    images = xr.DataArray(values, {"label": ("stimulus", label)}, ("stimulus", "feature"))
    return nc.perturbation_curve(net, images, "hidden", scores, progress=False, bootstrap=50)


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_means_by_ranking(curve):
    figure = plotting.plot_perturbation(curve, note=", hidden")
    figure.draw_without_rendering()
    ablated, preserved = figure.axes
    assert "3 classes, hidden" in ablated.get_title(loc="left")
    for ax, kind in ((ablated, "ablate"), (preserved, "preserve")):
        for name in ("modes", "random"):
            expected = curve.mean_normalized_accuracy.sel(kind=kind, ranking=name, group="target")
            line = lines(ax)[name]
            np.testing.assert_allclose(line.get_ydata(), expected)
            np.testing.assert_allclose(line.get_xdata(), curve.channel_share)
        dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
        off = curve.mean_normalized_accuracy.sel(kind=kind, ranking="modes", group="off_target")
        assert any(np.array_equal(line.get_ydata(), off.values) for line in dotted)
    assert to_hex(lines(ablated)["random"].get_color()) == style.MUTED


def test_one_class(curve, scores):
    figure = plotting.plot_class_perturbation(curve, "b", scores=scores["modes"])
    figure.draw_without_rendering()
    weights, ablated, preserved = figure.axes
    assert weights.lines[0].get_ydata()[:4].tolist() == [3, 2, 1, 0]
    assert len(weights.lines[1].get_ydata()) == 1  # a tenth of nine channels
    assert "first: 3" in weights.texts[0].get_text()
    for ax, kind in ((ablated, "ablate"), (preserved, "preserve")):
        one = curve.sel(kind=kind, ranking="modes", category="b")
        for where, label in (("target", "this class"), ("off_target", "others")):
            found = lines(ax)[label].get_ydata()
            np.testing.assert_allclose(found, one.accuracy.sel(group=where))
    single = plotting.plot_class_perturbation(curve.sel(kind=["ablate"]), "b", ranking="random")
    assert "random" in single.axes[0].get_title(loc="left")


def test_areas_by_layer(curve):
    other = curve.assign(area=curve.area / 2)
    figure = plotting.plot_perturbation_areas({"one": curve, "two": other})
    figure.draw_without_rendering()
    for ax, kind in zip(figure.axes, ("ablate", "preserve"), strict=True):
        area = float(curve.area.sel(kind=kind, ranking="modes"))
        np.testing.assert_allclose(lines(ax)["modes"].get_ydata(), [area, area / 2])
    labels = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert labels == ["one", "two"]


def test_bad_input(curve, scores):
    with pytest.raises(InputError, match="'b'"):
        plotting.plot_channel_scores(scores["modes"], "bb")
    with pytest.raises(InputError, match="'modes'"):
        plotting.plot_class_perturbation(curve, "a", ranking="mode")
    with pytest.raises(InputError, match="perturbation_curve"):
        plotting.plot_perturbation(xr.Dataset())
    with pytest.raises(InputError, match="at least one layer"):
        plotting.plot_perturbation_areas({})
    with pytest.raises(InputError, match="different ranking"):
        plotting.plot_perturbation_areas({"a": curve, "b": curve.isel(ranking=[0])})


def test_random_rankings_are_grey():
    assert ranking_colors(["modes", "random"]) == {"modes": "#0072b2", "random": "#66727f"}


def test_curves_are_of_categories_or_of_concepts():
    assert group_of(xr.Dataset({"n": ("concept", [1])})) == "concept"
    assert group_of(xr.Dataset({"n": ("category", [1])})) == "category"
