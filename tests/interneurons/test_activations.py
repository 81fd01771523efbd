"""Activations for ranges of samples, and the rectifiers after layers."""

import numpy as np
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.engine.samples import Samples
from neurocodec.interneurons.activations import activations, rectified_layers

VECTORS = xr.DataArray(np.ones((3, 2)), dims=("stimulus", "feature"))


def test_activations_of_a_range_of_samples():
    net = nc.Network(nn.Sequential(nn.Identity(), nn.Linear(2, 1)), {"first": "0"})
    samples = Samples.of(net, VECTORS)
    with activations(net, samples, net.layers) as read:
        assert read(samples.batch(0, 2, net.device))["first"].shape == (2, 2)


def test_a_rectifier_has_the_alias_of_its_layer():
    net = nc.Network(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), {"first": "0"})
    found = rectified_layers(net, Samples.of(net, VECTORS), net.layers)
    assert found["first_rectified"].module == "1"
