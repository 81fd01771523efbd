"""Scores as orders of channels, and orders as masks, by hand."""

import numpy as np

from neurocodec.perturbation.masks import channel_counts, keep_masks, rank


def test_the_largest_score_is_first_and_none_is_last():
    assert rank(np.array([0.1, np.nan, 0.7]), seed=0).tolist() == [2, 0, 1]


def test_a_fraction_is_at_least_one_channel():
    assert channel_counts([0, 0.01, 0.5, 1], 16).tolist() == [0, 1, 8, 16]


def test_the_first_channels_are_ablated():
    kept = keep_masks(np.array([2, 0, 1]), np.array([1]), ablated=True)
    assert kept.tolist() == [[True, True, False]]
