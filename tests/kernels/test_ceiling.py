"""The ceiling of repeats against covariances from numpy and a known Poisson rate."""

from __future__ import annotations

import numpy as np
import pytest

from neurocodec.errors import InputError
from neurocodec.kernels.ceiling import ceiling_interval, repeat_ceiling, signal_power


def test_signal_power_is_the_mean_covariance_of_different_repeats():
    y = np.random.default_rng(0).normal(size=(5, 40)) + np.sin(np.arange(40))
    covariance = np.cov(y, ddof=0)
    different = covariance[~np.eye(5, dtype=bool)]
    np.testing.assert_allclose(signal_power(y), different.mean())


def test_ceiling_is_the_correlation_of_the_true_rate_with_the_mean_of_repeats():
    rng = np.random.default_rng(1)
    rate = rng.gamma(0.3, 1.0, (50_000, 3)) * [0.05, 0.2, 1.0]
    counts = rng.poisson(rate, (10, *rate.shape))
    true = [np.corrcoef(rate[:, i], counts.mean(0)[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(repeat_ceiling(counts), true, atol=0.02)


def test_axes_can_be_anywhere():
    counts = np.random.default_rng(2).poisson(np.linspace(0, 3, 60)[:, None], (8, 60, 2))
    moved = repeat_ceiling(counts.transpose(1, 2, 0), repeat_axis=2, axis=0)
    np.testing.assert_array_equal(moved, repeat_ceiling(counts))


def test_no_signal_is_nan_and_identical_repeats_reach_one():
    same = np.tile([1.0, 2.0, 4.0], (3, 1))
    np.testing.assert_allclose(repeat_ceiling(same), 1)
    assert np.isnan(repeat_ceiling(np.ones((3, 4))))
    assert np.isnan(repeat_ceiling(np.array([[0.0, 1.0], [1.0, 0.0]])))


def test_one_repeat_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        repeat_ceiling(np.ones((1, 4)))


def test_signal_power_of_equal_repeats_is_their_variance():
    assert signal_power(np.array([[0.0, 2.0], [0.0, 2.0]])).item() == 1.0


def test_ceiling_of_equal_repeats_is_one():
    assert repeat_ceiling(np.array([[0.0, 2.0, 0.0], [0.0, 2.0, 0.0]])).item() == 1.0


@pytest.mark.parametrize("repeats", [2, 6])
def test_the_ceiling_of_noise_is_rarely_called_above_0(repeats):
    noise = np.random.default_rng(3).normal(size=(repeats, 300, 400))
    low, high = ceiling_interval(noise)
    assert (low > 0).mean() <= 0.05
    assert (high >= np.nan_to_num(repeat_ceiling(noise))).all()


def test_the_interval_of_a_ceiling_holds_the_true_one():
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(2000, 200))
    y = signal + 2.0 * rng.normal(size=(8, *signal.shape))
    true = np.sqrt(1 / (1 + 4 / 8))
    low, high = ceiling_interval(y)
    assert 0.85 <= ((low <= true) & (true <= high)).mean() <= 1.0
    assert (low > 0.5).all()


def test_equal_repeats_have_no_width():
    low, high = ceiling_interval(np.tile([1.0, 2.0, 4.0], (3, 1)))
    assert (low.item(), high.item()) == pytest.approx((1.0, 1.0))
