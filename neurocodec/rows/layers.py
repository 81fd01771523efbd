"""Rows of every layer, read in blocks, or kept as a plan where they are Dask arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows.lazy import dask_array, is_lazy, join, later
from neurocodec.rows.matrix import BOTH, of_sign

State = TypeVar("State")

KINDS: Final = (v.CONTRIBUTION, v.ACTIVATION)
SPLIT: Final = "split"
"""Both signs on an axis of their own (rows, sign, channel), the inhibitory part turned positive."""

_BYTES: Final = 2**26
"""Of a block in float64, at most."""
_MOST, _LEAST = 8192, 64


@dataclass(frozen=True)
class LayerRows:
    """Rows of one variable of one layer."""

    layer: str  # its name, for messages
    array: xr.DataArray  # (samples, channel), or (samples, sign, channel)
    part: str  # what is taken of contributions with signs: one of `PARTS`, or `SPLIT`

    @property
    def dim(self) -> str:
        """Dim of the samples."""
        return str(self.array.dims[0])

    @property
    def signed(self) -> bool:
        """Whether both signs are there."""
        return v.SIGN in self.array.dims

    def each(self, kernel: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
        """One number for each row: of a block (rows, ...) to (rows,), for block after block."""
        if not is_lazy(self.array):
            return np.concatenate([np.empty(0), *(kernel(block) for _, block in self._blocks())])
        da = dask_array()
        sizes = self._chunked().chunks[0]
        made = [later(kernel, block) for _, block in self._delayed()]
        return da.concatenate(
            [da.from_delayed(one, (n,), float) for one, n in zip(made, sizes, strict=True)]
        )

    def reduce(
        self, state: Callable[[int, NDArray[Any]], State], merge: Callable[[State, State], State]
    ) -> Any:
        """Join what `state` makes of the first place and the rows of each block."""
        if not is_lazy(self.array):
            return functools.reduce(merge, (state(start, block) for start, block in self._blocks()))
        return join([later(state, start, block) for start, block in self._delayed()], merge)

    def _blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        size, width = len(self.array), int(np.prod(self.array.shape[1:]))
        step = min(_MOST, max(_LEAST, _BYTES // (8 * max(width, 1))))
        for start in range(0, size, step):
            block = self.array.isel({self.dim: slice(start, start + step)}).values
            yield start, self._taken(start, block)

    def _chunked(self) -> Any:
        """Dask array with whole rows in each chunk."""
        return self.array.data.rechunk(dict.fromkeys(range(1, self.array.ndim), -1))

    def _delayed(self) -> list[tuple[int, Any]]:
        data = self._chunked()
        starts = np.cumsum([0, *data.chunks[0][:-1]])
        blocks = data.to_delayed().ravel()
        taken = self._reader()
        return [(int(s), later(taken, int(s), b)) for s, b in zip(starts, blocks, strict=True)]

    def _reader(self) -> Callable[[int, NDArray[Any]], NDArray[Any]]:
        """Reader that does not hold the array, which would be computed before it."""
        name = f"{self.layer!r}, {self.array.name}"
        return functools.partial(_taken, name, self._signs(), self.part)

    def _taken(self, start: int, block: NDArray[Any]) -> NDArray[Any]:
        return self._reader()(start, block)

    def _signs(self) -> list[str] | None:
        """The two signs in their order; None where there is no such dim."""
        if not self.signed:
            return None
        known = self.array[v.SIGN].values.tolist() if v.SIGN in self.array.coords else []
        if sorted(known) != sorted(v.SIGNS):
            raise InputError(
                came=f"contributions of layer {self.layer!r} with the signs {known}",
                expected=f"the two signs {v.SIGNS}",
                hint=f"data.assign_coords(sign={list(v.SIGNS)})",
            )
        return known


def _taken(
    name: str, signs: list[str] | None, part: str, start: int, block: NDArray[Any]
) -> NDArray[Any]:
    """Rows of the wanted part in float64; NaN and infinity are refused."""
    x = np.asarray(block, dtype=np.float64)
    if not np.isfinite(x).all():
        at = start + int(np.nonzero(~np.isfinite(x))[0][0])
        raise InputError(
            came=f"NaN or infinite values in layer {name}, the first at row {at}",
            expected="finite numbers",
            hint="tree.isel(stimulus=...) without this row",
        )
    if signs is None:
        return x
    parts = xr.DataArray(x, {v.SIGN: signs}, ("row", v.SIGN, v.CHANNEL))
    if part == SPLIT:
        return np.ascontiguousarray(of_sign(parts, BOTH).values * np.array([[1.0], [-1.0]]))
    return of_sign(parts, part).values.reshape(len(x), -1)


def layers_of(
    tree: xr.DataTree, layers: Sequence[str] | None, kinds: Sequence[str], part: str
) -> dict[str, list[LayerRows]]:
    """Rows of layers (None: all that have the first kind) by name, one entry for each kind."""
    if not isinstance(tree, xr.DataTree) or not tree.children:
        raise InputError(
            came=f"a {type(tree).__name__} without layers",
            expected="a tree with a node for each layer",
            hint="nc.contributions(...), or nc.open('run.zarr', lazy=True)",
        )
    names = [n for n, node in tree.children.items() if kinds[0] in node.data_vars]
    hint = f"layers={names[:1]}"
    asked = [] if layers is None else arguments.several("layers", layers, "names", hint=hint)
    for name in asked:
        if name not in names:
            raise unknown_name(f"layer with {kinds[0]!r}", name, names)
    chosen = names if layers is None else asked
    if not chosen:
        known = {str(k) for node in tree.children.values() for k in node.data_vars}
        raise unknown_name("variable of a layer", kinds[0], sorted(known))
    found = {n: [_rows(tree.children[n], n, kind, part) for kind in kinds] for n in chosen}
    first = found[chosen[0]][0]
    for name, both in found.items():
        for one in both:
            what = f"layers {first.layer!r} and {name!r}"
            labels.require_same(first.array, one.array, first.dim, what)
    return found


def _rows(node: xr.DataTree, layer: str, kind: str, part: str) -> LayerRows:
    if kind not in node.data_vars:
        raise unknown_name(f"variable of layer {layer!r}", kind, map(str, node.data_vars))
    array = node.data_vars[kind]
    dim = labels.sample_dim(array)
    signs = [v.SIGN] if v.SIGN in array.dims else []
    dims = (dim, *signs, v.CHANNEL)
    if set(array.dims) != set(dims):
        raise InputError(
            came=f"{kind} of layer {layer!r} with dims {tuple(map(str, array.dims))}",
            expected=f"dims {dims}",
            hint="nc.contributions(..., reduce='channel')",
        )
    if not array.sizes[dim]:
        raise InputError(came=f"layer {layer!r} without samples", expected="at least one")
    return LayerRows(layer, array.transpose(*dims), part)
