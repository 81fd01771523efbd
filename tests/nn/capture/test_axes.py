"""Which axis holds the channels: networks whose numbers of channels are known from their making."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional as F

import neurocodec as nc
from neurocodec.errors import CaptureError
from neurocodec.labels import provenance
from neurocodec.nn.capture.axes import ChannelAxes

vision = pytest.importorskip("torchvision")


class Does(nn.Module):
    """A part of a network written as a function."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.function(self, x)


def to(*dims):
    return Does(lambda _, x: x.permute(*dims))


def shuffled(_, x):
    return x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)


def attend(self, x):
    q, k, v = self.qkv(x).unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
    weights = self.look((q @ k.transpose(-2, -1)).softmax(-1))
    return (weights @ v).transpose(1, 2).flatten(2)


def excite(self, x):
    return x * self.conv(x.mean((2, 3), keepdim=True)).sigmoid()


def gate(self, x):
    both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    return x * self.conv(both).sigmoid()


CONV = nn.Conv2d(3, 4, 3, padding=1)
LIN = nn.Linear(3, 4)
LAST = to(0, 2, 3, 1)
TOKENS = Does(lambda _, x: x.flatten(2).transpose(1, 2))
IMAGE = (2, 3, 6, 6)

CASES = {
    "convolution": (nn.Sequential(CONV), IMAGE, 1),
    "one channel": (nn.Sequential(nn.Conv2d(3, 1, 3), nn.ReLU()), IMAGE, 1),
    "batch norm": (nn.Sequential(nn.BatchNorm2d(3)), IMAGE, 1),
    "group norm": (nn.Sequential(CONV, nn.GroupNorm(2, 4), nn.ReLU()), IMAGE, 1),
    "instance norm": (nn.Sequential(CONV, nn.InstanceNorm2d(4), nn.ReLU()), IMAGE, 1),
    "layer norm of maps": (nn.Sequential(CONV, nn.LayerNorm((4, 6, 6))), IMAGE, 1),
    "pool": (nn.Sequential(CONV, nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)), IMAGE, 1),
    "pool of windows": (nn.Sequential(nn.AvgPool1d(2)), (2, 3, 6), 1),
    "upsampling": (nn.Sequential(nn.Upsample(scale_factor=2)), (2, 3, 6), 1),
    "pixel shuffle": (nn.Sequential(CONV, nn.PixelShuffle(2)), IMAGE, 1),
    "three dimensions": (nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU()), (2, 3, 6, 6, 6), 1),
    "linear on four axes": (nn.Sequential(LIN, nn.ReLU()), (2, 6, 6, 3), 3),
    "linear without a bias": (nn.Sequential(nn.Linear(3, 4, bias=False)), (2, 6, 6, 3), 3),
    "layer norm on four axes": (nn.Sequential(LAST, nn.LayerNorm(3), nn.GELU()), IMAGE, 3),
    "layer norm of tokens": (nn.Sequential(nn.LayerNorm(3)), (2, 6, 3), 2),
    "recurrent": (nn.Sequential(nn.GRU(3, 4, batch_first=True)), (2, 6, 3), 2),
    "recurrent cells": (nn.Sequential(nn.LSTM(3, 4, batch_first=True)), (2, 6, 3), 2),
    "permuted": (nn.Sequential(CONV, LAST, nn.Dropout()), IMAGE, 3),
    "permuted twice": (nn.Sequential(CONV, LAST, nn.ReLU(), to(0, 3, 1, 2)), IMAGE, 1),
    "permuted input": (nn.Sequential(to(0, 2, 3, 1), nn.ReLU()), IMAGE, 3),
    "input": (nn.Sequential(nn.ReLU()), IMAGE, 1),
    "tokens of maps": (nn.Sequential(CONV, TOKENS, nn.ReLU()), IMAGE, 2),
    "torch's permutation": (nn.Sequential(CONV, vision.ops.Permute([0, 2, 3, 1])), IMAGE, 3),
    "flattened and back": (
        nn.Sequential(CONV, nn.Flatten(), nn.ReLU(), nn.Unflatten(1, (4, 6, 6))),
        IMAGE,
        1,
    ),
    "normalised unit by unit": (
        nn.Sequential(CONV, nn.Flatten(), nn.BatchNorm1d(144), nn.Unflatten(1, (4, 6, 6))),
        IMAGE,
        1,
    ),
    "shuffled": (nn.Sequential(CONV, Does(shuffled), nn.ReLU()), IMAGE, 1),
    "residual": (Does(lambda s, x: x + F.relu(s.conv(x)), conv=nn.Conv2d(3, 3, 1)), IMAGE, 1),
    "excited": (nn.Sequential(CONV, Does(excite, conv=nn.Conv2d(4, 4, 1))), IMAGE, 1),
    "gated in space": (
        nn.Sequential(LAST, LIN, to(0, 3, 1, 2), Does(gate, conv=nn.Conv2d(2, 1, 1))),
        IMAGE,
        1,
    ),
    "attention": (Does(attend, qkv=nn.Linear(3, 18), look=nn.Identity()), (2, 6, 3), 2),
    "torch's attention": (
        Does(
            lambda s, x: s.attention(x, x, x)[0],
            attention=nn.MultiheadAttention(6, 2, batch_first=True),
        ),
        (2, 5, 6),
        2,
    ),
    "mixed tokens": (
        Does(
            lambda s, x: x + s.mix(s.lin(x).transpose(1, 2)).transpose(1, 2) + s.lin(x),
            lin=nn.Linear(3, 3),
            mix=nn.Linear(6, 6),
        ),
        (2, 6, 3),
        2,
    ),
    "a mixer": (
        nn.Sequential(
            nn.Linear(3, 3),
            Does(
                lambda s, x: x + s.lin(x + s.mix(x.transpose(1, 2)).transpose(1, 2)),
                lin=nn.Linear(3, 3),
                mix=nn.Linear(6, 6),
            ),
        ),
        (2, 6, 3),
        2,
    ),
    "a mixer of what nothing tells of": (
        Does(
            lambda s, x: x + s.lin(x + s.mix(x.transpose(1, 2)).transpose(1, 2)),
            lin=nn.Linear(3, 3),
            mix=nn.Linear(6, 6),
        ),
        (2, 6, 3),
        None,
    ),
    "mean over positions": (nn.Sequential(LIN, Does(lambda _, x: x.mean(1))), (2, 6, 6, 3), 2),
    "written out": (
        Does(lambda s, x: torch.einsum("bchw,dc->bdhw", x, s.lin.weight), lin=LIN),
        IMAGE,
        1,
    ),
    "linear over rows": (nn.Sequential(CONV, nn.Linear(6, 5)), IMAGE, None),
    "linear over positions": (nn.Sequential(CONV, nn.Flatten(2), nn.Linear(36, 5)), IMAGE, None),
    "two layers over tokens": (
        nn.Sequential(nn.Linear(3, 4), to(0, 2, 1), nn.Linear(6, 5), nn.Linear(5, 6)),
        (2, 6, 3),
        None,
    ),
    "nothing tells": (nn.Sequential(nn.ReLU()), (2, 6, 3), None),
    "both tell": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(6)), IMAGE, None),
    "keys of attention": (Does(lambda _, x: x @ x.transpose(1, 2)), (2, 6, 3), None),
}


