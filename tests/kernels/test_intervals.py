"""Intervals by hand, by scipy, and how often they hold what they say."""

import numpy as np
import pytest
from scipy import stats

from neurocodec.kernels.intervals import (
    bootstrap_means,
    centred_interval,
    draw_counts,
    interval,
    jackknife_interval,
    level_of_chance,
    mean_intervals,
    prediction_interval,
    without_stretches,
)

RANDOM = np.random.default_rng


def test_a_draw_has_as_many_rows_as_there_are():
    (counts,) = draw_counts(5, 2, 0)
    assert counts.shape == (2, 5)
    assert counts.sum(axis=1).tolist() == [5.0, 5.0]


def test_means_of_drawn_rows_leave_nan_out():
    assert bootstrap_means([[1.0, np.nan], [1.0, 3.0]], draws=1, seed=0).tolist() == [[1.0, 3.0]]


def test_an_interval_is_between_percentiles():
    assert interval(np.arange(101.0), 0.9).round(6).tolist() == [5.0, 95.0]


def test_percentiles_leave_nan_out_and_are_numpys():
    draws = RANDOM(0).random((200, 3))
    draws[::7, 1] = draws[:, 2] = np.nan
    expected = np.nanquantile(draws[:, :2], [0.1, 0.9], axis=0)
    found = interval(draws, 0.8)
    np.testing.assert_allclose(found[:, :2], expected)
    assert np.isnan(found[:, 2]).all()


def test_of_few_rows_an_interval_of_a_normal_mean_is_that_of_students_t():
    rows = RANDOM(0).standard_normal((8, 1))
    draws = rows.mean() + np.sqrt(rows.var() / 8) * RANDOM(1).standard_normal((400_000, 1))
    expected = stats.t.interval(0.95, 7, rows.mean(), rows.std(ddof=1) / np.sqrt(8))
    np.testing.assert_allclose(interval(draws, 0.95, 8)[:, 0], expected, atol=0.03)


def test_a_correction_for_skewness_is_that_of_scipy():
    rows = RANDOM(3).exponential(size=200)
    found = mean_intervals(rows[:, None], 6000, 0.9, 0)[1:3, 0]
    # so many rows that those of few need no correction
    other = stats.bootstrap(
        (rows,), np.mean, confidence_level=0.9, n_resamples=6000, method="BCa", rng=RANDOM(1)
    ).confidence_interval
    np.testing.assert_allclose(found, other, atol=0.012)


def test_one_row_has_no_interval():
    assert np.isnan(mean_intervals([[2.0], [np.nan]], 10, 0.95, 0)[1:3]).all()


def test_a_mean_comes_with_its_interval_and_its_number_of_rows():
    found = mean_intervals([[2.0], [2.0], [np.nan]], 10, 0.95, 0)
    assert found.ravel().tolist() == [2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(("kind", "true"), [("standard_normal", 0.0), ("standard_exponential", 1)])
@pytest.mark.parametrize("size", [20, 40, 200])
def test_means_are_held_as_often_as_an_interval_says(kind, true, size):
    rows = getattr(RANDOM(size), kind)((size, 2000))
    _, low, high, _ = mean_intervals(rows, 400, 0.95, 0)
    assert 0.92 < ((low <= true) & (true <= high)).mean() < 0.965


@pytest.mark.parametrize(("size", "keep"), [(40, 0.0), (200, 0.0), (200, 0.5), (200, 0.8)])
def test_means_of_frames_are_held_too(size, keep):
    rows = RANDOM(size).standard_normal((size + 60, 2000))
    for i in range(1, len(rows)):
        rows[i] += keep * rows[i - 1]
    _, low, high, _ = mean_intervals(rows[60:], 1, 0.95, 0, series=True)
    assert 0.92 < ((low <= 0) & (high >= 0)).mean() < 0.97


def test_stretches_are_left_out_one_by_one():
    weights = without_stretches(10)
    assert weights.tolist() == [[float(j // 2 != i) for j in range(10)] for i in range(5)]
    assert without_stretches(3).sum(axis=1).tolist() == [2.0, 2.0, 2.0]
    x = RANDOM(0).random(10)
    means = x.reshape(5, 2).mean(axis=1)
    reach = stats.t.ppf(0.95, 4) * means.std(ddof=1) / np.sqrt(5)
    found = mean_intervals(x[:, None], 1, 0.9, 0, series=True)[1:3, 0]
    np.testing.assert_allclose(found, [x.mean() - reach, x.mean() + reach])


def test_no_draws_no_interval():
    for series in (False, True):
        found = mean_intervals(RANDOM(0).random((10, 1)), 0, 0.95, 0, series=series)
        assert np.isnan(found[1:3]).all()


def test_a_jackknife_of_three_groups_is_wide():
    found = jackknife_interval(5.0, [4.0, 5.0, 6.0], 0.95)
    assert found.round(2).tolist() == [0.03, 9.97]


def test_a_centred_interval_tells_the_bias_apart():
    found = centred_interval(1.0, [1.0, 2.0, 3.0], 0.99)
    assert found.round(2).tolist() == [0.01, 1.99, 1.0]


def test_a_level_of_chance_is_where_the_p_value_is():
    null = RANDOM(0).random((99, 4))
    level = level_of_chance(null, 0.95)
    np.testing.assert_array_equal(level, np.sort(null, axis=0)[94])
    p = (1 + (null >= level + 1e-9).sum(axis=0)) / 100
    assert p.tolist() == [0.05] * 4
    assert float(level_of_chance(np.arange(19.0), 0.95)) == 18.0  # the largest, not between two
    assert np.isnan(level_of_chance(np.arange(18.0), 0.95))
    assert np.isnan(level_of_chance(np.empty(0), 0.95))


def test_one_more_draw_exceeds_the_level_as_rarely_as_it_says():
    draws = RANDOM(0).standard_normal((21, 20_000))
    above = (draws[20] > level_of_chance(draws[:20], 0.95)).mean()
    assert 0.043 < above < 0.052  # 1 / 21
    assert (draws[20] > np.quantile(draws[:20], 0.95, axis=0)).mean() > 0.08  # what it was


def test_one_more_draw_is_above_a_prediction_interval_as_often_as_it_says():
    z = RANDOM(5).normal(0.3, 0.2, size=(10, 20_000))
    low, high = prediction_interval(np.tanh(z[:9]), 0.95)
    assert (np.tanh(z[9]) > high).mean() == pytest.approx(0.05, abs=0.006)
    assert (np.tanh(z[9]) < low).mean() == pytest.approx(0.05, abs=0.006)
    assert np.isnan(prediction_interval(np.tanh(z[:1]), 0.95)).all()
