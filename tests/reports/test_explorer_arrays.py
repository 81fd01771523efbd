"""Fields, rates and modes as the explorer's page holds them."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.reports import explorer_arrays as arrays


def test_labels_are_found_by_their_place():
    rates = xr.DataArray([1.0, 2.0, 3.0], {"time": [0.1, 0.2, 0.3]}, "time")
    assert arrays.places(rates, rates[1:2], "time", "rates").tolist() == [1]
    with pytest.raises(InputError, match=r"fields of time \[0.3\]"):
        arrays.places(rates[:2], rates[1:], "time", "rates")


def test_cells_have_their_types_where_these_are_known():
    rates = xr.DataArray([1.0], {"cell": ["a"], "cell_type": ("cell", ["ON"])}, "cell")
    fields = rates.to_dataset(name="rate")
    assert arrays.pack_cells(fields, rates) == {"names": ["a"], "types": ["ON"]}
    untyped = arrays.pack_cells(*(x.drop_vars("cell_type") for x in (fields, rates)))
    assert untyped == {"names": ["a"], "types": None}


def test_rates_are_packed_cell_by_cell():
    packed = arrays.pack_trace(xr.DataArray([[1.0], [2.0]], dims=("time", "cell")))
    assert packed["values"]["shape"] == [1, 2]
    assert packed["units"] == "Hz"


def test_near_copies_go_by_the_place_of_the_most_used():
    mode = {"mode": [4, 5, 6]}
    loadings = xr.DataArray([[1.0, 2.0, 3.0]], {"time": [0.1], **mode}, ("time", "mode"))
    dictionary = xr.DataArray([[0.0, 1], [0, 3], [1, 0]], mode, ("mode", "channel"))
    assert arrays.mode_groups(loadings, dictionary, 0.95).tolist() == [1, 1, 2]


def test_packed_numbers_have_their_shape():
    packed = arrays.pack([[1.0, 2.5]], np.float32)
    assert (packed["dtype"], packed["shape"]) == ("float32", [1, 2])
    assert arrays.unpack(packed).tolist() == [[1.0, 2.5]]


def test_signed_bytes_are_unpacked_with_their_sign():
    assert arrays.unpack(arrays.pack([1, -2], np.int8)).tolist() == [1, -2]
