"""Cores and readouts without the libraries that they come from."""

import numpy as np
import pytest
import torch
from torch import nn
from video import colored

import neurocodec as nc
from neurocodec.adapters.networks.core_readout import centres_of, leave_parameters
from neurocodec.errors import InputError, UnknownNameError


class Core(nn.Module):
    """Two layers, the second of which pads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        first = nn.Sequential()
        first.add_module("conv", nn.Conv3d(2, 3, (4, 3, 3)))
        first.add_module("nonlin", nn.ELU())
        second = nn.Sequential()
        second.add_module("conv", nn.Conv3d(3, 3, 3, padding=1))
        self.features = nn.Sequential(first, second)

    def forward(self, x):
        return self.features(x)


class Factorised(nn.Module):
    """A mask and a feature vector for each cell, kept above 0 in every pass."""

    def __init__(self, cells):
        super().__init__()
        self.mask_size = (4, 4)
        self.mask_weights = nn.Parameter(torch.randn(16, cells))
        self.feature_weights = nn.Parameter(torch.randn(3, cells))

    def apply_constraints(self):
        self.mask_weights.data.abs_()

    def forward(self, x):
        self.apply_constraints()
        masked = torch.einsum("nctp,pk->ntck", x.flatten(3), self.mask_weights)
        return (masked * self.feature_weights).sum(2)


class Sessions(nn.ModuleDict):
    def forward(self, x, data_key=None):
        return self[data_key](x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = Core()
        self.readout = Sessions({"one": Factorised(2), "two": Factorised(3)})

    def forward(self, x, data_key):
        return self.readout(self.core(x), data_key=data_key)


def network(model, session="two", **options):
    return nc.adapters.neuralpredictors(model, session, input_shape=(2, 6, 6), **options)


def test_one_session_is_a_network():
    model, movie = Model().eval(), colored(12).astype("float32")
    before = {k: x.clone() for k, x in model.state_dict().items()}
    net = network(model, frame_rate=10)
    assert net.history == 6  # 4 frames, and one step to each side
    assert list(net.layers) == ["layer1", "layer2"]
    assert (net.answering.frame, net.answering.later) == (-1, 1)
    rates = nc.respond(net, movie)
    assert all(torch.equal(x, before[k]) for k, x in model.state_dict().items())
    x = torch.tensor(movie.values).permute(1, 0, 2, 3)[None]
    whole = model(x, "two")[0].detach()  # of 9 steps, the last for the last frame
    np.testing.assert_allclose(rates, whole[1:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rates.time, movie.time[4:-1])


def test_sessions_are_chosen_by_name():
    with pytest.raises(InputError, match="readouts of 2 sessions") as error:
        network(Model(), None)
    assert "session='one'" in str(error.value)
    with pytest.raises(UnknownNameError, match="'two'"):
        network(Model(), "too")
    with pytest.raises(InputError, match="without 'core'"):
        network(nn.Linear(2, 1), None)
    with pytest.raises(InputError, match="Module with a core"):
        network("model.pt", None)
    model = Model()
    model.readout = Factorised(2)
    with pytest.raises(InputError, match="one readout"):
        network(model, "one")


class Sampling(nn.Module):
    """A readout that clamps the places that it reads in every pass."""

    def __init__(self):
        super().__init__()
        self.in_shape = (3, 4, 5)
        self.grid_shape = (1, 2, 1, 2)
        self.mu = nn.Parameter(torch.tensor([[[[0.0, 0.0]], [[1.5, -1.0]]]]))

    def sample_grid(self, batch_size):
        with torch.no_grad():
            self.mu.clamp_(-1, 1)
        return self.mu.expand(batch_size, -1, -1, -1)


def test_parameters_are_left_alone_in_passes():
    readout, other = Sampling(), Sampling()
    leave_parameters(readout)
    assert torch.equal(readout.sample_grid(2), other.sample_grid(2))
    assert readout.mu.max() == 1.5
    mask = Factorised(2)
    leave_parameters(mask)
    assert mask.mask_weights.min() >= 0
    mask.mask_weights.data.neg_()
    mask.apply_constraints()
    assert mask.mask_weights.max() <= 0


def test_centres_are_in_pixels_of_the_stimulus():
    core, frame = Core(), (2, 6, 7)
    found = centres_of(core, Sampling(), frame)  # maps of 4 by 5 in frames of 6 by 7
    np.testing.assert_allclose(found["y_center"], [2.5, 1.0])
    np.testing.assert_allclose(found["x_center"], [3.0, 5.0])
    mask = Factorised(1)
    mask.mask_weights.data = torch.zeros(16, 1)
    mask.mask_weights.data[4 * 2 + 3] = -2.0
    found = centres_of(core, mask, (2, 6, 6))
    assert (found["y_center"][0], found["x_center"][0]) == (3, 4)
    core.pool = nn.MaxPool3d((1, 2, 2))
    assert centres_of(core, mask, (2, 10, 10))["x_center"][0] == 7.5
    assert centres_of(core, nn.Linear(2, 1), frame) == {}


def test_what_an_answer_depends_on_may_have_no_end():
    model = Model()
    model.core.features.add_module("norm", nn.InstanceNorm3d(3))
    with pytest.raises(InputError, match="depend on all frames"):
        network(model)
    assert network(model, history=8).history == 8
