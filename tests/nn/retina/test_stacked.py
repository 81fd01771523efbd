"""Stacks of linear convolutions against torch's own, one after the other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from neurocodec.errors import InputError
from neurocodec.nn.retina.stacked import Convolution, as_module, collapsed, composed, dense_weight

ONE = Convolution(torch.ones(1, 1, 3, 3).double())


@settings(max_examples=10, deadline=None)
@given(
    sides=st.lists(st.sampled_from([1, 2, 3, 5]), min_size=2, max_size=4),
    channels=st.integers(1, 3),
    biased=st.booleans(),
    padding=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_composed_convolutions_equal_one_after_the_other(sides, channels, biased, padding, seed):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    stack = [
        Convolution(
            random(channels, channels, n, n),
            random(channels) if biased else None,
            0 if i else padding,
        )
        for i, n in enumerate(sides)
    ]
    x = expected = random(2, channels, 14, 15)
    for c in stack:
        expected = functional.conv2d(expected, c.weight, c.bias, padding=c.padding)
    one = stack[0]
    for other in stack[1:]:
        one = composed(one, other)
    assert one.weight.shape[-1] == 1 + sum(n - 1 for n in sides)
    found = functional.conv2d(x, one.weight, one.bias, padding=one.padding)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_second_convolution_that_pads_is_not_composed():
    one = Convolution(torch.ones(1, 1, 3, 3).double(), None, 1)
    with pytest.raises(InputError, match="pads by 1"):
        composed(one, one)


def test_groups_become_blocks():
    weight = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1)).double()
    expected = functional.conv2d(x, weight.double(), groups=2)
    torch.testing.assert_close(functional.conv2d(x, dense_weight(weight, 4)), expected)
    with pytest.raises(InputError, match="for 5 channels"):
        dense_weight(weight, 5)


def test_a_convolution_within_each_channel_is_diagonal():
    assert dense_weight(torch.ones(2, 1, 1, 1), 2)[:, :, 0, 0].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_two_squares_of_ones_are_a_pyramid():
    one = Convolution(torch.ones(1, 1, 2, 2).double())
    found = composed(one, one).weight[0, 0].tolist()
    assert found == [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]


def test_seven_small_kernels_are_one_of_fifteen_pixels():
    assert [tuple(c.weight.shape[2:]) for c in collapsed([ONE] * 7)] == [(15, 15)]


def test_a_stack_without_padding_is_one_module():
    module = as_module([ONE, ONE])
    assert repr(module) == "Conv2d(1, 1, kernel_size=(5, 5), stride=(1, 1), bias=False)"
