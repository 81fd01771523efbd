"""One way to hook, trace and quicken a network: what a session knows, and what it gives back."""

import numpy as np
import pytest
import torch
import xarray as xr
from module_state import assert_same, state
from networks import convolutional, retina, seeded
from torch import nn

import neurocodec as nc
from neurocodec.engine import session
from neurocodec.engine.session import hooked, opened
from neurocodec.errors import CaptureError
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import trace


def images(count, side=8):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_a_session_knows_outputs_channels_and_what_a_pass_keeps():
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    net = nc.Network(module, {"hidden": "1"}, outputs=["a", "b"])
    with hooked(net, net.layers, torch.ones(2, 3)) as session:
        assert session.outputs == ["a", "b"]
        assert session.channels("hidden") == 5
        assert session.bytes_per_sample >= 5 * 4
        assert session.traced.order == ("hidden",)


@pytest.mark.parametrize("way", [hooked, opened])
def test_the_module_comes_back_as_it_was_also_after_an_error(way):
    module = convolutional().train()
    before = state(module)
    net = nc.Network(module, ["3"])
    with pytest.raises(KeyboardInterrupt), way(net, net.layers, torch.ones(2, 3, 8, 8)):
        raise KeyboardInterrupt
    assert_same(before, state(module))


def test_one_session_serves_many_passes_with_the_numbers_of_the_plain_network():
    module = retina().eval()
    net = nc.Network(module, {"first": "0"}, history=6)
    x = torch.rand(4, 6, 12, 12)
    with torch.no_grad():
        expected = module(x)
    with opened(net, {"first": Layer("0")}, x[:2]) as session:
        for _ in range(3):
            found = session.capture.look(x)
            torch.testing.assert_close(found.outputs, expected, rtol=1e-5, atol=1e-6)


class Scaled(nn.Module):
    """A convolution and its norm, times a plain attribute, plus a buffer."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.end = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
        self.register_buffer("shift", torch.zeros(2), persistent=False)
        self.factor = 1.0

    def forward(self, x):
        return self.factor * self.end(self.norm(self.convolution(x))) + self.shift


@pytest.fixture
def looks(monkeypatch):
    found = []

    def counted(*args):
        found.append(args)
        return trace(*args)

    monkeypatch.setattr(session, "trace", counted)
    return found


@pytest.fixture
def scaled():
    return nc.Network(seeded(Scaled).eval(), ["norm", "end.0"])


def answers(net, layers, x):
    with opened(net, layers, x) as now:
        return now.capture.look(x), now.traced, now.bytes_per_sample


@torch.no_grad()
def _weights(module):
    module.convolution.weight.mul_(2)


@torch.no_grad()
def _running_mean(module):
    module.norm.running_mean.add_(1)


def _kept_weights(module):
    module.end[2].weight = nn.Parameter(module.end[2].weight.detach() * 2)


CHANGES = {
    "weights in place": _weights,
    "weights anew": _kept_weights,
    "a buffer": _running_mean,
    "a buffer that is not saved": lambda module: module.shift.add_(1),
    "an attribute": lambda module: vars(module).update(factor=3.0),
    "a hook": lambda module: module.norm.register_forward_hook(lambda _m, _a, y: y + y.relu()),
    "a part": lambda module: module.add_module("norm", nn.Sequential(module.norm, nn.Tanh())),
    "a forward": lambda module: vars(module.norm).update(forward=torch.relu),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_proved_holds_for_that_state_alone(scaled, looks, change):
    x = images(3)
    first, *_ = answers(scaled, scaled.layers, x)
    torch.testing.assert_close(first.outputs, scaled.module(x).detach())
    change(scaled.module)
    second, *_ = answers(scaled, scaled.layers, x)
    torch.testing.assert_close(second.outputs, scaled.module(x).detach())
    assert len(looks) == 2


def test_the_same_state_is_looked_at_once_and_gives_the_same(scaled, looks):
    x = images(3)
    (first, traced, size), (other, again, same) = (
        answers(scaled, scaled.layers, x[:n]) for n in (3, 2)
    )
    assert len(looks) == 1
    assert traced.proof is again.proof
    assert again.proof.faster
    assert size == same
    torch.testing.assert_close(other.outputs, first.outputs[:2])


@pytest.mark.parametrize("what", ["layers", "shape", "dtype"])
def test_other_layers_shapes_and_types_are_looked_at_anew(scaled, looks, what):
    x, layers = images(3), scaled.layers
    answers(scaled, layers, x)
    if what == "layers":
        layers = {"norm": Layer("norm", at="input")}
    elif what == "shape":
        scaled.module.end[2] = nn.Linear(4 * 64, 2)
        x = images(3, side=10)
    else:
        scaled.module.double()
        x = x.double()
    found, *_ = answers(scaled, layers, x)
    torch.testing.assert_close(found.outputs, scaled.module(x).detach())
    assert len(looks) == 2


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.end = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        h = self.convolution(x)
        h = h.relu() if bool(x.mean() > 0) else h.abs()
        return self.end(h.mean((2, 3)))


def test_a_network_that_chooses_its_way_is_looked_at_each_time(looks):
    net = nc.Network(seeded(Gated).eval(), ["convolution"])
    for x in (images(1).abs(), -images(1).abs()):
        found, *_ = answers(net, net.layers, x)
        torch.testing.assert_close(found.outputs, net.module(x).detach())
    assert len(looks) == 2


class Together(nn.Module):
    """Normalises over the batch."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        hidden = self.first(x).exp()
        return self.second(hidden / hidden.mean(0, keepdim=True))


