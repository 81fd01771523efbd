"""Proportions of images: intervals, resampling, areas under curves."""

import numpy as np

from neurocodec.kernels.proportions import (
    resample_weights,
    resampled_proportions,
    separation_area,
    wilson_interval,
)


def test_none_of_a_hundred_may_be_up_to_four():
    assert [round(float(end), 3) for end in wilson_interval(0.0, 100)] == [0.0, 0.037]


def test_proportions_are_those_of_the_images_drawn():
    weights = np.array([[1, 1], [2, 0]])
    found = resampled_proportions(np.array([1, 0]), np.array([1, 1]), weights)
    assert found.tolist() == [0.5, 1.0]


def test_a_resample_has_as_many_images_as_there_are():
    found = resample_weights(3, 2, np.random.default_rng(0))
    assert found.sum(axis=1).tolist() == [3.0, 3.0]


def test_a_target_that_falls_at_once_is_separated_by_three_quarters():
    share = np.array([0.0, 0.5, 1.0])
    assert separation_area(np.array([1, 0, 0.0]), np.ones(3), share, ablated=True) == 0.75
