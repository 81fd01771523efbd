"""Attributes of any plain Python or numpy type, kept exactly in files that hold text and numbers.

Text, integers of 64 bits and finite floats are stored as they are, so that every netCDF or Zarr
reader sees them. The rest goes into one JSON attribute beside them, with its type.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError

PREFIX: Final = "neurocodec_"
"""Attributes of a file that begin with this belong to the format, never to the object."""

OTHERS: Final = PREFIX + "attributes"
"""The file's attribute that holds, as JSON, what the file format has no type for."""

Native = str | int | float
"""What netCDF and Zarr both hold natively."""

_TYPE: Final = "!"
_NATIVE_NAME: Final = re.compile(r"[A-Za-z]\w{0,254}", re.ASCII)
_MEANT_FOR_READERS: Final = frozenset(
    {
        *("add_offset", "bounds", "calendar", "coordinates", "dtype", "grid_mapping"),
        *("missing_value", "scale_factor"),
        *("CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST"),
    }
)
"""Names that change how netCDF, CF or HDF5 software reads a variable."""
_INT64: Final = np.iinfo(np.int64)


def to_native(attributes: Mapping[Any, Any], owner: str) -> dict[str, Native]:
    """Attributes as a file holds them; `owner` is whose they are, for the message.

    A value of another type, which would not come back as it is, is refused.
    """
    native = {k: v for k, v in attributes.items() if _is_native(k, v)}
    others = {k: v for k, v in attributes.items() if k not in native}
    if others:
        native[OTHERS] = dumps(others, owner)
    return native


def from_native(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as they were before `to_native`; those of the format are left out."""
    own = {str(k): _item(v) for k, v in attributes.items() if _is_public(str(k))}
    return {**own, **loads(str(attributes.get(OTHERS, "{}")))}


def dumps(value: object, owner: str) -> str:
    """JSON text that `loads` turns back into an equal value of the same types."""
    return json.dumps(_tagged(value, owner), allow_nan=False)


def loads(text: str) -> Any:
    """Value that was written by `dumps`."""
    return _untagged(json.loads(text))


def _is_native(name: Hashable, value: object) -> bool:
    if not (isinstance(name, str) and _NATIVE_NAME.fullmatch(name) and _is_public(name)):
        return False
    if type(value) is str:
        return "\0" not in value and is_utf8(value)
    if type(value) is int:
        return _INT64.min <= value <= _INT64.max
    return type(value) is float and math.isfinite(value)


def is_utf8(text: str) -> bool:
    """Whether the text can be written as UTF-8 (half a surrogate pair cannot)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_public(name: str) -> bool:
    return not name.startswith((PREFIX, "_")) and name not in _MEANT_FOR_READERS


def _item(value: object) -> object:
    """Python scalar of what netCDF gives back: numpy scalars, arrays of one element."""
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


def _tagged(value: object, owner: str) -> object:
    """Value in the types of JSON; a type that JSON lacks becomes its name and its parts."""
    match value:
        case _ if type(value) in _JSON and not _is_infinite(value):
            return value
        case list() if type(value) is list:
            return [_tagged(v, owner) for v in value]
        case dict() if type(value) is dict and _has_json_keys(value):
            return {k: _tagged(v, owner) for k, v in value.items()}
    kind, parts = _parts(value, owner)
    return {_TYPE: kind, "value": _tagged(parts, owner)}


def _parts(value: object, owner: str) -> tuple[str, object]:
    match value:
        case np.ndarray() | np.generic() if _is_storable(value.dtype):
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            return kind, [value.dtype.str, list(value.shape), value.ravel().tolist()]
        case float() if type(value) is float:
            return "float", repr(value)
        case complex() if type(value) is complex:
            return "complex", [value.real, value.imag]
        case tuple() if type(value) is tuple:
            return "tuple", list(value)
        case dict() if type(value) is dict:
            return "dict", [list(item) for item in value.items()]
    raise InputError(
        came=f"{owner} with an attribute of type {type(value).__name__}: {value!r:.60}",
        expected="text, numbers, None, lists, tuples, dicts, numpy numbers and arrays of them",
        hint="attrs[...] = str(value), or delete the attribute before saving",
    )


_JSON: Final = (type(None), bool, int, float, str)
"""Exactly these: a subclass would come back as its base class."""


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _has_json_keys(value: dict[Any, Any]) -> bool:
    return _TYPE not in value and all(type(k) is str for k in value)


def _is_storable(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuU" or (dtype.kind in "fc" and dtype.char not in "gG")


def _array(dtype: str, shape: list[int], values: list[Any]) -> NDArray[Any]:
    return np.array(values, dtype=dtype).reshape(shape)


_MAKERS: Final[dict[str, Callable[[Any], Any]]] = {
    "array": lambda v: _array(*v),
    "complex": lambda v: complex(*v),
    "dict": dict,
    "float": float,
    "scalar": lambda v: _array(*v)[()],
    "tuple": tuple,
}


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(v) for v in value]
    if not isinstance(value, dict):
        return value
    if _TYPE in value:
        return _MAKERS[value[_TYPE]](_untagged(value["value"]))
    return {k: _untagged(v) for k, v in value.items()}