def test_what_one_sample_proves_is_nothing_about_several():
    net = nc.Network(seeded(Together).eval(), ["first"])
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    answers(net, net.layers, x[:1])
    with pytest.raises(CaptureError, match="neighbours"):
        answers(net, net.layers, x)


class Chosen(nn.Module):
    """Kernels by the contrast of a sample, through a convolution that holds others."""

    def __init__(self):
        super().__init__()
        self.first, self.convolution = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 5)
        self.other = nn.Parameter(torch.randn(2, 3, 5, 5))

    def forward(self, x):
        gate = (x.std((1, 2, 3)) > 0.5).to(x)
        hidden, found = self.first(x).relu(), []
        for i, h in enumerate(hidden):
            weight = self.convolution.weight + gate[i] * self.other
            kernels = {"weight": weight, "bias": self.convolution.bias}
            found.append(torch.func.functional_call(self.convolution, kernels, h[None]))
        return torch.cat(found).relu().mean((2, 3))


def test_kernels_that_a_pass_computes_are_those_that_are_used():
    module = seeded(Chosen).eval()
    x = images(5) * 0.1
    x[3] *= 10  # which is none of those that are looked at, nor the darkest or brightest
    x[3] -= x[3].mean()
    stimulus = xr.DataArray(x.numpy(), dims=("stimulus", "color", "y", "x"))
    net = nc.Network(module, ["first"])
    tree = nc.contributions(
        net, stimulus, target=nc.targets.Output(0), method=nc.methods.Gradient(), progress=False
    )
    hidden = module.first(x).detach().requires_grad_()
    module.first.register_forward_hook(lambda *_: hidden)
    expected = module(x)[:, 0]
    (gradient,) = torch.autograd.grad(expected.sum(), hidden)
    np.testing.assert_allclose(tree["target"], expected.detach(), rtol=1e-5, atol=1e-6)
    total = tree["first"]["gradient"].sum("sign").transpose("stimulus", "channel")
    np.testing.assert_allclose(total, gradient.sum((2, 3)), rtol=1e-4, atol=1e-5)


class Writing(nn.Module):
    """Writes over its activations where one of them is large."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 2)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3))

    def forward(self, x):
        h = self.first(x)
        if (h > 1).any():
            h[h > 1] = 1
        return self.second(h)


def test_an_activation_is_that_from_before_it_is_written_over():
    net = nc.Network(seeded(Writing).eval(), ["first"])
    x = torch.full((5, 3), 0.5)
    x[3] = 2  # none of those that are looked at
    stimulus = xr.DataArray(x.numpy(), dims=("stimulus", "feature"))
    tree = nc.contributions(
        net, stimulus, target=nc.targets.Output(0), method=nc.methods.Activation(), progress=False
    )
    np.testing.assert_array_equal(tree["first"]["activation"], x)
