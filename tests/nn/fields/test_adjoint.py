"""Adjoints of convolutions against hand arithmetic and torch."""

import torch
from torch import nn

from neurocodec.nn.fields.adjoint import Adjoint, local_gradients, separate


def test_a_field_that_is_one_everywhere_is_one_component():
    found = separate(torch.ones(1, 2, 3, 3), rank=1)
    torch.testing.assert_close(found.energy_share, torch.tensor([[1.0]]))
    assert found.temporal.shape == (1, 1, 2)
    assert found.spatial.shape == (1, 1, 3, 3)


def test_a_gradient_at_one_output_brings_the_kernel_back():
    adjoint = Adjoint(torch.tensor([[[[1.0, 2.0]]]]), (1, 3))
    found = adjoint.fields(torch.tensor([[[[1.0, 0.0]]]]))
    assert found.round().flatten().tolist() == [1.0, 2.0, 0.0]


def test_gradients_through_a_large_convolution_are_torchs():
    module, x = nn.Conv2d(1, 1, 5), torch.ones(1, 1, 6, 6, requires_grad=True)
    with local_gradients(module.modules()):
        assert "forward" in module.__dict__
        quick = torch.autograd.grad(module(x)[0, 0, 0, 0], x)[0]
    assert "forward" not in module.__dict__
    plain = torch.autograd.grad(module(x)[0, 0, 0, 0], x)[0]
    torch.testing.assert_close(quick, plain, atol=1e-6, rtol=1e-5)
