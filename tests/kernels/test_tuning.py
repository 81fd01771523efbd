"""Indices of tuning against what can be said by hand."""

from itertools import permutations

import numpy as np
import pytest

from neurocodec.kernels import tuning

EIGHT = np.arange(8) * 45.0


def test_a_response_is_above_the_mean_before():
    values = np.array([2.0, 4.0, 3.0, 8.0, 1.0])[:, None]
    course = tuning.above_baseline(values, slice(2, 5), slice(0, 2))
    assert course.ravel().tolist() == [0.0, 5.0, 0.0]


def test_on_and_off():
    on, off = np.array([3.0, 0.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0, 0.0])
    np.testing.assert_array_equal(tuning.on_off_index(on, off), [0.5, -1, 0, np.nan])


def test_what_lasts_is_not_transient():
    course = np.array([[4.0, 1.0, 0.0], [4.0, 0.0, 0.0]])
    np.testing.assert_array_equal(tuning.transience(course), [0, 0.5, np.nan])


@pytest.mark.parametrize("preferred", [0.0, 45.0, 270.0])
def test_a_cosine_about_one_direction(preferred):
    turn = np.deg2rad(EIGHT - preferred)
    length, angle = tuning.selectivity(1 + np.cos(turn), EIGHT, tuning.DIRECTION)
    assert length == pytest.approx(0.5)  # the mean of (1 + cos) cos over that of 1 + cos
    assert np.cos(np.deg2rad(angle - preferred)) == pytest.approx(1)
    length, _ = tuning.selectivity(1 + np.cos(turn), EIGHT, tuning.ORIENTATION)
    assert length == pytest.approx(0, abs=1e-12)


def test_an_axis_has_an_orientation_and_no_direction():
    both = (EIGHT % 180 == 45).astype(float)
    length, angle = tuning.selectivity(both, EIGHT, tuning.ORIENTATION)
    assert (length, angle) == (pytest.approx(1), pytest.approx(45))
    assert tuning.selectivity(both, EIGHT, tuning.DIRECTION)[0] == pytest.approx(0, abs=1e-12)


def test_who_does_not_answer_has_no_index():
    length, angle = tuning.selectivity(np.zeros(8), EIGHT, tuning.DIRECTION)
    assert np.isnan(length)
    assert np.isnan(angle)


def test_the_p_value_of_one_block_is_that_of_all_orders():
    values = np.array([9.0, 5.0, 1.0, 2.0])
    angles = np.arange(4) * 90.0
    found = tuning.selectivity_p_value(values[None, None], angles, tuning.DIRECTION, 5000, 0)
    every = np.array([*permutations(values)])
    lengths, _ = tuning.selectivity(every, angles, tuning.DIRECTION)
    mine, _ = tuning.selectivity(values, angles, tuning.DIRECTION)
    exact = (lengths >= mine - 1e-9).mean()
    assert found[0] == pytest.approx(exact, abs=0.03)


def test_false_alarms_are_as_rare_as_they_say():
    random = np.random.default_rng(0)
    noise = random.gamma(1.0, 1.0, (3, 400, 8))
    p = tuning.selectivity_p_value(noise, EIGHT, tuning.DIRECTION, 199, 0)
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.035)  # three standard errors
    assert p.mean() == pytest.approx(0.5, abs=0.05)
