"""Rows of every layer, read in blocks, or kept as a plan where they are Dask arrays."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name

State = TypeVar("State")
Block = NDArray[Any]

KINDS: Final = (v.CONTRIBUTION, v.ACTIVATION)
NET: Final = "net"
BOTH: Final = "both"
SPLIT: Final = "split"
PARTS: Final = (NET, *v.SIGNS, BOTH)
"""What is taken of contributions: their sum over signs, one sign, or the two side by side."""

_BYTES: Final = 2**26
"""Of a block in float64, at most."""
_MOST, _LEAST = 8192, 64


def is_lazy(array: object) -> bool:
    """Whether an array is a plan that Dask carries out later.

    Parameters
    ----------
    array
        Anything.

    Examples
    --------
    >>> is_lazy(np.zeros(3))
    False
    """
    if isinstance(array, xr.DataArray):
        return array.chunks is not None  # .data would read a file that is opened lazily
    return hasattr(array, "__dask_graph__")


@dataclass(frozen=True)
class LayerRows:
    """Rows of one variable of one layer.

    Parameters
    ----------
    layer
        Its name, for messages.
    array
        (samples, channel), or (samples, sign, channel).
    part
        What is taken of contributions with signs: one of `PARTS`, "split" for both signs on an
        axis of their own.

    Examples
    --------
    >>> array = xr.DataArray(np.eye(3), dims=("stimulus", "channel"))
    >>> LayerRows("conv1", array, "net").each(lambda rows: rows.sum(axis=1)).tolist()
    [1.0, 1.0, 1.0]
    """

    layer: str
    array: xr.DataArray
    part: str

    @property
    def dim(self) -> str:
        """Dim of the samples."""
        return str(self.array.dims[0])

    @property
    def signed(self) -> bool:
        """Whether both signs are there."""
        return v.SIGN in self.array.dims

    def each(self, kernel: Callable[[Block], Block]) -> Any:
        """One number for each row: of a block (rows, ...) to (rows,), for block after block."""
        if not is_lazy(self.array):
            return np.concatenate([np.empty(0), *(kernel(block) for _, block in self._blocks())])
        da = _dask("dask.array")
        sizes = self._chunked().chunks[0]
        made = [plan(kernel, block) for _, block in self._delayed()]
        return da.concatenate(
            [da.from_delayed(one, (n,), float) for one, n in zip(made, sizes, strict=True)]
        )

    def reduce(
        self, state: Callable[[int, Block], State], merge: Callable[[State, State], State]
    ) -> Any:
        """Join what `state` makes of the first place and the rows of each block."""
        if not is_lazy(self.array):
            return functools.reduce(merge, (state(start, block) for start, block in self._blocks()))
        return join([plan(state, start, block) for start, block in self._delayed()], merge)

    def _blocks(self) -> Iterator[tuple[int, Block]]:
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
        return [(int(s), plan(taken, int(s), b)) for s, b in zip(starts, blocks, strict=True)]

    def _reader(self) -> Callable[[int, Block], Block]:
        """Reader that does not hold the array, which would be computed before it."""
        name = f"{self.layer!r}, {self.array.name}"
        return functools.partial(_taken, name, self._places(), self.part)

    def _taken(self, start: int, block: Block) -> Block:
        return self._reader()(start, block)

    def _places(self) -> tuple[int, int] | None:
        """Places of the excitatory and the inhibitory part."""
        if not self.signed:
            return None
        known = self.array[v.SIGN].values.tolist() if v.SIGN in self.array.coords else []
        if sorted(known) != sorted(v.SIGNS):
            raise InputError(
                came=f"contributions of layer {self.layer!r} with the signs {known}",
                expected=f"the two signs {v.SIGNS}",
                hint=f"data.assign_coords(sign={list(v.SIGNS)})",
            )
        return known.index(v.EXCITATORY), known.index(v.INHIBITORY)


def _dask(module: str) -> Any:
    return importlib.import_module(module)  # it is there where arrays are lazy


def plan(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function later, when Dask is asked for the result.

    Parameters
    ----------
    function
        Of anything.
    *arguments
        Its arguments; plans among them are carried out before.

    Examples
    --------
    >>> plan(max, 2, 3).compute()
    3
    """
    made: Any = _dask("dask").delayed(function, pure=False)
    return made(*arguments)


