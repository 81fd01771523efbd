"""Receptive fields from moment to moment, and the modes that shape them (CODEC fig. 8B, D)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.analyses.retina.moments import lively_times, stretch
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

MOMENTS: Final = 120
"""Times at which the fields of all cells are kept, beside those of the combinations."""
EXAMPLES: Final = 3
"""Examples of each cell, with a combination of modes of their own."""
RANK: Final = 1
SECONDS: Final = 30.0
"""Length of the part of a movie that is looked at moment by moment."""
SPREAD: Final = 200
"""Times, evenly spread, over which the change of the fields is explained."""


@dataclass(frozen=True)
class Dynamics:
    """Fields of the cells from moment to moment, and the modes that go with them.

    Parameters
    ----------
    fields
        Separable receptive fields of all cells at the chosen times.
    shapes
        Centre, size, polarity and the like of each of them.
    loadings
        Layer -> loadings (time, mode), near-copies of a mode merged.
    combinations
        Layer -> which modes are active together, and which cells fire then.
    alone, together
        Layer -> times at which one mode alone, or a combination, drives a cell.
    variance
        Layer -> how much of the change of each cell's field the active modes explain.
    """

    fields: xr.Dataset
    shapes: xr.Dataset
    loadings: Mapping[str, xr.DataArray]
    combinations: Mapping[str, xr.Dataset]
    alone: Mapping[str, xr.Dataset]
    together: Mapping[str, xr.Dataset]
    variance: Mapping[str, xr.Dataset]

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
    """Compute the fields of all cells at telling times, and relate them to the active modes.

    Parameters
    ----------
    net
        The network.
    stimulus
        Movie (time, y, x).
    rates
        The model's firing rates (time, cell).
    modes
        Fitted modes of each layer.
    moments
        Times at which the fields of all cells are kept, beside those of the combinations.
    seed
        Of the control.
    **where
        `device`, `batch_size` and `progress` of `nc.receptive_fields`.

    Returns
    -------
    Dynamics
        Fields have one separable component. Of a movie too short for `nc.field_variance` (20
        times), `variance` is empty, and a warning is logged.

    Raises
    ------
    InputError
        Where the rates have no times, or no mode of a layer is ever active.
    """
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
