"""Modes of contributions and activations of the images that are not held out."""

import numpy as np
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.analyses.images.findings import KINDS
from neurocodec.analyses.images.modes import find_again, fit_kinds, score_modes
from neurocodec.analyses.images.study import Halves, ImageStudy
from neurocodec.analyses.stages import Stages


def test_both_kinds_of_every_layer_are_fitted():
    rows = np.abs(np.random.default_rng(0).normal(size=(40, 3)))
    node = xr.Dataset(dict.fromkeys(KINDS, (("stimulus", "channel"), rows)))
    tree = xr.DataTree.from_dict({"/block": node})
    halves = Halves.of(node["activation"], 0.5, seed=0)
    net = nc.Network(torch.nn.Identity(), layers=[])
    study = ImageStudy(net, node["activation"], tree, halves, Stages(None))
    found = fit_kinds(study, nc.SparseModes(expansion=1, progress=False))
    assert [*found] == [*KINDS]
    assert found["activation"]["block"].dictionary.sizes["mode"] == 3
    assert found["contribution"]["block"].loadings.sizes["stimulus"] == 20


def test_modes_are_found_again_on_the_rows_that_they_were_fitted_to(tmp_path):
    rows = np.abs(np.random.default_rng(0).normal(size=(60, 3)))
    node = xr.Dataset(dict.fromkeys(KINDS, (("stimulus", "channel"), rows)))
    still = xr.zeros_like(node)
    tree = xr.DataTree.from_dict({"/block": node, "/still": still})
    halves = Halves.of(node["activation"], 0.5, seed=0)
    net = nc.Network(torch.nn.Identity(), layers=[])
    study = ImageStudy(net, node["activation"], tree, halves, Stages(tmp_path))
    modes = fit_kinds(study, nc.SparseModes(expansion=1, epochs=2, progress=False))["contribution"]
    found = find_again(study, modes)
    fitted = node["contribution"].isel(stimulus=~halves.held)
    own = nc.mode_stability(fitted, modes["block"], progress=False)
    assert [*found] == ["block"]  # a layer that is still has no modes
    np.testing.assert_array_equal(found["block"]["stability"], own["stability"])
    again = find_again(study, modes)["block"]
    xr.testing.assert_identical(again.load(), found["block"])


def scored(label):
    """Scores of the modes of one layer, of images with these labels."""
    rows = np.abs(np.random.default_rng(0).normal(size=(len(label), 3)))
    node = xr.Dataset(dict.fromkeys(KINDS, (("stimulus", "channel"), rows)))
    root = xr.Dataset(coords={"label": ("stimulus", label), "stimulus": np.arange(len(label))})
    tree = xr.DataTree.from_dict({"/": root, "/block": node})
    halves = Halves.of(root["label"], 0.5, seed=0)
    study = ImageStudy(
        nc.Network(torch.nn.Identity(), []), root["label"], tree, halves, Stages(None)
    )
    settings = nc.SparseModes(expansion=1, progress=False, epochs=2)
    return study, score_modes(study, fit_kinds(study, settings))


def test_classes_of_a_few_images_are_not_ranked():
    study, found = scored(["cat"] * 20 + ["dog"] * 10 + ["emu"] * 8 + ["fox"] * 2)
    table = found["block/contribution_mode"].to_dataset()
    assert {*table["best_concept"].values.ravel()} == {"cat", "dog"}
    counts = {"cat": 10, "dog": 5}
    names, told = table["best_concept"].values, table["n_images"].values
    assert [counts[name] for name in names.ravel()] == told.ravel().tolist()
    assert study.left_out["concepts"].startswith("emu, fox: fewer than 5 held-out images")
    chance = table["chance_correlation"].values
    assert ((chance > 0.1) & (chance < 0.7)).all()
    assert chance[names == "dog"].mean() != chance[names == "cat"].mean()


def test_where_no_class_has_enough_images_there_are_no_scores():
    study, found = scored(["cat"] * 8 + ["dog"] * 8)
    assert found is None
    assert "cat, dog: fewer than 5" in study.left_out["concepts"]
