"""Dose and response as they are in the data."""

import numpy as np
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError


@pytest.fixture(scope="module")
def curve():
    net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    images = xr.DataArray(
        np.eye(2) + 0.1, {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    )
    own = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    kinds = {"modes": own, "random mode": own * 0.5}
    return nc.steering_curve(net, images, "hidden", kinds, factors=[0, 2], progress=False)


def test_lines_are_the_means_of_both_groups(curve):
    change, accuracy = nc.plot.steering(curve, note=", layer 1").axes
    for ax, name in ((change, "mean_label_change"), (accuracy, "mean_accuracy")):
        lines = {line.get_linestyle(): line for line in ax.lines[:2]}
        one = curve[name].sel(ranking="modes")
        np.testing.assert_allclose(lines["-"].get_ydata(), one.sel(group="target"))
        np.testing.assert_allclose(lines[":"].get_ydata(), one.sel(group="off_target"))
    assert change.get_title("left") == "mean of 2 classes, layer 1"
    assert change.lines[0].get_color() != change.lines[2].get_color()


def test_what_is_no_curve_is_refused():
    with pytest.raises(InputError, match="steering_curve"):
        nc.plot.steering(xr.Dataset())
