"""Columns as tables have them: text of any kind, categories, nullable numbers, as numpy's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec.errors import InputError

PLAIN = "biufcmMUSV"
"""Kinds of numpy's own types that are left as they are; files may refuse them."""


def plain_column(name: str, variable: xr.Variable) -> xr.Variable:
    """Text as fixed-width text ("" where it is missing), other columns as plain numbers."""
    dtype = variable.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in PLAIN:
        return variable
    if dtype.kind in "mM":  # with a time zone, of which numpy knows nothing
        raise not_plain(name, dtype, "str")
    values = np.asarray(variable.values, dtype=object)
    missing = np.asarray(variable.isnull().values)
    whole = dtype.kind in "biu" and missing.any()  # which has no number for what is missing
    found = None if whole else _plain_values(values, missing)
    if found is None:
        numbers = _are_numbers(values[~missing])
        raise not_plain(name, dtype, "float" if numbers else "str", missing=bool(missing.any()))
    return xr.Variable(variable.dims, found, variable.attrs)


def not_plain(name: str, dtype: object, kind: str, *, missing: bool = False) -> InputError:
    """Error for a column that files cannot hold, and what to type."""
    filled = ".fillna('')" * (missing and kind == "str")  # or it would be the text "None"
    return InputError(
        came=f"variable {name!r} of dtype {dtype}",
        expected="numbers, booleans, text, datetime64 or timedelta64: of one kind, none missing",
        hint=f"data.assign_coords({{{name!r}: data[{name!r}]{filled}.astype({kind})}})",
    )


def _plain_values(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any] | None:
    """Text or numbers of one type; None where there are others, or where a whole number misses."""
    present = values[~missing].tolist()
    if all(isinstance(x, str) for x in present):
        return np.where(missing, "", values).astype(str)
    kinds = {type(x) for x in present}
    if kinds <= {float, np.float32, np.float64}:
        return np.where(missing, np.nan, values).astype(float)
    if len(kinds) > 1 or missing.any() or not _are_numbers(values):
        return None
    found = np.array(present).reshape(values.shape)
    return found if found.dtype.kind in "biu" else None


def _are_numbers(values: NDArray[Any]) -> bool:
    return all(isinstance(x, int | float | np.number | np.bool_) for x in values.tolist())
