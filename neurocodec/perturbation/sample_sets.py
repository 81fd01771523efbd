"""Which samples a result was made from, in a few bytes, so that another can say what it shares."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.labels import sample_dim

SIZE: Final = 512
"""Hashes that are kept: up to as many samples the share is exact."""


def _hashes(data: xr.DataArray) -> NDArray[np.int64]:
    """One number of 32 bits per sample, from its `source`, its label along the dim, or place."""
    dim = sample_dim(data)
    name = next((n for n in (v.SOURCE, dim) if n in data.coords), None)
    names = range(data.sizes[dim]) if name is None else data[name].values.tolist()
    digests = (hashlib.blake2b(str(n).encode(), digest_size=4).digest() for n in names)
    return np.array(sorted({int.from_bytes(d, "big") for d in digests}), dtype=np.int64)


def sketch(data: xr.DataArray) -> dict[str, Any]:
    """Describe a set of samples by the smallest hashes of their names (a bottom-k sketch).

    Parameters
    ----------
    data
        With a sample dim.

    Returns
    -------
    dict
        For the provenance of a result: `count`, and `hashes` (at most 512).

    Examples
    --------
    >>> sketch(xr.DataArray([1.0, 2.0], {"stimulus": [7, 9]}, "stimulus"))["count"]
    2
    """
    return {"count": int(data.sizes[sample_dim(data)]), "hashes": _hashes(data)[:SIZE].tolist()}


def shared_share(data: xr.DataArray, other: dict[str, Any]) -> float:
    """Part of the samples that a result was made from as well.

    Parameters
    ----------
    data
        With a sample dim.
    other
        A `sketch`.

    Returns
    -------
    float
        Exact for a sketch of at most 512 samples, else an estimate from those samples whose
        hashes it reaches (with 10,000 samples about one in twenty).

    Examples
    --------
    >>> samples = xr.DataArray(np.zeros(4), {"stimulus": [0, 1, 2, 3]}, "stimulus")
    >>> shared_share(samples, sketch(samples.isel(stimulus=[0])))
    0.25
    """
    found, known = _hashes(data), np.asarray(other["hashes"], dtype=np.int64)
    if other["count"] > SIZE and len(known) == SIZE:  # there are others behind the last
        found = found[found <= known[-1]]
    return float(np.isin(found, known).mean()) if len(found) else 0.0
