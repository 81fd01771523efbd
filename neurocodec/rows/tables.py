"""Results with a dim `layer`: what the statistics of all layers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError


def layer_dataset(
    variables: Mapping[str, tuple[tuple[str, ...], Any]], coords: Mapping[str, Sequence[Any]]
) -> xr.Dataset:
    """Label variables; numbers of things are whole, and ends of intervals come last.

    Parameters
    ----------
    variables
        Name -> dims and values.
    coords
        Labels of the dims, but those of `bound`.

    Examples
    --------
    >>> found = layer_dataset({"n": (("layer",), np.array([3.0]))}, {"layer": ["conv1"]})
    >>> found.n.values.tolist(), found.layer.values.tolist()
    ([3], ['conv1'])
    """
    known = {**coords, v.BOUND: list(v.BOUNDS)}
    made = {}
    for name, (dims, values) in variables.items():
        whole = name == "n" or name.startswith("n_")
        made[name] = labels.labelled(
            values.astype(np.int64) if whole else values,
            dims,
            {d: known[d] for d in dims if d in known},
            name=name,
        ).transpose(..., v.BOUND, missing_dims="ignore")
    return xr.Dataset(made)


def require_options(bootstrap: int, confidence: float) -> None:
    """Refuse numbers of draws and confidences that are none.

    Parameters
    ----------
    bootstrap
        Number of draws.
    confidence
        Of an interval.

    Raises
    ------
    InputError
        Where they are out of their range.

    Examples
    --------
    >>> require_options(1000, 0.95)
    """
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or bootstrap < 0:
        raise InputError(
            came=f"bootstrap={bootstrap!r}", expected="a whole number of draws, 0 for no interval"
        )
    if not 0 < confidence < 1:
        raise InputError(came=f"confidence={confidence!r}", expected="a number between 0 and 1")


def stamped(result: xr.Dataset, function: str, tree: xr.DataTree, **facts: Any) -> xr.Dataset:
    """Write down the function, its parameters, and where the tree came from.

    Parameters
    ----------
    result
        Of the function.
    function
        Public name.
    tree
        What it was computed from.
    **facts
        Parameters.

    Examples
    --------
    >>> found = stamped(xr.Dataset(), "nc.statistics.hoyer", xr.DataTree(), seed=3)
    >>> labels.provenance(found)["seed"]
    3
    """
    return labels.stamp(result, function, **facts, tree=labels.provenance(tree))
