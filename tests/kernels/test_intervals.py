"""Intervals by hand."""

import numpy as np

from neurocodec.kernels.intervals import (
    bootstrap_means,
    centred_interval,
    draw_counts,
    interval,
    jackknife_interval,
    mean_intervals,
)


def test_a_draw_has_as_many_rows_as_there_are():
    (counts,) = draw_counts(5, 2, 0, series=False)
    assert counts.shape == (2, 5)
    assert counts.sum(axis=1).tolist() == [5.0, 5.0]


def test_means_of_drawn_rows_leave_nan_out():
    assert bootstrap_means([[1.0, np.nan], [1.0, 3.0]], draws=1, seed=0).tolist() == [[1.0, 3.0]]


def test_an_interval_is_between_percentiles():
    assert interval(np.arange(101.0), 0.9).round(6).tolist() == [5.0, 95.0]


def test_a_mean_comes_with_its_interval_and_its_number_of_rows():
    found = mean_intervals([[2.0], [2.0], [np.nan]], 10, 0.95, 0)
    assert found.ravel().tolist() == [2.0, 2.0, 2.0, 2.0]


def test_a_jackknife_of_three_groups_is_wide():
    found = jackknife_interval(5.0, [4.0, 5.0, 6.0], 0.95)
    assert found.round(2).tolist() == [0.03, 9.97]


def test_a_centred_interval_tells_the_bias_apart():
    found = centred_interval(1.0, [1.0, 2.0, 3.0], 0.99)
    assert found.round(2).tolist() == [0.01, 1.99, 1.0]
