"""Objects as groups of plain arrays."""

import numpy as np
import xarray as xr

from neurocodec.storage.encoding import encode, stored_values


def test_variables_keep_their_types_in_a_file():
    rate = xr.DataArray([1.0, 2.0], {"cell": ["a", "bc"]}, dims="cell", name="firing_rate")
    (group,) = encode(rate)
    found = {name: variable.dtype.str for name, variable in group.variables.items()}
    assert found == {"cell": "<U2", "firing_rate": "<f8"}


def test_booleans_are_small_integers_in_a_file():
    stored = stored_values(np.array([True, False]))
    assert stored.dtype == np.int8
    assert stored.tolist() == [1, 0]


def test_an_array_whose_name_no_file_takes_gets_another_and_keeps_its_own_beside():
    (group,) = encode(xr.DataArray([1.0], dims="x", name="+/- a"))
    assert list(group.variables) == ["values"]
    assert group.attributes["neurocodec_name"] == '"+/- a"'
