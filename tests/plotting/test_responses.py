"""Order, choice and names of the cells whose rates are drawn."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.plotting import style
from neurocodec.plotting.responses import (
    by_type,
    cell_names,
    cell_types,
    draw_rate,
    lively_cells,
)


@pytest.mark.parametrize("rate", [[0.6942, 0.6943, 0.6951], [-3.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
def test_a_rate_lies_between_the_edges_of_its_axis(rate):
    times = {"time": np.arange(3) / 10, "cell": ["a"]}
    ax = style.new_axes(None, 1.0)
    draw_rate(ax, xr.DataArray(np.array(rate)[:, None], times, ("time", "cell")), "a")
    low, high = ax.get_ylim()
    assert low <= 0
    assert low <= min(rate)
    assert high > max(rate)
    assert high - max(rate) >= 0.04 * max(rate)


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
