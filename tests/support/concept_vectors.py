"""Concept vectors that are drawn at random, as if they had been fitted to a layer."""

import numpy as np
import xarray as xr

import neurocodec as nc
from neurocodec.labels import stamp


def concepts(layer: str, channels: int, count: int, seed: int = 0, **facts) -> nc.ConceptVectors:
    """So many random directions for a layer, about an offset that is not 0."""
    random = np.random.default_rng(seed)
    rows = xr.DataArray(
        random.normal(size=(30, channels)) + random.normal(size=channels) / 2,
        dims=("vector", "channel"),
        coords={"stimulus": ("vector", np.arange(30))},
        name="activation",
    )
    rows = stamp(rows, "nc.point_vectors", layer=layer, **facts)
    return nc.ConceptVectors("random", vectors=count, seed=seed, active=min(3, channels)).fit(rows)