@pytest.mark.parametrize(("module", "shape", "axis"), CASES.values(), ids=CASES)
def test_the_axis_is_that_of_the_operations(module, shape, axis):
    torch.manual_seed(0)
    with torch.no_grad(), ChannelAxes(module.eval()) as axes:
        x = torch.rand(shape)
        axes.start(x)
        found = module(x)
    assert axes.of(found[0] if isinstance(found, tuple) else found) == axis


def swin():
    return vision.models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [2, 2], num_classes=3)


def convnext():
    setting = vision.models.convnext.CNBlockConfig
    return vision.models.ConvNeXt([setting(8, 12, 1), setting(12, None, 1)], num_classes=3)


def vit():
    return vision.models.VisionTransformer(16, 8, 1, 2, 8, 20, num_classes=3)


# numbers of channels as these networks are made: widths of stages, of MLPs, of patches
STOCK = {
    (swin, "features.0"): 8,
    (swin, "features.1.0"): 8,
    (swin, "features.1.0.norm1"): 8,
    (swin, "features.1.0.attn"): 8,
    (swin, "features.1.0.mlp.1"): 32,
    (swin, "features.2"): 16,
    (swin, "features.3"): 16,
    (swin, "norm"): 16,
    (swin, "permute"): 16,
    (convnext, "features.0"): 8,
    (convnext, "features.1.0"): 8,
    (convnext, "features.1.0.block.1"): 8,
    (convnext, "features.1.0.block.2"): 8,
    (convnext, "features.1.0.block.3"): 32,
    (convnext, "features.1.0.block.4"): 32,
    (convnext, "features.1.0.block.6"): 8,
    (convnext, "features.3.0.stochastic_depth"): 12,
    (convnext, "avgpool"): 12,
    (vit, "conv_proj"): 8,
    (vit, "encoder"): 8,
    (vit, "encoder.layers.encoder_layer_0"): 8,
    (vit, "encoder.layers.encoder_layer_0.mlp.1"): 20,
    (vit, "encoder.ln"): 8,
}


