"""Rows drawn again, singly and in blocks, and columns that no longer go together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocodec.kernels.resampling import (
    bootstrap_rows,
    break_columns,
    gaussian_rows,
    resample_training,
    shuffle_columns,
)

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 40), st.integers(1, 5))
def test_shuffled_columns_keep_their_values(seed, size, columns):
    rows = np.random.default_rng(seed).random((size, columns))
    np.testing.assert_array_equal(
        np.sort(shuffle_columns(rows, seed), axis=0), np.sort(rows, axis=0)
    )


def test_shuffled_columns_no_longer_go_together():
    column = np.random.default_rng(0).random(4000)
    rows = shuffle_columns(np.stack([column, column], axis=1), seed=1)
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.06  # 4 standard errors


@given(seeds, st.integers(1, 500), st.booleans())
def test_as_many_rows_are_drawn_as_there_are(seed, size, series):
    drawn = bootstrap_rows(size, seed, series=series)
    assert drawn.shape == (size,)
    assert drawn.min() >= 0
    assert drawn.max() < size


def test_of_a_series_blocks_are_drawn():
    drawn = bootstrap_rows(8000, 0, series=True)
    assert (np.diff(drawn) == 1).mean() > 0.98  # 1% of the rows, longer than 8000^(1/3)
    single = bootstrap_rows(8000, 0, series=False)
    assert (np.diff(single) == 1).mean() < 0.01
    assert len({*single}) / 8000 == pytest.approx(1 - np.exp(-1), abs=0.02)


@given(seeds, st.integers(2, 300), st.booleans())
def test_held_out_rows_stay_and_are_not_drawn(seed, size, series):
    held = np.random.default_rng(seed).random(size) < 0.3
    held[0] = False
    drawn = resample_training(held, seed, series=series)
    np.testing.assert_array_equal(drawn[held], np.flatnonzero(held))
    assert not held[drawn[~held]].any()


def test_a_thousand_rows_of_a_series_are_a_hundred_blocks():
    drawn = bootstrap_rows(1000, seed=0, series=True)
    assert len(drawn) == 1000
    assert (np.diff(drawn) == 1).sum() == 900


def test_a_row_held_out_takes_no_place_of_another():
    drawn = resample_training(np.array([False, True, False]), seed=0, series=False)
    assert drawn[1] == 1
    assert 1 not in drawn[[0, 2]]


def test_shuffled_columns_sort_into_what_they_were():
    shuffled = shuffle_columns(np.arange(6).reshape(3, 2), seed=0)
    assert np.sort(shuffled, axis=0).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_gaussian_rows_stay_in_the_plane_of_the_rows():
    drawn = gaussian_rows(np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]]), seed=0)
    np.testing.assert_allclose(drawn[:, 1], 2 * drawn[:, 0])


def test_columns_of_a_series_are_turned_and_those_of_images_permuted():
    rows = np.arange(40).reshape(20, 2)
    turned = break_columns(rows, 3, series=True)
    for before, after in zip(rows.T, turned.T, strict=True):
        shift = int(np.flatnonzero(before == after[0])[0])
        np.testing.assert_array_equal(after, np.roll(before, -shift))
    permuted = break_columns(rows, 3, series=False)
    np.testing.assert_array_equal(permuted, shuffle_columns(rows, 3))
