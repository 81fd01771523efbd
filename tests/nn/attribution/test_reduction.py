"""Sums over positions, by hand."""

import torch

from neurocodec.nn.attribution.reduction import SLICE, slices, split_sign, sum_positions


def test_a_sample_as_large_as_the_cache_is_a_slice():
    assert [s.stop - s.start for s in slices(torch.zeros(3, SLICE))] == [1, 1, 1]


def test_positions_are_summed():
    assert sum_positions(torch.ones(1, 2, 3, 3)).tolist() == [[9.0, 9.0]]


def test_signs_are_taken_before_or_after_the_sum():
    values = torch.tensor([[[3.0, -1.0]]])
    assert split_sign(values).tolist() == [[[3.0], [-1.0]]]
    assert split_sign(values, "after").tolist() == [[[2.0], [0.0]]]
