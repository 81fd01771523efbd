"""Columns of tables: text comes back as text, numbers as numbers, the rest is refused in words."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.storage.columns import plain_column

TEXTS = {
    "pandas": pd.Series(["a", "bb"]),
    "pandas' string": pd.array(["a", None], dtype="string"),
    "numpy's StringDType": np.array(["a", "bb"], dtype=np.dtypes.StringDType()),
    "objects": np.array(["a", np.nan], dtype=object),
    "None": np.array([None, "bb"], dtype=object),
    "Categorical": pd.Categorical(["bb", None]),
}
NUMBERS = {
    "Int64": (pd.array([1, 2], dtype="Int64"), [1, 2]),
    "boolean": (pd.array([True, False], dtype="boolean"), [True, False]),
    "Float64": (pd.array([1.5, 2.5], dtype="Float64"), [1.5, 2.5]),
    "objects": (np.array([3, 4], dtype=object), [3, 4]),
    "categories of numbers": (pd.Categorical([2, 1]), [2, 1]),
}
REFUSED = {
    "missing whole numbers": pd.array([1, None], dtype="Int64"),
    "missing truth": pd.array([True, None], dtype="boolean"),
    "a time zone": pd.date_range("2020", periods=2, tz="UTC"),
    "periods": pd.period_range("2020", periods=2, freq="D"),
    "mixed": np.array(["a", 1], dtype=object),
    "mixed and missing": np.array([1j, None], dtype=object),
    "bytes": np.array([b"a", b"b"]),
    "long double": np.array([1, 2], dtype=np.longdouble),
    "too large": np.array([2**70, 1], dtype=object),
}


def table(column):
    return xr.DataArray([0.0, 1.0], {"column": ("x", column)}, dims="x")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("kind", TEXTS)
def test_text_comes_back_as_text(tmp_path, kind, suffix):
    column = TEXTS[kind]
    nc.save(table(column), tmp_path / f"x{suffix}")
    back = nc.open(tmp_path / f"x{suffix}").column
    assert back.dtype.kind == "U"
    assert back.to_numpy().tolist() == ["" if pd.isna(x) else x for x in column]


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_come_back_as_numbers(tmp_path, kind):
    column, expected = NUMBERS[kind]
    nc.save(table(column), tmp_path / "x.nc")
    back = nc.open(tmp_path / "x.nc").column
    assert back.to_numpy().tolist() == expected
    assert back.dtype.kind in "ifb"


def test_what_misses_among_numbers_with_a_point_is_not_a_number():
    found = plain_column("x", xr.Variable("x", pd.array([1.5, None], dtype="Float64")))
    np.testing.assert_array_equal(found, [1.5, np.nan])


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_not_come_back_is_refused_and_the_hint_can_be_typed(tmp_path, kind):
    data = table(REFUSED[kind])
    with pytest.raises(InputError, match="variable 'column' of dtype") as error:
        nc.save(data, tmp_path / "x.nc")
    nc.save(eval(error.value.hint), tmp_path / "x.nc")  # noqa: S307 - what it says to type
    assert nc.open(tmp_path / "x.nc").column.dtype.kind in "Uf"


def test_the_hint_makes_no_class_of_what_is_missing(tmp_path):
    data = table(np.array([None, 1.5j], dtype=object))
    with pytest.raises(InputError) as error:
        nc.save(data, tmp_path / "x.nc")
    assert eval(error.value.hint).column.to_numpy().tolist() == ["", "1.5j"]  # noqa: S307
