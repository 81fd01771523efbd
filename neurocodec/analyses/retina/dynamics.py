"""Receptive fields from moment to moment, and the modes that shape them (CODEC fig. 8B, D)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import find_peaks

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.options import MOMENTS
from neurocodec.cells.combinations import combination_times, mode_combinations
from neurocodec.errors import InputError
from neurocodec.fields.describe import describe_fields
from neurocodec.fields.receptive_fields import receptive_fields
from neurocodec.fields.variance import field_variance
from neurocodec.labels import stamp
from neurocodec.modes.decomposition import Decomposition
from neurocodec.modes.merge import merge_modes
from neurocodec.network import Network

logger = logging.getLogger(__name__)

EXAMPLES: Final = 3
"""Examples of each cell, with a combination of modes of their own."""
RANK: Final = 1
SECONDS: Final = 30.0
"""Length of the part of a movie that is looked at moment by moment."""
SPREAD: Final = 200
"""Times, evenly spread, over which the change of the fields is explained."""


@dataclass(frozen=True)
class Dynamics:
    """Fields of the cells from moment to moment, and the modes that go with them."""

    fields: xr.Dataset  # separable, of all cells at the chosen times
    shapes: xr.Dataset  # of each of them: centre, size, polarity and the like
    loadings: Mapping[str, xr.DataArray]  # by layer (time, mode), near-copies of a mode merged
    combinations: Mapping[str, xr.Dataset]  # modes active together, and which cells fire then
    alone: Mapping[str, xr.Dataset]  # times at which one mode alone drives a cell
    together: Mapping[str, xr.Dataset]  # times at which a combination does
    variance: Mapping[str, xr.Dataset]  # of the change of each field, explained by active modes

    def __repr__(self) -> str:
        sizes = {str(k): n for k, n in self.fields.sizes.items()}
        return f"<Dynamics of {', '.join(self.combinations)}: fields {sizes}>"

    def tree(self) -> xr.DataTree:
        """All but the fields, layer by layer, as it is saved."""
        nodes: dict[str, xr.Dataset] = {}
        for layer in self.combinations:
            nodes[f"/{layer}/loadings"] = self.loadings[layer].to_dataset()
            nodes[f"/{layer}/combinations"] = self.combinations[layer]
            nodes[f"/{layer}/alone"] = self.alone[layer]
            nodes[f"/{layer}/together"] = self.together[layer]
            if layer in self.variance:
                nodes[f"/{layer}/variance"] = self.variance[layer]
        return stamp(xr.DataTree.from_dict(nodes), "nc.analyse_retina")


def follow_fields(
    net: Network,
    stimulus: xr.DataArray,
    rates: xr.DataArray,
    modes: Mapping[str, Decomposition],
    *,
    moments: int = MOMENTS,
    seed: int = 0,
    **where: Any,
) -> Dynamics:
    """Fields of all cells at telling times, and what the active modes have to do with them."""
    # Fields have one separable component. Of a movie too short for `nc.field_variance` (20 times),
    # `variance` is empty, and a warning is logged. `seed` is of the control.
    if v.TIME not in rates.coords:
        raise InputError(
            came="a movie without times",
            expected="the coordinate 'time', in seconds",
            hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / 100)",
        )
    loadings = {layer: merge_modes(m.loadings, m.dictionary) for layer, m in modes.items()}
    lively = rates.sel({v.TIME: stretch(rates, SECONDS)})
    parts = {layer: x.sel({v.TIME: lively[v.TIME]}) for layer, x in loadings.items()}
    alone = {k: combination_times(x, lively, max_active=1, count=1) for k, x in parts.items()}
    together = {k: combination_times(x, lively, count=EXAMPLES) for k, x in parts.items()}
    examples = [x[v.TIME].values for found in (alone, together) for x in found.values()]
    times = np.unique(np.concatenate([lively_times(lively, moments), *examples]))
    fields = receptive_fields(net, stimulus, times=times, rank=RANK, **where)
    spread = receptive_fields(net, stimulus, times=_spread(rates), rank=RANK, **where)
    return Dynamics(
        fields,
        describe_fields(fields),
        loadings,
        {layer: mode_combinations(x, rates) for layer, x in loadings.items()},
        alone,
        together,
        _variance(spread, loadings, seed),
    )


def _spread(rates: xr.DataArray) -> NDArray[np.float64]:
    places = np.linspace(0, len(rates) - 1, min(SPREAD, len(rates))).round().astype(int)
    return np.asarray(rates[v.TIME].values[np.unique(places)])


def _variance(
    fields: xr.Dataset, loadings: Mapping[str, xr.DataArray], seed: int
) -> dict[str, xr.Dataset]:
    found = {}
    for layer, loading in loadings.items():
        try:
            found[layer] = field_variance(fields, loading, seed=seed)
        except InputError as error:  # a movie too short for it; all else is still worth having
            logger.warning("the change of the fields is not explained by %s: %s", layer, error.came)
    return found


def stretch(rates: xr.DataArray, seconds: float) -> slice:
    """First and last time of the part of a movie, some seconds long, in which cells fire most."""
    rates = labels.require_dims(rates, (v.TIME, v.CELL), "rates")
    labels.require_finite(rates, "rates")
    total = rates.values.sum(axis=1, dtype=np.float64)
    times = np.asarray(rates[v.TIME].values, dtype=np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    count = min(len(times), max(1, round(seconds / step)))
    sums = np.convolve(total, np.ones(count), mode="valid")
    first = int(sums.argmax())
    return slice(float(times[first]), float(times[first + count - 1]))


def lively_times(rates: xr.DataArray, count: int = 150, apart: float = 0.03) -> NDArray[np.float64]:
    """Times in seconds, rising, at which there is something to explore: peaks of the rates."""
    # Each cell in turn gives its next highest peak that is not within `apart` (s) of a time chosen
    # before, so that quiet cells are shown at their best as well.
    rates = labels.require_dims(rates, (v.CELL, v.TIME), "rates")
    labels.require_finite(rates, "rates")
    times = rates[v.TIME].values.astype(np.float64)
    peaks = [_peaks(rate) for rate in rates.values]
    turns = [p for rank in zip_longest(*peaks) for p in rank if p is not None]
    chosen: list[float] = []
    for place in turns:
        if len(chosen) < count and all(abs(times[place] - t) >= apart for t in chosen):
            chosen.append(float(times[place]))
    return np.sort(np.array(chosen, dtype=np.float64))


def _peaks(rate: NDArray[np.float64]) -> list[int]:
    """Positions of the peaks of a rate, the highest first."""
    places = find_peaks(np.r_[-np.inf, rate, -np.inf])[0] - 1
    return [int(p) for p in places[np.argsort(-rate[places], kind="stable")]]
