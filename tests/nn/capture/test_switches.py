"""Checkpoints and compiled code, against the same network without them."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.utils import checkpoint as torch_checkpoint

import neurocodec as nc

METHODS = (
    nc.methods.IntegratedGradients(steps=2),
    nc.methods.IntegratedGradients(steps=2, path="hidden"),
    nc.methods.ActGrad(),
    nc.methods.InputGrad(),
)


class Plain(nn.Module):
    """A convolution, a part that may be checkpointed, and a readout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.out = nn.Conv2d(1, 2, 2), nn.Conv2d(2, 2, 1), nn.Linear(8, 2)

    def part(self, x):
        return self.b(self.a(x).relu()).tanh()

    def forward(self, x):
        return self.out(self.part(x).flatten(1))


class Checkpointed(Plain):
    """The same, with checkpoints of one of the two kinds."""

    def __init__(self, *, reentrant):
        super().__init__()
        self.reentrant = reentrant

    def forward(self, x):
        part = torch_checkpoint.checkpoint(self.part, x, use_reentrant=self.reentrant)
        return self.out(part.flatten(1))


def stimulus():
    values = np.random.default_rng(0).random((3, 1, 3, 3), "float32")
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def numbers(module, method, prefix=""):
    net = nc.Network(module, {name: prefix + name for name in "ab"})
    target = nc.targets.Output("1")
    tree = nc.contributions(net, stimulus(), target=target, method=method, progress=False)
    return np.concatenate([tree[name].contribution.values.ravel() for name in "ab"])


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_checkpoints_change_nothing(reentrant, method):
    before = torch_checkpoint.CheckpointFunction.apply
    found = numbers(Checkpointed(reentrant=reentrant), method)
    np.testing.assert_allclose(found, numbers(Plain(), method), rtol=1e-5, atol=1e-7)
    assert torch_checkpoint.CheckpointFunction.apply == before


def test_a_module_that_was_compiled_and_has_run_is_looked_into():
    compiled = torch.compile(Plain(), backend="eager")
    compiled(torch.from_numpy(stimulus().values))
    found = numbers(compiled, METHODS[0], "_orig_mod.")
    np.testing.assert_allclose(found, numbers(Plain(), METHODS[0]), rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [torch.jit.script, torch.fx.symbolic_trace, lambda m: m])
def test_other_forms_of_a_module_answer_alike(make):
    module = Plain().eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(stimulus().values))
    found = nc.respond(nc.Network(make(module), []), stimulus())
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_exported_module_answers_alike():
    module, x = Plain(), torch.from_numpy(stimulus().values)
    shapes = ({0: torch.export.Dim("sample")},)
    exported = torch.export.export(module, (x,), dynamic_shapes=shapes).module()
    found = nc.respond(nc.Network(exported, []), stimulus())
    np.testing.assert_allclose(found, module(x).detach(), rtol=1e-6)
