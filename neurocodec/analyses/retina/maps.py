"""Which part of a movie acts through a mode, at times at which the mode is most active."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import CaptureError, InputError
from neurocodec.maps.contribution_maps import contribution_maps
from neurocodec.maps.examples import decomposed, distinct, top_channels
from neurocodec.modes.decomposition import Decomposition
from neurocodec.network import Network
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target

logger = logging.getLogger(__name__)

SHOWN: Final = 3
"""Modes of a layer, and as many times."""
APART: Final = 0.5
"""Seconds between two times, so that they are not of one event."""


def map_movie(
    net: Network,
    stimulus: xr.DataArray,
    modes: Mapping[str, Decomposition],
    target: Target,
    method: Method,
    *,
    baseline: Literal["mean"] | None = None,
    **where: Any,
) -> tuple[xr.DataTree | None, dict[str, str]]:
    """Map the most used modes of each layer into the movie, at times at which they are strong."""
    # Of each layer the modes with the highest mean loading, without those that are alike; of each
    # the time of its largest loading, half a second from those of the others; all modes at all of
    # these times, the first mode's first. A mode is the sum of its channels of largest weight
    # (`top_channels`), as in CODEC. `contribution_map` (time, mode, sign, lag, y, x), `loading`
    # (time, mode).
    if stimulus.sizes[v.Y] * stimulus.sizes[v.X] == 1:
        return None, dict.fromkeys(modes, "a movie of one pixel has no places")
    nodes: dict[str, xr.Dataset] = {}
    unmapped: dict[str, str] = {}
    options = {"target": target, "method": decomposed(method), "baseline": baseline, **where}
    for layer, fitted in modes.items():
        examples = _examples(fitted)
        if not examples.size:
            unmapped[layer] = "no mode is ever active"
            continue
        try:
            nodes[f"/{layer}"] = _mapped(net, stimulus, layer, fitted, examples, **options)
        except (InputError, CaptureError) as error:  # all else is still worth having
            unmapped[layer] = error.came
            logger.warning("the modes of %s are not mapped: %s", layer, error.came)
    if not nodes:
        return None, unmapped
    return labels.stamp(xr.DataTree.from_dict(nodes), "nc.analyse_retina"), unmapped


def _mapped(
    net: Network,
    stimulus: xr.DataArray,
    layer: str,
    modes: Decomposition,
    examples: xr.DataArray,
    **options: Any,
) -> xr.Dataset:
    """Maps of the modes at the times of some loadings (time, mode), in their order."""
    times = examples[v.TIME].values
    found = contribution_maps(
        net,
        stimulus,
        layer,
        modes=modes.dictionary.sel({v.MODE: examples[v.MODE].values}),
        top=top_channels(modes.dictionary.sizes[v.CHANNEL]),
        times=np.sort(times),
        **options,
    )
    loading = labels.labelled(examples.values, (v.TIME, v.MODE), name="loading")
    return found.sel({v.TIME: times}).assign(loading=loading)


def _examples(modes: Decomposition) -> xr.DataArray:
    """Loadings (time, mode) of the modes to show, each at the time at which it is strongest."""
    loadings = labels.require_dims(modes.loadings, (v.TIME, v.MODE), "loadings")
    use = loadings.values.mean(axis=0)
    order = np.argsort(-use, kind="stable")
    order = order[use[order] > 0]
    chosen = order[distinct(modes.dictionary.values, order, SHOWN)]
    places = _peaks(loadings[v.TIME].values, loadings.values[:, chosen])
    return loadings.isel({v.TIME: places, v.MODE: chosen})


def _peaks(times: NDArray[np.float64], loadings: NDArray[Any]) -> list[int]:
    """Place of the largest loading of each mode, none of them near one that another has."""
    free = np.ones(len(times), dtype=bool)
    taken: list[int] = []
    for loading in loadings.T:
        left = np.where(free & (loading > 0), loading, -np.inf)
        if np.isfinite(left).any():
            taken.append(int(np.argmax(left)))
            free &= np.abs(times - times[taken[-1]]) >= APART
    return taken
