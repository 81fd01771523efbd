"""Rows that are held out: as many as asked, in blocks of a series, of each group alike."""

import numpy as np
import pytest

from neurocodec.kernels.splits import held_out, held_out_of_each


@pytest.mark.parametrize("series", [True, False])
@pytest.mark.parametrize("size", [2, 7, 99, 1000])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.999])
def test_as_many_rows_are_held_out_as_asked(size, fraction, series):
    mask = held_out(size, fraction, seed=3, series=series)
    assert mask.sum() == min(max(1, round(fraction * size)), size - 1)
    np.testing.assert_array_equal(mask, held_out(size, fraction, seed=3, series=series))


def test_a_series_is_held_out_in_whole_blocks_all_over_it():
    mask = held_out(6000, 0.1, seed=0, series=True)
    edges = np.flatnonzero(np.diff(mask.astype(int)))
    assert len(edges) <= 20
    assert all(part.sum() == 60 for part in np.array_split(mask, 10))


def test_nothing_is_held_out_where_nothing_is_asked_or_possible():
    assert not held_out(10, 0.0, seed=0, series=True).any()
    assert not held_out(1, 0.5, seed=0, series=False).any()


def test_another_seed_holds_out_other_rows():
    a, b = (held_out(100, 0.1, seed=seed, series=False) for seed in (0, 1))
    assert (a != b).any()


def test_a_tenth_of_a_hundred_rows_is_ten():
    assert held_out(100, 0.1, seed=0, series=False).sum() == 10


def test_half_of_each_group_is_held_out_and_none_of_a_single_row():
    mask = held_out_of_each(["cat"] * 4 + ["dog"] * 2 + ["emu"], 0.5, seed=0)
    assert (mask[:4].sum(), mask[4:6].sum(), mask[6:].sum()) == (2, 1, 0)
