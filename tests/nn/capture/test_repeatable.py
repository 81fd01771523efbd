"""Networks that answer the same samples otherwise are told what they are, before any long work."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

import neurocodec as nc
from neurocodec.errors import CaptureError

STIMULUS = xr.DataArray(
    np.random.default_rng(0).normal(size=(6, 4)).astype("float32"), dims=("stimulus", "feature")
)


class Dropping(nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.5, training=True)


class OwnNoise(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        return x + torch.randn(x.shape, generator=self.generator)


class NumpyNoise(nn.Module):
    def forward(self, x):
        return x + float(np.random.rand())  # noqa: NPY002


class FirstBatch(nn.Module):
    """Takes the mean of the first sample that it ever sees from all others."""

    mean = None

    def forward(self, x):
        if self.mean is None:
            self.mean = x[0].detach().mean()
        return x - self.mean


class Adapting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.ones(()))

    def forward(self, x):
        self.gain = self.gain * 0.9
        return x * self.gain


class Counting(nn.Module):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return x + 0.01 * self.calls


@pytest.mark.parametrize("kind", [Dropping, OwnNoise, NumpyNoise])
@pytest.mark.parametrize("first", [True, False])
def test_random_networks_are_told_so(kind, first):
    parts = [kind(), nn.Linear(4, 2)] if first else [nn.Linear(4, 2), kind()]
    net = nc.Network(nn.Sequential(*parts), ["0"])
    for call in (
        lambda: nc.respond(net, STIMULUS),
        lambda: nc.contributions(net, STIMULUS, target=nc.targets.Sum(), progress=False),
    ):
        with pytest.raises(CaptureError, match="a random network") as caught:
            call()
        assert "inplace" not in str(caught.value)


@pytest.mark.parametrize("kind", [FirstBatch, Adapting, Counting])
def test_networks_that_carry_something_over_are_told_so(kind):
    module = nn.Sequential(nn.Linear(4, 2), kind())
    with pytest.raises(CaptureError, match="a stateful network") as caught:
        nc.contributions(
            nc.Network(module, ["0"]), STIMULUS, target=nc.targets.Sum(), progress=False
        )
    assert "inplace" not in str(caught.value)


def test_a_network_that_seeds_its_noise_in_every_pass_is_neither():
    class Seeded(nn.Module):
        def forward(self, x):
            return x + torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0))

    assert nc.respond(nc.Network(Seeded(), []), STIMULUS).shape == (6, 4)


@pytest.mark.parametrize("way", ["in place", "by data", "out="])
def test_a_network_that_changes_its_parameters_is_refused_before_it_does(way):
    class Writing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            with torch.no_grad():
                if way == "in place":
                    self.weight.mul_(0.5)
                elif way == "by data":
                    self.weight.data[:2] += 1
                else:
                    torch.mul(self.weight, 2, out=self.weight)
            return x * self.weight

    module = Writing()
    with pytest.raises(CaptureError, match="changes its parameters"):
        nc.respond(nc.Network(module, []), STIMULUS)
    assert module.weight.tolist() == [1, 1, 1, 1]
