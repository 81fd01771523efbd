"""Layers of many architectures against hooks of our own, one sample at a time.

A seeded sample of each kind runs; all of them with ``pytest --architectures all``.
"""

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc

pytest.importorskip("timm")

LIST = Path(__file__).parent / "architectures.txt"
SAMPLED, SEED = 3, 2845


def architectures():
    """Library, name, kind of layers, size of images and settings, line by line."""
    return [tuple(line.split()) for line in LIST.read_text("utf-8").splitlines() if line]


def pytest_generate_tests(metafunc):
    if "architecture" not in metafunc.fixturenames:
        return
    every = architectures()
    if metafunc.config.getoption("--architectures", default="few") != "all":
        every = random.Random(SEED).sample(every, SAMPLED)  # noqa: S311
    metafunc.parametrize("architecture", every, ids=["-".join(one[:4]) for one in every])


class Witness:
    """The layers of a module at one sample: activations, and dy/dh by zeros that are added."""

    def __init__(self, layers):
        self.layers, self.seen, self.zeros = layers, {}, {}

    def hook(self, module):
        parts, handles = dict(module.named_modules()), []
        for alias, layer in self.layers.items():
            part = parts[layer.module]
            if layer.at == "input":
                handles.append(part.register_forward_pre_hook(self.on_input(alias)))
            else:
                handles.append(part.register_forward_hook(self.on_output(alias, layer.item)))
        return handles

    def noted(self, alias, tensor):
        self.seen[alias] = tensor.detach().clone()
        self.zeros[alias] = torch.zeros_like(tensor, requires_grad=True)
        return tensor + self.zeros[alias]

    def on_input(self, alias):
        return lambda _module, args: (self.noted(alias, args[0]), *args[1:])

    def on_output(self, alias, item):
        def hook(_module, _args, output):
            if item is None:
                return self.noted(alias, output)
            changed = list(output)
            changed[item] = self.noted(alias, output[item])
            return type(output)(changed)

        return hook


def sums(values, heads, channels):
    """Sums over all positions of one sample, with the channels first, or last, or as heads."""
    found = {}
    if heads:
        if values.shape[-1] % heads == 0:
            each = values.reshape(-1, heads, values.shape[-1] // heads)
            found["last"] = each.sum((0, 2)).numpy()
        if values.ndim == 4 and values.shape[1] % heads == 0:
            found["first"] = values.reshape(len(values), heads, -1).sum((0, 2)).numpy()
        return found
    if values.shape[-1] == channels:
        found["last"] = values.reshape(-1, channels).sum(0).numpy()
    if values.ndim > 1 and values.shape[1] == channels:
        found["first"] = values.transpose(0, 1).reshape(channels, -1).sum(1).numpy()
    return found


def settings(text):
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: int(value) for name, _, value in pairs}


def build(library, name, kind, size, options=""):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nc.errors.NeurocodecWarning)  # of few parameters
        net = getattr(nc.adapters, library)(name, kind=kind, **settings(options))
    net.module.double()  # in single precision a unit within rounding of 0 opens in one of two ways
    names = [*net.layers]
    chosen = [names[i] for i in sorted({0, len(names) // 2, len(names) - 1})]
    values = np.random.default_rng(0).normal(size=(2, 3, int(size), int(size)))
    return net, chosen, xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def test_layers_are_those_that_plain_hooks_see(architecture):
    net, chosen, stimulus = build(*architecture)
    tree = nc.contributions(
        net,
        stimulus,
        target=nc.targets.Output(3),
        method=nc.methods.ActGrad(),
        layers=chosen,
        progress=False,
    )
    layers = {alias: net.layers[alias] for alias in chosen}
    for n in range(2):
        witness = Witness(layers)
        handles = witness.hook(net.module)
        try:
            y = net.module(torch.from_numpy(stimulus.values[n : n + 1]))[0, 3]
            slopes = torch.autograd.grad(y, [witness.zeros[a] for a in chosen])
        finally:
            for handle in handles:
                handle.remove()
        assert tree.target.values[n] == pytest.approx(y.item(), rel=1e-6, abs=1e-9)
        for alias, slope in zip(chosen, slopes, strict=True):
            check(tree[alias].isel(stimulus=n), witness.seen[alias], slope, layers[alias].heads)


def check(node, seen, slope, heads):
    channels = node.sizes["channel"]
    pairs = {
        "activation": (node.activation.values, seen),
        "contribution": (node.contribution.sum("sign").values, seen * slope),
    }
    agreeing = []
    sizes = [np.abs(pairs["activation"][0]), np.abs(node.contribution).sum("sign").values]
    for size, (found, values) in zip(sizes, pairs.values(), strict=True):
        scale = size.max() + 1e-12  # parts that cancel have the digits of their sizes
        ways = sums(values, heads, channels)
        same = {w for w, x in ways.items() if np.abs(x - found).max() <= 1e-6 * scale}
        agreeing.append(same)
    assert agreeing[0] & agreeing[1], "neither with channels first nor last"
