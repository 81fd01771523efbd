"""Gradients of normalisation are right for any strides, of a sample alone and of several."""

from itertools import permutations

import pytest
import torch
from networks import seeded
from torch import nn

from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.normalisation import laid_out


class Tokens(nn.Module):
    def forward(self, x):
        return x.flatten(2).transpose(1, 2)


class Shuffle(nn.Module):
    def forward(self, x):
        n, c, *size = x.shape
        return x.view(n, 2, c // 2, *size).transpose(1, 2).reshape(n, c, *size)


class ByHand(nn.Module):
    """Instance norm in plain arithmetic."""

    def forward(self, x):
        mean = x.mean((2, 3), keepdim=True)
        variance = x.var((2, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()


def gradients(module, x):
    module = module.double()
    with Capture(module, {"first": Layer("0")}).attached() as capture, torch.enable_grad():
        done = capture.run(x)
        weights = torch.linspace(-1, 1, done.outputs.shape[1], dtype=x.dtype)
        return torch.autograd.grad((done.outputs * weights).sum(), done.hidden["first"])[0]


@pytest.mark.parametrize("after", [Tokens, Shuffle, nn.Identity])
@pytest.mark.parametrize("size", [(5, 5), (5, 3), (3, 5)])
def test_batch_norm(after, size):
    module = seeded(
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), after(), nn.Flatten())
    ).eval()
    module[1].running_var.uniform_(0.5, 2)
    x = torch.randn(3, 2, *size, dtype=torch.float64)
    torch.testing.assert_close(gradients(module, x[:1]), gradients(module, x)[:1])


@pytest.mark.parametrize("after", [Tokens, Shuffle, nn.Identity])
@pytest.mark.parametrize("samples", [1, 3])
def test_instance_norm(after, samples):
    first = seeded(lambda: nn.Conv2d(2, 4, 3))
    x = torch.randn(samples, 2, 5, 4, dtype=torch.float64)
    expected, found = (
        gradients(nn.Sequential(first, norm, after(), nn.Flatten()), x)
        for norm in (ByHand(), nn.InstanceNorm2d(4))
    )
    torch.testing.assert_close(found, expected)


class Scale(nn.Module):
    """Batch norm in evaluation, in plain arithmetic."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        size = (-1, *(1 for _ in x.shape[2:]))
        mean, var = (b.view(size) for b in (self.norm.running_mean, self.norm.running_var))
        return (x - mean) / (var + self.norm.eps).sqrt()


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1), (3, 4)])
@pytest.mark.parametrize("channels", [1, 2])
def test_batch_norm_for_gradients_in_any_order_of_axes(samples, shape, channels):
    norm = nn.BatchNorm2d(channels, affine=False).double().eval()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(samples, channels, *shape, dtype=torch.float64)
    first = seeded(lambda: nn.Conv2d(channels, channels, 1))
    for order in permutations(range(4)):
        found, expected = (
            gradients(nn.Sequential(first, way, Laid(order), nn.Flatten()), x)
            for way in (norm, Scale(norm))
        )
        torch.testing.assert_close(found, expected)


class Laid(nn.Module):
    """Hands back gradients whose memory runs through the axes in some order."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return _Laid.apply(x, self.order)


class _Laid(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, order):
        ctx.order = order
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        strides, size = [0] * gradient.ndim, 1
        for axis in reversed(ctx.order):
            strides[axis] = size
            size *= gradient.shape[axis]
        laid = gradient.new_empty_strided(gradient.shape, strides)
        return laid.copy_(gradient), None


class ByName(nn.Module):
    """Calls the operator itself."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        n = self.norm
        given = (n.weight, n.bias, n.running_mean, n.running_var, False, 0.1, n.eps)
        return torch.ops.aten.native_batch_norm(x, *given)[0]


@pytest.mark.parametrize("way", [torch.jit.script, ByName], ids=["script", "operator"])
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_norms_that_no_function_of_python_calls(way):
    norm = nn.BatchNorm2d(4, affine=False).double().eval()
    norm.running_var.uniform_(0.5, 2)
    first = seeded(lambda: nn.Conv2d(2, 4, 3))
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    found, expected = (
        gradients(nn.Sequential(first, part, Tokens(), nn.Flatten()), x)
        for part in (way(norm), Scale(norm))
    )
    torch.testing.assert_close(found, expected)


def test_strides_along_axes_of_one_count_too():
    x = torch.arange(6.0).as_strided((1, 2, 3), (1, 3, 1))
    assert laid_out(x, (6, 3, 1)).stride() == (6, 3, 1)
    assert laid_out(x, x.stride()) is x
