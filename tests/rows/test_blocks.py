"""Rows in blocks are the rows in one piece, and so is their fingerprint."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.rows.blocks import Fingerprint, Rows, block_size, fingerprint_of, opened


def rows_of(values, sign="net"):
    return Rows.of(xr.DataArray(values, dims=("time", "channel")), sign)


def test_the_layer_of_a_tree_is_found_and_named():
    tree = xr.DataTree.from_dict({"/a": xr.Dataset({"contribution": ("time", [1.0])})})
    with opened(tree, "a") as (array, origin):
        assert array.dims == ("time",)
        assert origin == {"layer": "a"}


def test_the_layer_of_a_file_is_found_as_that_of_a_tree(tmp_path):
    tree = xr.DataTree.from_dict({"/a": xr.Dataset({"contribution": ("time", [1.0])})})
    nc.save(tree, tmp_path / "run.nc")
    with opened(tmp_path / "run.nc", "a") as (array, origin):
        assert array.values.tolist() == [1.0]
        assert origin["layer"] == "a"


def test_rows_are_read_in_part():
    rows = rows_of([[1.0, 2.0], [3.0, 4.0]])
    assert (len(rows), rows.features) == (2, 2)
    assert rows.matrix(1, 2).tolist() == [[3.0, 4.0]]


def test_blocks_cover_all_rows_once():
    rows = rows_of(np.zeros((7, 2)))
    assert [*rows.ranges(3)] == [(0, 3), (3, 6), (6, 7)]


def test_a_fingerprint_does_not_depend_on_the_blocks():
    rows = rows_of([[1.0], [2.0]])
    one, two = Fingerprint(rows), Fingerprint(rows)
    one.add(rows.matrix(0, 2))
    two.add(rows.matrix(0, 1))
    two.add(rows.matrix(1, 2))
    assert one.text == two.text


def test_a_fingerprint_is_that_of_all_rows_and_of_their_labels():
    rows = rows_of([[1.0]])
    assert len(fingerprint_of(rows)) == 64
    assert fingerprint_of(rows) != fingerprint_of(rows_of([[2.0]]))
    named = xr.DataArray([[1.0]], {"channel": [7]}, ("time", "channel"))
    assert fingerprint_of(rows) != fingerprint_of(Rows.of(named, "net"))


def test_blocks_are_as_large_as_memory_allows():
    assert block_size(2**31, 100) == 8192
    assert block_size(2**20, 100) == 163
    assert block_size(1, 100) == 64


def test_numbers_that_are_not_real_are_refused():
    with pytest.raises(InputError, match="complex"):
        rows_of([[1j]])
