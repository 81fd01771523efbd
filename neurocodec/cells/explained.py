"""What predicted rates explain of recorded ones, cell by cell, labelled, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.kernels.explained import (
    bits_per_spike,
    bits_per_spike_interval,
    signal_explained,
    signal_explained_interval,
)

EXPLAINED: Final = ("signal_explained", "bits_per_spike")
"""What rates explain: of the variance that repeats share, and of every spike."""


def explained(
    measured: NDArray[Any],  # (repeat, time, cell), as correlations have them
    spikes: NDArray[Any],  # (time, cell), the mean over repeats, never smoothed
    predicted: NDArray[Any],  # (time, cell)
    coords: Mapping[str, Any] | None = None,
    *,
    ending: str = "",  # of the names, such as "_ln"
    comment: str = "",
    given: NDArray[Any] | None = None,  # predicted for `spikes` where these are of single trials
) -> dict[str, xr.DataArray]:
    """`EXPLAINED` of each cell, and the intervals of both over fifths of the time."""
    if len(measured) > 1:
        share = signal_explained(measured, predicted)
        ends = signal_explained_interval(measured, predicted)
    else:  # of one repeat nobody knows what is noise
        share, ends = (np.full((*n, measured.shape[-1]), np.nan) for n in ((), (2,)))
    likely = predicted if given is None else given
    bits, ends_of_bits = bits_per_spike(spikes, likely), bits_per_spike_interval(spikes, likely)
    bounds = {**(coords or {}), v.BOUND: np.array(v.BOUNDS)}
    made = {}
    for name, values, interval in zip(EXPLAINED, (share, bits), (ends, ends_of_bits), strict=True):
        about = comment if name == EXPLAINED[0] else "spikes not smoothed"
        named = f"{name}{ending}"
        made[named] = labels.labelled(values, (v.CELL,), coords, name=named, comment=about)
        named += "_interval"
        made[named] = labels.labelled(
            interval, (v.BOUND, v.CELL), bounds, name=named, comment=about
        )
    return made


def names_of(endings: tuple[str, ...]) -> list[str]:
    """Names of all that `explained` makes."""
    return [f"{n}{e}{i}" for n in EXPLAINED for e in endings for i in ("", "_interval")]
