"""The short way through a long movie gives the numbers of the network itself."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import retina
from torch import nn

import neurocodec as nc
from neurocodec.engine.respond import LONG
from neurocodec.nn.fast.movie import windows


def movie(frames):
    values = np.random.default_rng(0).normal(size=(frames, 12, 12)).astype(np.float32)
    return xr.DataArray(values, {"time": np.arange(frames) / 100}, ("time", "y", "x"))


def answered(module, frames):
    with torch.no_grad():
        return module(windows(torch.from_numpy(frames.values), 6)).numpy()


@pytest.mark.parametrize("extra", [-1, 0, 70])
def test_rates_of_a_long_movie_are_those_of_the_plain_network(extra):
    module, frames = retina().eval(), movie(LONG + 5 + extra)
    rates = nc.respond(nc.Network(module, {"first": "0"}, history=6), frames)
    np.testing.assert_allclose(rates.values, answered(module, frames), rtol=1e-4, atol=1e-5)


class Unused(nn.Module):
    """A network with a layer that never runs."""

    def __init__(self):
        super().__init__()
        self.net, self.spare = retina(), nn.Linear(2, 2)

    def forward(self, x):
        return self.net(x)


def test_a_layer_that_never_runs_is_no_hindrance():
    module, frames = Unused().eval(), movie(LONG + 5)
    rates = nc.respond(nc.Network(module, {"spare": "spare"}, history=6), frames)
    np.testing.assert_array_equal(rates.values, answered(module, frames))


def test_an_error_of_the_network_comes_through(monkeypatch):
    net = nc.Network(retina().eval(), {"first": "0"}, history=6)

    def wrong(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("neurocodec.engine.respond.look", wrong)
    with pytest.raises(KeyboardInterrupt):
        nc.respond(net, movie(LONG + 5))
