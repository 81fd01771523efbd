"""Where the units look that were found."""

import numpy as np
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.engine.samples import Samples
from neurocodec.interneurons.scores import field_centers


def test_the_field_of_a_unit_is_around_its_pixel():
    net = nc.Network(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten()), {"first": "0"}, history=1)
    movie = xr.DataArray(np.zeros((4, 5, 5)), dims=("time", "y", "x"))
    found = field_centers(net, Samples.of(net, movie), net.layers, [("first", 8)])
    assert (abs(found - [3, 3]) <= 1).all()
