"""Order, choice and names of the cells whose rates are drawn."""

import xarray as xr

from neurocodec.plotting.responses import by_type, cell_names, cell_types, lively_cells


def test_cells_of_a_type_are_next_to_one_another():
    rates = xr.DataArray([1.0, 2.0, 3.0], {"cell_type": ("cell", ["b", "a", "b"])}, "cell")
    assert by_type(rates).tolist() == [0, 2, 1]
    assert by_type(rates.drop_vars("cell_type")).tolist() == [0, 1, 2]


def test_the_liveliest_cells_are_named():
    rates = xr.DataArray([[0.0, 0.0], [1.0, 9.0]], {"cell": ["a", "b"]}, ("time", "cell"))
    assert lively_cells(rates, count=1) == ["b"]
    assert lively_cells(rates.assign_coords(cell_type=("cell", ["x", "y"]))) == ["a", "b"]


def test_cells_without_names_are_numbered():
    assert cell_names(xr.DataArray([1.0, 2.0], dims="cell")) == ["0", "1"]


def test_types_are_text_where_they_are_known():
    rates = xr.DataArray([1.0, 2.0], {"cell_type": ("cell", [1, 2])}, "cell")
    assert cell_types(rates).tolist() == ["1", "2"]
    assert cell_types(rates.drop_vars("cell_type")) is None
