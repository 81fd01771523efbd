"""Any labelled object as groups of plain arrays, the same for every file format.

A DataArray is a tree of one node with one variable, a Dataset a tree of one node. What the formats
cannot hold is written as its nearest plain form, with an attribute that says what it was. What
would not come back as it is is refused before anything is written.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec.errors import InputError
from neurocodec.storage.attributes import PREFIX, Native, dumps, is_utf8, to_native
from neurocodec.storage.columns import not_plain, plain_column
from neurocodec.vocabulary import MODE

Result: TypeAlias = xr.DataArray | xr.Dataset | xr.DataTree

KIND: Final = PREFIX + "kind"
"""Root attribute: the class of the object; every neurocodec file has it."""
VERSION: Final = PREFIX + "format"
"""Root attribute: the version of these rules."""
NAME: Final = PREFIX + "name"
"""Root attribute: the name of the DataArray or DataTree."""
CONTENT: Final = PREFIX + "content"
"""Root attribute: the coordinates and data variables of every node, in their order."""
DTYPE: Final = PREFIX + "dtype"
"""Attribute of a variable: its dtype, where the file holds it as another one."""
FORMAT: Final = 1
"""Version of these rules."""
AS_STORED: Final[dict[str, Any]] = {
    "decode_times": False,
    "decode_timedelta": False,
    "mask_and_scale": False,
    "concat_characters": False,
}
"""Options with which xarray reads values as they are stored."""
CHUNK_BYTES: Final = 4 * 2**20
"""Of an array that is written in pieces."""
_UNNAMED: Final = "values"
_LONGEST: Final = 255


class Writable(Protocol):
    """An array in a file."""

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """Write values into a part of the array."""


Writables = dict[str, Writable]
"""Path of a variable ("layer1/contribution") -> its array in the file."""


@dataclass(frozen=True)
class StoredVariable:
    """One variable in the form in which files hold it."""

    dims: tuple[str, ...]
    source: xr.Variable  # as it is in memory, or in the file that it was opened from
    attributes: dict[str, Native]  # with those that say how to decode it

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers or text in the file."""
        return _stored_dtype(self.source.dtype)

    @property
    def mostly_zero(self) -> bool:
        """Whether most values are zeros, as of loadings (samples, mode): files compress these."""
        return len(self.dims) == 2 and self.dims[1] == MODE and self.dtype.kind == "f"

    @property
    def rows_at_once(self) -> int:
        """Rows that are written as one piece where there are several."""
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        return min(self.shape[0], max(1, CHUNK_BYTES // max(1, row))) if self.shape else 1

    def values(self) -> NDArray[Any]:
        """All values, as the file holds them."""
        return stored_values(np.asarray(self.source.values))


@dataclass(frozen=True)
class StoredGroup:
    """One node of the tree."""

    path: str  # "/" for the root, "/layer1" for a child
    sizes: dict[str, int]  # of the dimensions that no ancestor has
    attributes: dict[str, Native]  # with those of the format
    variables: dict[str, StoredVariable]  # its own, in their order; none that it inherits

    def key(self, name: str) -> str:
        """Path of a variable from the root, without the leading slash."""
        return f"{self.path}/{name}".lstrip("/")


def encode(
    obj: Result, kind: str = "", notes: Mapping[str, str] | None = None
) -> list[StoredGroup]:
    """Take an object apart into plain arrays, from which `decode` makes an identical object.

    Nothing is loaded. `kind` is the class that a tree stands for; `notes` belong to the file only.
    """
    tree = _as_tree(obj)
    groups = [_encode_node(node) for node in tree.subtree]
    content = {g.path: _content(tree, g) for g in groups}
    marks: dict[str, Native] = {
        KIND: kind or type(obj).__name__,
        VERSION: FORMAT,
        NAME: dumps(obj.name if not isinstance(obj, xr.Dataset) else None, "the name"),
        CONTENT: dumps(content, "the content"),
        **(notes or {}),
    }
    groups[0].attributes.update(marks)
    return groups


def stored_values(values: NDArray[Any]) -> NDArray[Any]:
    """Values in the type in which files hold them."""
    if values.dtype.kind in "mM":
        return values.astype(values.dtype.newbyteorder("=")).view(np.int64)
    return values.astype(_stored_dtype(values.dtype), copy=False)


def _as_tree(obj: Result) -> xr.DataTree:
    if isinstance(obj, xr.DataTree):
        return obj if obj.is_root else obj.copy(deep=False)
    if isinstance(obj, xr.Dataset):
        _require_names(obj.variables)  # before DataTree finds fault with them in its own words
        return xr.DataTree(obj)
    taken = {*obj.coords, *obj.dims}
    own = is_name(obj.name) and obj.name not in taken
    return xr.DataTree(obj.to_dataset(name=obj.name if own else _free_name(taken)))


def _free_name(taken: set[Hashable]) -> str:
    name = _UNNAMED
    while name in taken:
        name += "_"
    return name


def _encode_node(node: xr.DataTree) -> StoredGroup:
    data = node.to_dataset(inherit=False)
    inherited = node.parent.sizes if node.parent is not None else {}
    _require_names([*data.variables, *data.dims, *node.children])
    _require_no_clash(data, node)
    _require_plain_indexes(data)
    attributes = to_native(data.attrs, f"node {node.path!r}")
    scattered = [str(name) for name in data.coords if name not in data.dims]
    return StoredGroup(
        node.path,
        {str(d): n for d, n in data.sizes.items() if d not in inherited or d in data.coords},
        {**attributes, "coordinates": " ".join(scattered)} if scattered else attributes,
        {str(name): _encode_variable(str(name), v) for name, v in data.variables.items()},
    )


def storable_coords(data: xr.DataArray | xr.Dataset, dims: Iterable[str]) -> dict[str, xr.Variable]:
    """Coordinates along one of these dims, as files give them back; refuses all others."""
    wanted = {(d,) for d in dims}
    found = {n: c.variable for n, c in data.coords.items() if c.dims in wanted}
    _require_plain_indexes(data.coords.to_dataset()[[*found]])
    _require_names(found)
    return {str(n): storable(str(n), variable) for n, variable in found.items()}


def storable(name: str, variable: xr.Variable) -> xr.Variable:
    """Variable as files give it back; refuses one that they cannot hold."""
    return _encode_variable(name, variable).source


def _encode_variable(name: str, variable: xr.Variable) -> StoredVariable:
    variable = plain_column(name, variable)
    attributes = to_native(variable.attrs, f"variable {name!r}")
    dtype = variable.dtype
    stored = _stored_dtype(dtype, name)
    if dtype.kind == "b":
        attributes["dtype"] = "bool"  # as xarray writes it, so that it reads it as bool
    elif dtype.kind == "U" or stored != dtype:
        attributes[DTYPE] = dtype.str
    if dtype.kind == "U":
        _require_text(name, variable)
    return StoredVariable(tuple(map(str, variable.dims)), variable, attributes)


def _stored_dtype(dtype: np.dtype[Any], name: str = "") -> np.dtype[Any]:
    if dtype.kind in "mM":
        return np.dtype(np.int64)
    if dtype.kind == "b":
        return np.dtype(np.int8)
    if dtype.char == "e":
        return np.dtype(np.float32)
    if dtype.kind in "iuU" or dtype.char in "fdFD":
        return dtype.newbyteorder("=")
    raise not_plain(name, dtype, {"c": "complex", "f": "float"}.get(dtype.kind, "str"))


def _require_names(names: Iterable[Hashable]) -> None:
    for name in names:
        if not is_name(name):
            raise InputError(
                came=f"the name {name!r}",
                expected="text without spaces and slashes that begins with a letter or a digit,"
                f" of at most {_LONGEST} bytes, in Unicode's composed form (NFC)",
                hint=f"data.rename({{{name!r}: 'new_name'}})",
            )


def _require_no_clash(data: xr.Dataset, node: xr.DataTree) -> None:
    others = {*node.children, *(name for name, v in data.variables.items() if v.dims != (name,))}
    for name in others.intersection(node.dims):
        raise InputError(
            came=f"node {node.path!r} with {name!r} for a dimension and for something else",
            expected="a dimension to share its name with its own coordinate only",
            hint=f"data.rename({{{name!r}: 'new_name'}})",
        )


def is_name(name: object) -> bool:
    """Whether netCDF takes a name, and gives it back as it is."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and bool(name)
        and (name[0].isalnum() or not name[0].isascii())
        and not {" ", "/"} & {*name}
        and unicodedata.is_normalized("NFC", name)
        and len(name.encode()) <= _LONGEST
    )


def _require_plain_indexes(data: xr.Dataset) -> None:
    for name, index in data.xindexes.items():
        if len(data.xindexes.get_all_coords(name)) > 1:
            raise InputError(
                came=f"coordinate {name!r} with a {type(index).__name__} over several coordinates",
                expected="one plain index a dimension",
                hint=f"data.reset_index({data.coords[name].dims[0]!r})",
            )


def _require_text(name: str, variable: xr.Variable) -> None:
    text = "".join(variable.values.flat)
    if "\0" in text or not is_utf8(text):
        raise InputError(
            came=f"variable {name!r} with text that holds a NUL or half a surrogate pair",
            expected="text that UTF-8 can hold",
            hint=f"data[{name!r}].str.replace(chr(0), '')",
        )


def _content(tree: xr.DataTree, group: StoredGroup) -> dict[str, list[str]]:
    coords = [name for name in group.variables if name in tree[group.path].coords]
    return {"coords": coords, "data": [name for name in group.variables if name not in coords]}
