"""Rows that can be fitted: which are held out, and what they are divided by."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.modes.preparation import prepare
from neurocodec.rows.blocks import Rows


def rows_of(values):
    return Rows.of(xr.DataArray(values, dims=("time", "channel")), "excitatory")


def test_a_part_of_the_rows_is_held_out():
    rows = rows_of(np.random.default_rng(0).random((20, 3)))
    found = prepare(rows, lambda features: 2 * features, validation=0.1, seed=0)
    assert found.resident
    assert int(found.held.sum()) == 2
    assert found.scaled(0, 20).dtype == np.float32
    assert len(found.select(~found.held)) == 18


def test_rows_are_divided_by_the_deviation_of_all_their_entries():
    found = prepare(rows_of(np.eye(4)), lambda _: 3, validation=0.0, seed=0)
    assert found.scale == 0.4330127018922193  # of a quarter ones: sqrt(3) / 4
    np.testing.assert_allclose(found.scaled(0, 4).std(), 1.0, rtol=1e-6)


def test_rows_that_do_not_fit_into_memory_stay_where_they_are():
    values = np.random.default_rng(0).random((200, 3))
    found = prepare(rows_of(values), lambda _: 3, validation=0.1, seed=0, memory=2**10)
    assert not found.resident
    assert found.block == 64
    blocks = np.concatenate([block for _, _, block in found.blocks()])
    np.testing.assert_allclose(blocks * found.scale, values, rtol=1e-6)


def test_rows_that_are_all_alike_are_refused():
    with pytest.raises(InputError, match="rows that are all 2"):
        prepare(rows_of(np.full((4, 2), 2.0)), lambda _: 1, validation=0.0, seed=0)


@pytest.mark.parametrize("size", [1e-40, 1e40])
def test_rows_beyond_what_float32_holds_are_refused(size):
    rows = xr.DataArray(size * np.eye(4), dims=("time", "channel"))
    with pytest.raises(InputError, match=r"(?s)deviation of 4.*float32.*abs\(rows\)\.max\(\)"):
        prepare(Rows.of(rows, "excitatory"), lambda _: 3, validation=0.0, seed=0)
    again = Rows.of(rows / abs(rows).max(), "excitatory")
    assert 0.4 < prepare(again, lambda _: 3, validation=0.0, seed=0).scale < 0.5