@pytest.mark.parametrize("make", [swin, convnext, vit])
def test_stock_networks_have_the_channels_that_they_were_made_with(make):
    torch.manual_seed(0)
    expected = {name: count for (made, name), count in STOCK.items() if made is make}
    net = nc.Network(make(), [*expected])
    images = np.random.default_rng(0).random((3, 3, 16, 16), "float32")
    stimulus = xr.DataArray(images, dims=("stimulus", "color", "y", "x"))
    target, method = nc.targets.Output("1"), nc.methods.Activation()
    tree = nc.contributions(net, stimulus, target=target, method=method, progress=False)
    assert {a: tree[a].sizes["channel"] for a in expected} == expected


def test_a_layer_that_nothing_tells_of_is_refused_with_the_way_out():
    module = nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(6, 2))
    stimulus = xr.DataArray(np.ones((3, 2, 3), "float32"), dims=("stimulus", "a", "b"))
    with pytest.raises(CaptureError, match="second axis or the last") as found:
        nc.contributions(nc.Network(module, ["0"]), stimulus, target=nc.targets.Output("1"))
    layers = [(eval(found.value.hint), 3), (nc.Layer("0", layout="maps"), 2)]  # noqa: S307
    for layer, count in layers:
        net = nc.Network(module, {"0": layer})
        tree = nc.contributions(net, stimulus, target=nc.targets.Output("1"), progress=False)
        assert tree["0"].sizes["channel"] == count


def test_channels_are_ablated_where_they_are():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(1, 3, 2), vision.ops.Permute([0, 2, 3, 1]), nn.Identity())
    module = nn.Sequential(*block, nn.Flatten(), nn.Linear(12, 2))
    x = torch.rand(2, 1, 3, 3)
    net = nc.Network(module, {"a": "2"})
    hidden = block(x)
    hidden[..., 1] = 0
    with nc.ablate(net, "a", [1]) as ablated, torch.no_grad():
        assert torch.equal(ablated.module(x), module[3:](hidden))
        stimulus = xr.DataArray(x.numpy(), dims=("stimulus", "color", "y", "x"))
        np.testing.assert_allclose(nc.respond(ablated, stimulus), module[3:](hidden), rtol=1e-6)


def test_a_run_is_known_by_a_layout_that_the_number_of_axes_does_not_say(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 3, 2), vision.ops.Permute([0, 2, 3, 1]), nn.Flatten())
    stimulus = xr.DataArray(np.ones((2, 1, 3, 3), "float32"), dims=("stimulus", "color", "y", "x"))
    net = nc.Network(module, ["0", "1"])
    options = {"target": nc.targets.Output("1"), "progress": False}
    tree = nc.contributions(net, stimulus, out=tmp_path / "x.nc", **options)
    layers = provenance(tree)["layers"]
    assert (layers["0"]["layout"], layers["1"]["layout"]) == (None, "tokens")
    maps = nc.contribution_maps(net, stimulus, "1", out=tmp_path / "maps.nc", **options)
    assert provenance(maps)["layers"]["1"]["layout"] == "tokens"
    assert tree["1"].sizes["channel"] == 3
