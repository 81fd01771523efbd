"""Responses of video networks are those of each window alone, by torch, whatever the shortcut."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn
from video import AXES

import neurocodec as nc

HISTORY, SIDE = 12, 4


class Cells(nn.Module):
    """Two cells of feature maps (sample, 3, time, 2, 2), linear so that nothing saturates."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 2, 2) / 2)

    def forward(self, maps):
        return torch.einsum("nctyx,kcyx->ntk", maps, self.weight)


class Core(nn.Module):
    """A convolution of four frames, what a function makes of its maps, and cells."""

    def __init__(self, change, before=None, **options):
        super().__init__()
        self.change, self.before = change, before
        self.conv = nn.Conv3d(1, 3, (4, 3, 3), bias=False, **options)
        self.late = nn.Conv3d(3, 3, (3, 1, 1))
        self.norm = nn.InstanceNorm3d(3)
        self.gru = nn.GRU(12, 12, batch_first=True)
        self.cells = Cells()

    def forward(self, x):
        maps = self.conv(x if self.before is None else self.before(x))
        return self.cells(self.change(self, maps))


def doubled_at_the_end(_, maps):
    maps[:, :, -1:].mul_(2)
    return maps


def times_its_order(_, maps):
    return maps * maps.argsort(1).to(maps).mean((2, 3, 4), keepdim=True)


def times_pooled_places(_, maps):
    _, places = F.max_pool3d(maps, (1, 2, 2), return_indices=True)
    return maps * places.to(maps).mean((1, 2, 3, 4), keepdim=True)


def squeezed(_, maps):
    return maps * maps.mean((2, 3, 4), keepdim=True).sigmoid()


def through_gru(core, maps):
    states, _ = core.gru(maps.movedim(2, 1).flatten(2))
    return states.unflatten(2, (3, 2, 2)).movedim(1, 2)


def cropped_skip(core, maps):
    return core.late(maps) + maps[:, :, 2:]


def longer_is_other(_, maps):
    return maps if maps.shape[2] < 20 else 2 * maps


CASES = {
    "plain": Core(lambda _, maps: maps.relu()),
    "last frames alone": Core(lambda _, maps: maps, lambda x: x[:, :, -10:]),
    "later half alone": Core(lambda _, maps: maps, lambda x: x[:, :, x.shape[2] // 2 :]),
    "over its length": Core(lambda _, maps: maps.relu() / maps.shape[2]),
    "longer is other": Core(longer_is_other),
    "by an order": Core(times_its_order),
    "by places of a pool": Core(times_pooled_places),
    "a part in place": Core(doubled_at_the_end),
    "all in place": Core(lambda _, maps: maps.relu_()),
    "squeeze and excite": Core(squeezed),
    "instance norm": Core(lambda core, maps: core.norm(maps)),
    "softmax over time": Core(lambda _, maps: maps.softmax(2)),
    "sum over time": Core(lambda _, maps: maps.cumsum(2)),
    "recurrent": Core(through_gru),
    "skip that is cropped": Core(cropped_skip),
    "pool over time": Core(lambda _, maps: F.avg_pool3d(maps, (2, 1, 1), stride=1)),
    "stride over time": Core(lambda _, maps: maps, stride=(2, 1, 1)),
    "dilated": Core(lambda core, maps: core.late(maps), dilation=(2, 1, 1)),
    "padded": Core(lambda _, maps: maps.relu(), padding=(2, 0, 0)),
    "replicated": Core(lambda _, maps: maps, lambda x: F.pad(x, (0,) * 4 + (3, 0), "replicate")),
    "reflected": Core(lambda _, maps: maps, lambda x: F.pad(x, (0,) * 4 + (3, 3), "reflect")),
    "circular": Core(lambda _, maps: maps, lambda x: F.pad(x, (0,) * 4 + (3, 0), "circular")),
    "mean taken off": Core(lambda _, maps: maps, lambda x: x - x.mean(2, keepdim=True)),
    "last frame taken off": Core(lambda _, maps: maps, lambda x: x - x[:, :, -1:]),
}


def movie(grey):
    values = np.random.default_rng(0).standard_normal((60, SIDE, SIDE))
    values[:grey] = 0
    return xr.DataArray(values, {"time": np.arange(60) / 30}, dims=("time", "y", "x"))


def alone(module, values, step):
    """The answer of each window by itself."""
    windows = np.lib.stride_tricks.sliding_window_view(values, HISTORY, axis=0)
    x = torch.from_numpy(windows.copy()).movedim(-1, 1)[:, None]
    with torch.no_grad():
        return torch.cat([module(window[None])[:, step] for window in x]).numpy()


@pytest.mark.parametrize("grey", [0, 20])
@pytest.mark.parametrize("name", CASES)
def test_responses_are_those_of_each_window(name, grey):
    torch.manual_seed(0)
    module = CASES[name].double().eval()
    net = nc.Network(module, layers={"conv": "conv"}, history=HISTORY, frame_rate=30, **AXES)
    for batch_size in (64, 5):
        rates = nc.respond(net, movie(grey), batch_size=batch_size)
        expected = alone(module, movie(grey).values, net.answering.step)
        np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_contributions_are_those_of_each_window(name):
    """ActGrad, by one gradient of each window."""
    torch.manual_seed(0)
    module = CASES[name].double().eval()
    net = nc.Network(module, layers={"conv": "conv"}, history=HISTORY, frame_rate=30, **AXES)
    shown, method = movie(20), nc.methods.ActGrad()
    tree = nc.contributions(net, shown, target=nc.targets.Output(0), method=method, progress=False)
    found = tree["conv"].contribution.sum("sign")
    times = np.arange(0, len(found), 7)
    windows = np.lib.stride_tricks.sliding_window_view(shown.values, HISTORY, axis=0)[times]
    expected = []
    for window in torch.from_numpy(windows.copy()).movedim(-1, 1)[:, None]:
        kept = []
        hook = module.conv.register_forward_hook(
            lambda _m, _x, h, kept=kept: kept.append(h) or h.clone()
        )
        answer = module(window[None])[0, net.answering.step, 0]
        hook.remove()
        (slope,) = torch.autograd.grad(answer, kept)
        expected.append((slope * kept[0]).sum((0, 2, 3, 4)).detach().numpy())
    np.testing.assert_allclose(found.isel(time=times), expected, rtol=1e-7, atol=1e-9)
