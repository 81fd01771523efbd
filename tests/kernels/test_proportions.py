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


def test_what_comes_on_top_makes_an_interval_as_wide_as_fewer_images():
    # of 100 images p (1 - p) / n = 0.0016; three times that on top is as if there were 25
    top = 3 * 0.2 * 0.8 / 100
    known = wilson_interval(0.2, 100, spread=top, freedom=1e9)
    np.testing.assert_allclose(known, wilson_interval(0.2, 25), atol=1e-6)
    wider = wilson_interval(0.2, 100, spread=top, freedom=2)
    assert wider[0] < known[0]
    assert wider[1] > known[1]
    np.testing.assert_array_equal(wilson_interval(0.0, 100, spread=0.0), wilson_interval(0.0, 100))
