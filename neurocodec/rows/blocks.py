"""Rows that are read block by block, from memory or from a file that does not fit into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final, Self, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows import matrix as row

Data: TypeAlias = row.Contributions | str | PathLike[str]
"""Rows, or the file that they are in."""

MEMORY: Final = 2**31
"""Bytes that rows and loadings of a fit may take, unless another number is given."""
BLOCK: Final = 8192
"""Rows that are read at a time, at most."""
_PARTS: Final = 16
"""A block and what is computed from it take about this part of the memory that may be used."""
_LEAST: Final = 64
_AS_NUMBERS: Final = {"c": "abs(data) or data.real", "m": "data / np.timedelta64(1, 's')"}
"""What to type for data of a kind that is no real number."""


@contextmanager
def opened(data: Data, layer: str | None = None) -> Iterator[tuple[xr.DataArray, dict[str, Any]]]:
    """Find the array of rows, in memory or in a file, and the provenance of what it is part of."""
    if not isinstance(data, str | PathLike):
        yield _array_of(data, layer)
        return
    found = storage.open(data, lazy=True)
    try:
        _require_layer_named(found, layer, data)
        yield _array_of(found, layer)
    finally:
        if isinstance(found, xr.DataArray | xr.Dataset | xr.DataTree):
            found.close()


def _array_of(data: row.Contributions, layer: str | None) -> tuple[xr.DataArray, dict[str, Any]]:
    chosen = data if layer is None else _layer_of(data, layer)
    return _with_labels(row.contribution_of(chosen)), provenance_of(chosen)


def provenance_of(data: row.Contributions) -> dict[str, Any]:
    """What rows say of themselves, or the tree that they are a layer of."""
    if isinstance(data, xr.DataArray):
        return labels.provenance(data)
    inner = data.data_vars.get(v.CONTRIBUTION)
    known = {} if inner is None else labels.provenance(inner)
    if not isinstance(data, xr.DataTree):
        return known or labels.provenance(data)
    named = {"layer": data.name} if data.parent is not None else {}
    return {**(known or labels.provenance(data.root)), **named}


def _layer_of(data: row.Contributions, layer: str) -> xr.DataTree:
    if not isinstance(data, xr.DataTree) or not data.children:
        one = "single layer" if isinstance(data, xr.DataTree) else type(data).__name__
        raise InputError(
            came=f"layer={layer!r} with a {one}",
            expected="a tree of layers, or no layer",
            hint="leave out layer=",
        )
    if not isinstance(layer, str) or layer not in data.children:
        raise unknown_name("layer", layer, data.children)
    return data.children[layer]


def _with_labels(array: xr.DataArray) -> xr.DataArray:
    """Read coordinates at once: labels of a result must not depend on a file that may change."""
    read = {name: c.variable.copy(deep=False).load() for name, c in array.coords.items()}
    return array.assign_coords(read)


def _require_layer_named(found: object, layer: str | None, path: Data) -> None:
    if layer is None and isinstance(found, xr.DataTree) and found.children:
        layers = [*found.children]
        raise InputError(
            came=f"{str(path)!r}, which holds the layers {layers}",
            expected="the name of one of them",
            hint=f"layer={layers[0]!r}",
        )


@dataclass(frozen=True)
class Rows:
    """Rows of the wanted sign, read and checked block by block."""

    array: xr.DataArray  # (samples, sign, channel) or (samples, channel) in any order; may be lazy
    sign: str  # one of `neurocodec.rows.matrix.PARTS`
    like: xr.DataArray  # none of the rows, with all labels of the features

    @classmethod
    def of(cls, array: xr.DataArray, sign: str) -> Self:
        """Check the dims and signs of an array, without reading it."""
        dim = labels.sample_dim(array)
        signs = [v.SIGN] if v.SIGN in array.dims else []
        labels.require_dims(array, (dim, *signs, v.CHANNEL), "contributions" if signs else "rows")
        _require_real(array)
        nothing = array.isel({dim: slice(0, 0)})
        return cls(array, sign, row.select_rows(nothing, sign))

    def __len__(self) -> int:
        return int(self.array.sizes[self.dim])

    @property
    def dim(self) -> str:
        """Dim of the samples."""
        return str(self.like.dims[0])

    @property
    def features(self) -> int:
        """Length of a row."""
        return int(np.prod(self.like.shape[1:]))

    @property
    def coords(self) -> Mapping[str, xr.Variable]:
        """Coordinates of the samples, and the sign that was selected."""
        scalars = row.coords_along(self.like, ())
        return {**row.coords_along(self.array, (self.dim,)), **scalars}

    def block(self, start: int, stop: int) -> xr.DataArray:
        """Labelled rows from `start` to below `stop`; NaN is an error that names the row."""
        return row.select_rows(self.array.isel({self.dim: slice(start, stop)}), self.sign, start)

    def matrix(self, start: int, stop: int) -> NDArray[Any]:
        """Rows by features, with the inhibitory part turned positive."""
        return row.matrix(self.block(start, stop))

    def ranges(self, block: int = BLOCK) -> Iterator[tuple[int, int]]:
        """First row and end of each block."""
        for start in range(0, len(self), block):
            yield start, min(start + block, len(self))

    def loaded(self) -> Rows:
        """The same rows, in memory."""
        return Rows.of(row.select_rows(self.array, self.sign), self.sign)


def _require_real(array: xr.DataArray) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(
            came=f"rows of dtype {array.dtype}",
            expected="real numbers",
            hint=_AS_NUMBERS.get(array.dtype.kind, "data.astype(float)"),
        )


class Fingerprint:
    """SHA-256 of rows that come block by block, whatever the blocks, and of their labels."""

    def __init__(self, rows: Rows) -> None:
        features = row.coords_along(rows.like, tuple(map(str, rows.like.dims[1:])))
        marks = {**rows.coords, **features}
        names = f"{rows.like.dims} {rows.like.shape[1:]} {sorted(marks)}"
        values = [np.asarray(marks[name].values) for name in sorted(marks)]
        self._digest = hashlib.sha256(labels.fingerprint(names, *values).encode())

    def add(self, rows: NDArray[Any]) -> None:
        """Take further rows."""
        if rows.size:
            self._digest.update(np.ascontiguousarray(rows).data.cast("B"))

    @property
    def text(self) -> str:
        """So far."""
        return self._digest.hexdigest()


def fingerprint_of(rows: Rows) -> str:
    """Fingerprint of all rows, read block by block."""
    found = Fingerprint(rows)
    for start, stop in rows.ranges():
        found.add(rows.matrix(start, stop))
    return found.text


def block_size(memory: int, width: int) -> int:
    """Rows to read at a time in `memory` bytes, where `width` numbers belong to a row."""
    return int(min(BLOCK, max(_LEAST, memory // (_PARTS * 4 * width))))