def join(states: Sequence[Any], merge: Callable[[Any, Any], Any]) -> Any:
    """Join plans of states in pairs, and pairs of pairs, so that few are in memory at a time.

    Parameters
    ----------
    states
        Plans, at least one.
    merge
        Of two states to one.

    Examples
    --------
    >>> join([plan(int, n) for n in (1, 2, 3)], max).compute()
    3
    """
    left = list(states)
    while len(left) > 1:
        pairs = (left[i : i + 2] for i in range(0, len(left), 2))
        left = [plan(merge, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return left[0]


def _taken(name: str, places: tuple[int, int] | None, part: str, start: int, block: Block) -> Block:
    """Rows of the wanted part in float64; NaN and infinity are refused."""
    x = np.asarray(block, dtype=np.float64)
    if not np.isfinite(x).all():
        at = start + int(np.nonzero(~np.isfinite(x))[0][0])
        raise InputError(
            came=f"NaN or infinite values in layer {name}, the first at row {at}",
            expected="finite numbers",
            hint="tree.isel(stimulus=...) without this row",
        )
    if places is None:
        return x
    excitatory, inhibitory = x[:, places[0]], x[:, places[1]]
    if part == BOTH:
        return np.concatenate([excitatory, inhibitory], axis=1)
    if part == SPLIT:
        return np.stack([excitatory, -inhibitory], axis=1)
    return {NET: excitatory + inhibitory, v.EXCITATORY: excitatory, v.INHIBITORY: inhibitory}[part]


def layers_of(
    tree: xr.DataTree, layers: Sequence[str] | None, kinds: Sequence[str], part: str
) -> dict[str, list[LayerRows]]:
    """Rows of each layer in the order of the network, one entry for each kind of variable.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it; may be lazy.
    layers
        Names of nodes; all that have the first of the variables where None.
    kinds
        Names of variables.
    part
        What to take of contributions.

    Raises
    ------
    InputError
        Where there is no such layer or variable, dims are others, or samples differ.

    Examples
    --------
    >>> node = xr.Dataset({"activation": (("stimulus", "channel"), np.eye(2))})
    >>> list(layers_of(xr.DataTree.from_dict({"/conv1": node}), None, ["activation"], "net"))
    ['conv1']
    """
    if not isinstance(tree, xr.DataTree) or not tree.children:
        raise InputError(
            came=f"a {type(tree).__name__} without layers",
            expected="a tree with a node for each layer",
            hint="nc.contributions(...), or nc.open('run.zarr', lazy=True)",
        )
    names = [n for n, node in tree.children.items() if kinds[0] in node.data_vars]
    for name in layers if layers is not None else ():
        if name not in names:
            raise unknown_name(f"layer with {kinds[0]!r}", name, names)
    chosen = names if layers is None else list(layers)
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


def require_part(part: str) -> str:
    """Refuse what is no sign to take.

    Parameters
    ----------
    part
        "net", "excitatory", "inhibitory" or "both".

    Examples
    --------
    >>> require_part("net")
    'net'
    """
    if part not in PARTS:
        raise unknown_name("sign", part, PARTS)
    return part


def finish(
    function: Callable[..., Block], *arguments: Any, shape: tuple[int, ...], **options: Any
) -> Any:
    """Apply a function to arrays or states, now, or later where one of them is a plan.

    Parameters
    ----------
    function
        Of arrays to one array.
    *arguments
        Arrays, states, or plans of them; lists of these as well.
    shape
        Of the result.
    **options
        Of the function.

    Examples
    --------
    >>> finish(np.add, np.ones(2), np.ones(2), shape=(2,)).tolist()
    [2.0, 2.0]
    """
    bound = functools.partial(function, **options)
    flat = [x for a in arguments for x in (a if isinstance(a, list) else [a])]
    if not any(is_lazy(x) for x in flat):
        return bound(*arguments)
    return _dask("dask.array").from_delayed(plan(bound, *arguments), shape, float)


def stacked(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Stack arrays of one shape, of which any or all may be plans.

    Parameters
    ----------
    arrays
        At least one.
    axis
        The new axis.

    Examples
    --------
    >>> stacked([np.zeros(3), np.ones(3)]).shape
    (2, 3)
    """
    if not any(is_lazy(one) for one in arrays):
        return np.stack(arrays, axis=axis)
    return _dask("dask.array").stack(arrays, axis=axis)
