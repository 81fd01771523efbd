"""Stimuli that stay where they are stored, and how they are read ahead."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.engine.read_ahead import MOST_WORKERS, automatic_workers, read_ahead
from neurocodec.engine.stored import StoredSamples, checked, is_stored, read_coords, skips_broken
from neurocodec.errors import InputError


def test_rows_have_the_order_of_axes_that_is_wanted():
    variable = xr.Variable(("x", "stimulus"), [[1, 2, 3]])
    rows = StoredSamples(variable, ("stimulus", "x"), "f4", {})
    assert rows.read(1, 3)[0].tolist() == [[2.0], [3.0]]


def test_an_array_in_memory_is_not_stored_and_skips_nothing():
    array = xr.DataArray([1.0], dims="stimulus")
    assert not is_stored(array)
    assert not skips_broken(array)


def test_rows_that_are_nan_throughout_are_left_out_where_that_is_allowed():
    values = np.array([[1.0], [np.nan]])
    assert checked(values, ("stimulus", "x"), 0, skips=True).tolist() == [True, False]
    with pytest.raises(InputError, match="stimulus"):
        checked(values, ("stimulus", "x"), 0, skips=False)


def test_all_coordinates_stay_where_all_could_be_read():
    source = xr.Variable("stimulus", ["a.jpg", "b.jpg"])
    assert read_coords({"source": source}, "stimulus", np.array([True, True]))["source"].size == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_blocks_come_in_their_order(workers):
    rows = StoredSamples(xr.Variable(("stimulus",), [1, 2, 3]), ("stimulus",), "f4", {})
    with read_ahead(rows, [(0, 2), (2, 3)], workers=workers) as blocks:
        assert [values.tolist() for _, (values, _) in blocks] == [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_there_is_a_worker_at_least(device):
    assert 1 <= automatic_workers(device) <= MOST_WORKERS
