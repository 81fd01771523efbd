"""The faster form of convolutions against torch's own, and the module given back."""

from dataclasses import replace

import pytest
import torch
from networks import convolutional, images, retina, seeded
from torch import nn

import neurocodec as nc
from neurocodec.nn.capture.hooks import Capture, Pass, borrowed
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Prefix
from neurocodec.nn.capture.shortcuts import foldable
from neurocodec.nn.capture.tracing import agree, quickened, trace
from neurocodec.nn.fast import convolution


def both_ways(module, x, normalised=None):
    """Output and input gradient, plain and rewritten."""
    found = []
    names = {part: name for name, part in module.named_modules()}
    for folded in (None, normalised or {}):
        leaf = x.clone().requires_grad_()
        with borrowed(module) as own:
            if folded is None:
                y = own(leaf)
            else:
                parts = own.get_submodule
                pairs = {parts(names[a]): parts(names[b]) for a, b in folded.items()}
                with convolution.rewritten(own, pairs, {*own.modules()}):
                    y = own(leaf)
                    y.square().sum().backward()
            if folded is None:
                y.square().sum().backward()
        found.append((y.detach(), leaf.grad))
    return found


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("kernel", [1, 3, 5, (7, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_outputs_and_gradients_are_torchs(kernel, padding, stride):
    module = seeded(lambda: nn.Conv2d(3, 4, kernel, padding=padding, stride=stride))
    x = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    (y, g), (fast_y, fast_g) = both_ways(nn.Sequential(module), x)
    torch.testing.assert_close(fast_y, y, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast_g, g, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_is_folded(affine, bias):
    module = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine))
    ).eval()
    module[1].running_mean = torch.tensor([1.0, -2.0, 0.5, 3.0])
    module[1].running_var = torch.tensor([4.0, 0.5, 9.0, 1.0])
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (y, g), (fast_y, fast_g) = both_ways(module, x, {module[0]: module[1]})
    torch.testing.assert_close(fast_y, y, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast_g, g, rtol=1e-4, atol=1e-4)


def test_a_forward_is_replaced_and_given_back():
    module = nn.Identity()
    with convolution.replaced_forward(module, lambda x: 2 * x):
        assert module(torch.tensor(3.0)).item() == 6.0
    assert module(torch.tensor(3.0)).item() == 3.0
    module.forward = own = lambda x: -x
    with convolution.replaced_forward(module, lambda x: 2 * x):
        pass
    assert module.forward is own


def test_a_folded_norm_leaves_the_answer_as_it_is():
    module = seeded(lambda: nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))).eval()
    x = torch.ones(1, 1, 2, 2)
    with torch.no_grad(), convolution.rewritten(module, {module[0]: module[1]}, {*module}):
        fast = module(x)
    torch.testing.assert_close(fast, module(x).detach())


def test_pairs_are_found_and_captured_convolutions_keep_their_norm():
    x = torch.from_numpy(images(2).values)
    for name, folded in (("1", True), ("0", False)):
        with Capture(convolutional(), {"a": Layer(name)}).attached() as capture:
            traced, module = trace(capture, x), capture.module
            assert foldable(traced.flow, capture) == ({module[0]: module[1]} if folded else {})
            with quickened(capture, traced, x, x):
                assert "forward" in module[0].__dict__
                assert ("forward" in module[1].__dict__) is folded
                assert agree(capture.look(x), traced.done)
        assert "forward" not in module[0].__dict__


class Shared(nn.Module):
    """The convolution's output is used before the norm too: folding would be wrong."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([5.0, -5.0, 1.0])
        self.end = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

    def forward(self, x):
        h = self.convolution(x)
        return self.end(h + self.norm(h))


def test_a_convolution_that_is_used_twice_keeps_its_norm():
    module = seeded(Shared).eval()
    x = torch.from_numpy(images(2).values)
    module(x)
    with Capture(module, {"end": Layer("end")}).attached() as capture:
        traced = trace(capture, x)
        assert not foldable(traced.flow, capture)
        with quickened(capture, traced, x, x):
            assert "forward" not in capture.module.norm.__dict__
            assert agree(capture.look(x), traced.done)


def test_a_rewriting_that_does_not_agree_is_dropped():
    module = convolutional()
    x = torch.from_numpy(images(2).values)
    with Capture(module, {"end": Layer("3")}).attached() as capture:
        traced = trace(capture, x)
        wrong = Pass(traced.done.outputs[:1] + 1, traced.alone.done.hidden)
        other = replace(traced, alone=replace(traced.alone, done=wrong))
        with quickened(capture, other, x, x):
            assert "forward" not in capture.module[0].__dict__
            assert "forward" not in capture.module[1].__dict__


def test_prefix_is_skipped_with_zeros_and_comes_back():
    stimulus = torch.randn(3, 6, 12, 12, generator=torch.Generator().manual_seed(0))
    layers = {"layer1": Layer("0"), "layer2": Layer("5")}
    with Capture(retina(), layers).attached() as capture:
        traced, module = trace(capture, stimulus), capture.module
        prefix = Prefix.of(capture, traced)
        with prefix.skipped():
            assert not module[0].forward(stimulus).any()
        assert module[0].forward(stimulus).any()
    assert prefix.convolution is module[0]


def test_a_prefix_that_is_bypassed_is_not_used():
    class Bypassed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)) + x)

    module = seeded(Bypassed)
    net = nc.Network(module, ["first"])
    values = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    stimulus = nc.labels.labelled(values, ("stimulus", "feature"), name="stimulus")
    tree = nc.contributions(
        net,
        stimulus,
        target=nc.targets.Output(0),
        method=nc.methods.IntegratedGradients(steps=500),
        progress=False,
    )
    # what passes by the layer is missing from its contributions, exactly
    w = module.second.weight.detach()[0]
    expected = -(values @ w)
    torch.testing.assert_close(
        torch.from_numpy(tree["first"].completeness_error.values), expected, rtol=1e-2, atol=1e-3
    )
