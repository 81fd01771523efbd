"""What predicted rates explain, by hand, by other formulas and by scipy's Poisson distribution."""

import numpy as np
import pytest
from scipy import stats

from neurocodec.kernels.explained import (
    bits_per_spike,
    bits_per_spike_interval,
    signal_explained,
    signal_explained_interval,
)


def _spikes(repeats=20, times=4000, seed=0):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.5, 2.0, size=(times, 2))
    return rate, rng.poisson(rate, size=(repeats, times, 2)).astype(float)


def test_the_true_rate_explains_all_half_of_it_three_quarters_its_mean_nothing():
    rate, y = _spikes()
    np.testing.assert_allclose(signal_explained(y, rate), 1, atol=0.02)
    np.testing.assert_allclose(signal_explained(y, rate / 2), 0.75, atol=0.02)
    np.testing.assert_allclose(signal_explained(y, 0 * rate + 3), 0, atol=1e-12)
    np.testing.assert_allclose(signal_explained(y, -rate), -3, atol=0.05)


def test_it_is_the_fraction_of_explainable_variance_where_means_agree():
    # 1 - (mean squared error of single repeats - noise) / (variance of these - noise), Cadena et
    # al. 2019, with the unbiased variance over repeats as noise
    rate, y = _spikes(repeats=6)
    p = np.sqrt(rate)
    p += y.mean(axis=(0, 1)) - p.mean(axis=0)
    noise = y.var(axis=0, ddof=1).mean(axis=0)
    error = ((y - p) ** 2).mean(axis=(0, 1))
    other = 1 - (error - noise) / (y.reshape(-1, 2).var(axis=0) - noise)
    np.testing.assert_allclose(signal_explained(y, p), other, rtol=2e-3)


def test_pure_noise_has_nothing_to_explain_or_an_interval_with_zero():
    y = np.tile(
        [[[1.0], [2.0]], [[2.0], [1.0]]], (1, 10, 1)
    )  # repeats that are each other's mirror
    assert np.isnan(signal_explained(y, y[0])).all()
    rng = np.random.default_rng(0)
    noise, p = rng.normal(size=(8, 500, 30)), rng.normal(size=(500, 30)) / 20
    low, high = signal_explained_interval(noise, p)
    known = np.isfinite(low)
    assert ((low <= 0) & (high >= 0))[known].mean() > 0.8


def test_a_rate_that_is_double_or_nothing_gives_one_bit_a_spike():
    y = np.tile([[2.0], [0.0]], (50, 1))
    np.testing.assert_allclose(bits_per_spike(y, y), 1, atol=1e-4)
    np.testing.assert_allclose(bits_per_spike(y, np.ones((100, 1))), 0, atol=1e-12)
    assert bits_per_spike(y, y[::-1]).item() < -10  # spikes where none was expected
    assert np.isnan(bits_per_spike(0 * y, y)).all()


def test_bits_are_differences_of_poisson_likelihoods():
    rate, y = _spikes(repeats=1, times=300)
    counts, p = y[0], 0.5 * rate + 0.3
    logs = [stats.poisson.logpmf(counts, r).sum(axis=0) for r in (p, counts.mean(axis=0))]
    expected = (logs[0] - logs[1]) / counts.sum(axis=0) / np.log(2)
    np.testing.assert_allclose(bits_per_spike(counts, p), expected, rtol=1e-10)
    np.testing.assert_allclose(bits_per_spike(100 * counts, 100 * p), expected, rtol=1e-10)


@pytest.mark.parametrize("which", ["bits", "signal"])
def test_intervals_hold_the_value_of_a_long_recording(which):
    # of a model that is wrong in a known way, over recordings of 400 times
    held, (long, many) = [], _long()
    for seed in range(40):
        rate, y = _spikes(repeats=4, times=400, seed=seed)
        if which == "bits":
            ends = bits_per_spike_interval(y.mean(0), rate + 0.5)
            true = bits_per_spike(many, long + 0.5)
        else:
            ends, true = signal_explained_interval(y, 0.5 * rate), 0.75
        held.append((ends[0] <= true) & (true <= ends[1]))
    assert np.mean(held) > 0.86


def _long():
    rate, y = _spikes(repeats=1, times=50_000, seed=99)
    return rate, y[0]
