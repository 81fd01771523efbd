"""Figures of localisation: what is drawn is what was computed."""

import numpy as np
import pytest
import xarray as xr
from networks import convolutional, images

import neurocodec as nc
from neurocodec.plotting import plot_localisation, plot_pixel_curves


def compared() -> xr.Dataset:
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(5)
    masks = nc.box_masks(dict.fromkeys(range(5), (0, 0, 4, 4)), pictures)
    modes = xr.DataArray(np.eye(4), dims=("mode", "channel"))
    return nc.compare_localisation(
        net, pictures, masks, "late", modes,
        target=nc.targets.TopK(1, hold=True), top=1, draws=4, progress=False,
    )  # fmt: skip


def curve(**options) -> xr.Dataset:
    pictures = images(4)
    maps = pictures.expand_dims(mode=[2, 7], axis=1)
    return nc.deletion_curve(
        nc.Network(convolutional(), []), pictures, maps,
        target=nc.targets.TopK(1), steps=4, progress=False, **options,
    )  # fmt: skip


def test_scores_are_drawn_with_chance_and_intervals() -> None:
    found = compared()
    scores, pointing, modes = plot_localisation(found, note=", late").axes
    assert scores.get_title(loc="left") == "5 images, late"
    assert [t.get_text() for t in scores.get_yticklabels()] == found["map"].values.tolist()
    for ax, name, chance in ((scores, "localisation", 1.0), (pointing, "pointing", 0.25)):
        points = [x.get_xydata()[0] for x in ax.lines if x.get_marker() == "o"]
        expected = found[f"mean_{name}"].values
        np.testing.assert_allclose(np.array(points), np.c_[expected, np.arange(6)])
        assert [chance, chance] in [x.get_xdata() for x in ax.lines if x.get_linestyle() == "--"]
    drawn = np.concatenate([x.get_ydata() for x in modes.lines if x.get_marker() == "o"])
    difference = found.mode_difference.sel(control="random sets")
    np.testing.assert_allclose(np.sort(drawn), np.sort(difference.values))


def test_curves_are_drawn_with_the_random_order() -> None:
    deletion, insertion = curve(), curve(kind="insertion")
    figure = plot_pixel_curves({"deletion": deletion, "insertion": insertion}, note=", late")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Deletion, late", "Insertion, late"]
    for ax, found in zip(figure.axes, (deletion, insertion), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        assert [*lines] == ["mode 2", "mode 7", "random order"]
        np.testing.assert_allclose(lines["mode 7"], found.target.sel(mode=7).mean("stimulus"))
        random = found.random_target.mean(["stimulus", "draw"])
        np.testing.assert_allclose(lines["random order"], random)
    assert figure.axes[1].get_xlabel() == "part of the pixels brought back"


def test_a_single_map_without_random_orders_is_drawn() -> None:
    found = curve(draws=0).isel(mode=0)
    (ax,) = plot_pixel_curves(found).axes
    assert [line.get_label() for line in ax.lines] == ["map"]
    assert ax.get_title(loc="left") == "Deletion"


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(nc.errors.InputError, match="compare_localisation"):
        plot_localisation(xr.Dataset())
    with pytest.raises(nc.errors.InputError, match="one further dim"):
        plot_pixel_curves(curve().expand_dims(sign=["excitatory"]))
