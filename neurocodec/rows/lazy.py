"""Computed now, or kept as a plan that Dask carries out when it is asked for the result."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr


def is_lazy(array: object) -> bool:
    """Whether an array is a plan that Dask carries out later."""
    if isinstance(array, xr.DataArray):
        return array.chunks is not None  # .data would read a file that is opened lazily
    return hasattr(array, "__dask_graph__")


def dask_array() -> Any:
    """The module `dask.array`, which is there where arrays are lazy."""
    return importlib.import_module("dask.array")


def later(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function when Dask is asked for the result; plans among its arguments come before."""
    made: Any = importlib.import_module("dask").delayed(function, pure=False)
    return made(*arguments)


def join(states: Sequence[Any], merge: Callable[[Any, Any], Any]) -> Any:
    """Join plans of states in pairs, and pairs of pairs, so that few are in memory at a time."""
    left = list(states)
    while len(left) > 1:
        pairs = (left[i : i + 2] for i in range(0, len(left), 2))
        left = [later(merge, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return left[0]


def apply(
    function: Callable[..., Any], *arguments: Any, shape: tuple[int, ...], **options: Any
) -> Any:
    """Array of a shape from arrays, states or lists of these: now, or later where one is a plan."""
    bound = functools.partial(function, **options)
    flat = [x for a in arguments for x in (a if isinstance(a, list) else [a])]
    if not any(is_lazy(x) for x in flat):
        return bound(*arguments)
    return dask_array().from_delayed(later(bound, *arguments), shape, float)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Stack arrays of one shape, of which any or all may be plans, along a new axis."""
    if not any(is_lazy(one) for one in arrays):
        return np.stack(arrays, axis=axis)
    return dask_array().stack(arrays, axis=axis)
