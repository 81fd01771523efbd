"""Modes of contributions and activations of the images that are not held out."""

import numpy as np
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.analyses.images.findings import KINDS
from neurocodec.analyses.images.modes import fit_kinds
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
