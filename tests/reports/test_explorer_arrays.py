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


def test_colours_are_packed_one_below_the_other_each_with_its_hue():
    spatial = np.zeros((1, 2, 1, 2, 3, 4))
    spatial[0, 1, 0, 1, 2, 3], spatial[0, 1, 0, 0, 0, 1] = -2.0, 1.0
    dims = ("cell", "time", "component")
    coords = {"cell": ["a"], "time": [0.1, 0.2], "lag": [0.0], "color": ["UV", "green"]}
    parts = {
        "spatial": ((*dims, "color", "y", "x"), spatial),
        "temporal": ((*dims, "lag"), np.ones((1, 2, 1, 1))),
        "energy_share": (dims, np.ones((1, 2, 1))),
    }
    found = arrays.field_arrays(xr.Dataset(parts, coords))
    packed = arrays.pack_fields(found)
    assert packed["size"] == [6, 4]
    assert [c["name"] for c in packed["colors"]] == ["UV", "green"]
    assert len({c["hue"] for c in packed["colors"]}) == 2
    top, left = packed["corner"][0]
    cut = arrays.unpack(packed["maps"][0])
    assert (top, left) == (0, 1)
    assert cut[1, 0, 5, 3 - left] == -127  # the last row of green
    assert cut[1, 0, 0, 0] == 64
    movie = xr.DataArray(np.arange(48.0).reshape(2, 2, 3, 4), dims=("time", "color", "y", "x"))
    movie = movie.assign_coords(time=[0.1, 0.2])
    frames = arrays.unpack(arrays.pack_frames(movie, found["spatial"])["frames"])
    np.testing.assert_array_equal(frames, np.rint(movie.values.reshape(2, 6, 4) * 255 / 47))
    with pytest.raises(InputError, match="frames of"):
        arrays.pack_frames(movie.isel(color=[0]), found["spatial"])
