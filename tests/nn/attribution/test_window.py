"""The part of a layer that reaches a position: against full gradients, and the shapes of ways."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import seeded
from torch import nn
from torch.nn import functional

import neurocodec as nc
from neurocodec.nn.attribution.window import Window, window_of
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import inspect


class Part(nn.Module):
    """A layer, something between, and a layer; then the answer."""

    def __init__(self, between):
        super().__init__()
        self.first, self.between = nn.Conv2d(2, 4, 3, padding=1), between
        self.after = nn.Identity()

    def forward(self, x):
        return self.after(self.between(self.first(x))).flatten(1)


class Skip(nn.Module):
    """Two ways of equal stride."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(4, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(True), nn.Conv2d(4, 4, 3, 1, 1)
        )
        self.other = nn.Conv2d(4, 4, 1, 2)

    def forward(self, x):
        return functional.elu(self.one(x) + self.other(x))


def conv(*settings, **more):
    return nn.Conv2d(4, 4, *settings, **more)


LOCAL = {
    "plain": lambda: conv(3, padding=1),
    "even kernel, no padding": lambda: conv(4),
    "dilated": lambda: conv(3, padding=2, dilation=2),
    "stride": lambda: nn.Sequential(conv(3, 2, 1), nn.GELU(), conv(3, 2, 1)),
    "max pool": lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), conv(3, padding=1)),
    "average pool": lambda: nn.Sequential(conv(1), nn.AvgPool2d(2), nn.Sigmoid()),
    "ceiling": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "skip": Skip,
    "depthwise": lambda: nn.Sequential(conv(3, padding=1, groups=4), nn.SiLU(inplace=True)),
}


def network(between) -> nc.Network:
    module = seeded(lambda: Part(between())).double().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean += 0.3
    return nc.Network(module, layers={"first": "first", "after": "after"})


def found_window(between, position, size=13) -> Window | None:
    module = network(between).module
    layers = {"first": Layer("first"), "after": Layer("after")}
    x = torch.zeros(1, 2, size, size, dtype=torch.float64)
    with Capture(module, layers).attached() as capture:
        flow = inspect(capture, x)[0]
        return window_of(flow, "first", "after", position)


@pytest.mark.parametrize("between", LOCAL.values(), ids=LOCAL)
@pytest.mark.parametrize("place", ["corner", "center", "far"])
def test_what_a_window_finds_is_what_the_whole_finds(between, place):
    net = network(between)
    x = np.random.default_rng(1).normal(size=(3, 2, 13, 13))
    h = net.module.first(torch.from_numpy(x)).detach().requires_grad_()
    answer = net.module.between(h.clone())
    sizes = answer.shape[2:]
    y, z = {"corner": (0, 0), "center": (sizes[0] // 2, sizes[1] // 3), "far": sizes}[place]
    position = (min(y, sizes[0] - 1), min(z, sizes[1] - 1))
    target = nc.targets.Features("after", channels=[0, 3], position=position)
    images = xr.DataArray(x, dims=("stimulus", "color", "y", "x"))
    call = {"target": target, "progress": False}
    found = nc.tension(net, images, "first", method=nc.methods.ActGrad(), maps=True, **call)
    window = found_window(between, position)
    assert window is not None
    inside = np.zeros((13, 13), bool)
    inside[tuple(slice(*sides) for sides in window.box)] = True
    for i, channel in enumerate((0, 3)):
        value = answer[:, channel, position[0], position[1]]
        slope = torch.autograd.grad(value.sum(), h, retain_graph=True)[0]
        assert not slope[..., ~torch.from_numpy(inside)].any()
        s = (slope * h).detach().numpy()
        np.testing.assert_allclose(found.target[:, i], value.detach())
        expected = np.maximum(s, 0).sum(1)
        np.testing.assert_allclose(found.excitation_map[:, i], expected, atol=1e-12)
    tree = nc.contributions(
        net,
        images,
        layers=["first"],
        reduce="none",
        **call,
        method=nc.methods.IntegratedGradients(3, path="hidden"),
    )
    assert tree["first/contribution"].shape == (3, 2, 4, 13, 13)
    assert not tree["first/contribution"].values[..., ~inside].any()


def test_windows_are_tight():
    window = found_window(LOCAL["plain"], (6, 5))
    assert window == Window(((5, 8), (4, 7)), (6, 5), (1, 1))
    corner = found_window(LOCAL["plain"], (0, 12))
    assert corner.box == ((0, 2), (11, 13))
    both = found_window(LOCAL["stride"], (2, 1))  # 7 wide, from 5 and 1, begun at multiples of 4
    assert both.box == ((4, 12), (0, 8))
    assert both.place == (1, 1)


class Permuted(nn.Module):
    def forward(self, x):
        return x.transpose(2, 3).relu()


class Shifted(nn.Module):
    def forward(self, x):
        return x + x.roll(5, 2)


class Squeezed(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.where = nn.Parameter(torch.ones(13, 13))

    def forward(self, x):
        return x * self.where


class Halves(nn.Module):
    def forward(self, x):
        return torch.cat([x[:, :, 6:], x[:, :, :6]], 2)


GLOBAL = {
    "transposed": Permuted,
    "shifted": Shifted,
    "squeezed": Squeezed,
    "placed": Placed,
    "halves": Halves,
    "norm": lambda: nn.GroupNorm(2, 4),
    "softmax": lambda: nn.Softmax(3),
    "wide": lambda: conv(11, padding=5),
    "upsampled": lambda: nn.Upsample(scale_factor=2),
    "backwards": lambda: nn.ConvTranspose2d(4, 4, 3, padding=1),
}


@pytest.mark.parametrize("between", GLOBAL.values(), ids=GLOBAL)
def test_what_is_not_proved_local_is_not_cut(between):
    assert found_window(between, (6, 6)) is None


def test_a_pool_of_other_strides_than_what_is_beside_it_is_not_cut():
    class Uneven(nn.Module):
        def forward(self, x):
            return functional.max_pool2d(x, 3, 1, 1)[:, :, ::2] + functional.max_pool2d(
                x, (2, 1), (2, 1), (1, 0)
            )

    assert found_window(Uneven, (3, 6)) is None
