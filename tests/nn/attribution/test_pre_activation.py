import numpy as np
import pytest
import torch
import xarray as xr
from residual import residual
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError


def pre(block, alias="block") -> nc.Layer:
    return nc.Network(nn.Sequential(block), layers={"block": "0"}).pre_activation(alias)


@pytest.mark.parametrize(
    ("block", "occurrence"), [(BasicBlock(4, 4), 1), (Bottleneck(8, 2), 2)], ids=["basic", "neck"]
)
def test_a_residual_block_has_one_relu_that_runs_more_than_once(block, occurrence):
    assert pre(block) == nc.Layer("0.relu", at="input", occurrence=occurrence)


def test_it_is_what_the_block_rectifies():
    block = residual(dtype=torch.float32).one
    net = nc.Network(nn.Sequential(block, nn.Flatten(), nn.Linear(4, 2)), layers={"block": "0"})
    layer = net.pre_activation("block")
    seen = []
    part = dict(net.module.named_modules())[layer.module]
    part.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    x = torch.randn(2, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    after = block(x)
    torch.testing.assert_close(seen[layer.occurrence].relu(), after)
    torch.testing.assert_close(seen[layer.occurrence], block.before_relu(x))
    assert bool((seen[layer.occurrence] < 0).any())


class Function(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.linear, self.relu = nn.Linear(3, 3), relu

    def forward(self, x):
        return self.relu(self.linear(self.linear(x)))


@pytest.mark.parametrize(
    "relu", [functional.relu, torch.relu, torch.relu_, lambda x: x.relu(), functional.gelu]
)
def test_a_function_reads_what_a_module_returns(relu):
    assert pre(Function(relu)) == nc.Layer("0.linear", occurrence=1)


def test_a_sum_that_a_module_hands_on_is_its_output():
    assert pre(residual(functional_relu=True).one) == nc.Layer("0.total")


class Summed(nn.Module):
    """relu(inner(relu(x)) + x) by functions alone, in place; the sum is no module's."""

    def __init__(self, relu, inner=None):
        super().__init__()
        self.inner, self.relu = nn.Linear(3, 3) if inner is None else inner, relu

    def forward(self, x):
        return self.relu(self.inner(functional.relu(x)) + x)


@pytest.mark.parametrize(
    "relu",
    [torch.relu, lambda x: functional.relu(x, inplace=True), lambda x: functional.relu(input=x)],
)
def test_a_function_reads_a_sum_that_no_module_returns(relu):
    block = Summed(relu).double()
    assert pre(block) == nc.Layer("0", at="nonlinearity", occurrence=1)
    net = nc.Network(nn.Sequential(nn.Linear(2, 3), block, nn.Linear(3, 1)).double(), ["0", "1"])
    net = nc.Network(net.module, layers={**net.layers, "pre": net.pre_activation("1")})
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = xr.DataArray(x.numpy(), dims=("stimulus", "feature"))
    target = nc.targets.Features("pre", channels=[0, 2])
    found = nc.tension(net, images, "0", target=target, method=nc.methods.ActGrad(), progress=False)
    h = net.module[0](x).detach().requires_grad_()
    total = block.inner(h.relu()) + h
    assert bool((total < 0).any())
    np.testing.assert_allclose(found.target, total[:, [0, 2]].detach(), rtol=1e-9)
    s = torch.autograd.grad(total[:, 2].sum(), h)[0] * h
    np.testing.assert_allclose(found.inhibition[:, 1], (-s).clamp(min=0).sum(1).detach())


def test_beside_a_block_of_its_own_a_function_is_not_counted():
    with pytest.raises(InputError, match="beside a TransformerEncoderLayer"):
        pre(Summed(torch.relu, nn.TransformerEncoderLayer(3, 1, 4)))


def test_what_a_function_reads_is_not_masked():
    net = nc.Network(nn.Sequential(Summed(torch.relu)), ["0"])
    net = nc.Network(net.module, layers={"pre": net.pre_activation("0")})
    with pytest.raises(InputError, match="a function reads"), nc.ablate(net, "pre", [0]):
        pass


def test_a_relu_itself_and_a_block_that_ends_in_idle_modules():
    assert pre(nn.ReLU()) == nc.Layer("0", at="input")
    block = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(), nn.Identity())
    assert pre(block) == nc.Layer("0.1", at="input")


class Choosing(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (nn.Linear(2, 2), "does not end in a nonlinearity"),
        (Choosing(), "cannot be followed without a sample"),
    ],
)
def test_what_has_none_is_refused(block, message):
    with pytest.raises(InputError, match=message):
        pre(block)


def test_layers_that_are_none_are_refused():
    with pytest.raises(UnknownNameError, match="no layer 'blok'"):
        pre(nn.ReLU(), "blok")
