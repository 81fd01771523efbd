"""Results with a dim `layer`: what the statistics of all layers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec import vocabulary as v


def layer_dataset(
    variables: Mapping[str, tuple[tuple[str, ...], Any]], coords: Mapping[str, Sequence[Any]]
) -> xr.Dataset:
    """Label variables, name -> dims and values; numbers of things are whole, ends come last."""
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


def stamped(result: xr.Dataset, function: str, tree: xr.DataTree, **facts: Any) -> xr.Dataset:
    """Write down the function, its parameters, and where the tree came from."""
    return labels.stamp(result, function, **facts, tree=labels.provenance(tree))
