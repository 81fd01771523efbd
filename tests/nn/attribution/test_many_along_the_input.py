"""Integrated gradients in input space of many features: one forward pass a step for all of them."""

import numpy as np
import pytest
import torch
import xarray as xr
from residual import residual

import neurocodec as nc
from neurocodec.nn.attribution import methods, passes
from neurocodec.nn.capture.hooks import Capture

VECTORS = np.random.default_rng(2).normal(size=(3, 4))
LAYERS = {"stem": "stem", "one": "one", "inside": "two.norm1", "pre": "two.total"}


def pictures(n=4) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def found(target, method, layers=("one", "inside"), **options):
    net = nc.Network(residual(), layers=LAYERS)
    call = {"target": target, "method": method, "layers": [*layers], "progress": False}
    return nc.contributions(net, pictures(), **call, **options)


@pytest.fixture
def in_blocks_of(monkeypatch):
    own = passes.Passes.blocks

    def set_to(block):
        def blocks(given):
            given.block = block
            return own(given)

        monkeypatch.setattr(passes.Passes, "blocks", blocks)

    return set_to


@pytest.mark.parametrize(
    ("position", "method", "block"),
    [
        ("center", methods.IntegratedGradients(3), 2),
        ("strongest", methods.IntegratedGradients(3, rule="right"), 3),
        (None, methods.IntegratedGradients("auto", tolerance=0.05, max_steps=16), 2),
    ],
)
def test_each_feature_is_that_of_a_call_of_its_own(position, method, block, in_blocks_of):
    in_blocks_of(block)
    whole = found(nc.targets.Features("pre", VECTORS, position=position), method, baseline="mean")
    for place, vector in [(0, VECTORS[0]), (2, VECTORS[2])]:
        alone = found(nc.targets.Feature("pre", vector, position), method, baseline="mean")
        for node in alone.subtree:
            for name, values in node.data_vars.items():
                of_many = whole[node.path][name]
                if "feature" in of_many.dims:
                    of_many = of_many.isel(feature=place, drop=True)
                xr.testing.assert_allclose(of_many, values, rtol=1e-9, atol=1e-12)
    assert "bypass" in whole["inside"]


def test_a_step_is_one_forward_pass_for_all_features(monkeypatch, in_blocks_of):
    in_blocks_of(3)
    ran = []
    for name in ("run", "reach"):
        own = getattr(Capture, name)

        def counted(self, x, *given, own=own, **named):
            ran.append(torch.is_grad_enabled() and len(x) == 4)
            return own(self, x, *given, **named)

        monkeypatch.setattr(Capture, name, counted)
    passed = []
    for steps in (2, 5):
        ran.clear()
        target = nc.targets.Features("pre", VECTORS, position="center")
        found(target, methods.IntegratedGradients(steps), layers=("one",))
        passed.append(sum(ran))
    assert passed[1] - passed[0] == 3
