"""`nc.contribution_maps`: which parts of a stimulus act on a target through chosen channels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.engine.run import Run
from neurocodec.maps.channels import TOP, Channels, Modes, Weights
from neurocodec.maps.making import STEPS, Asked, Making, plan_of
from neurocodec.maps.plan import MapPlan
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import ActGrad, InputGrad
from neurocodec.nn.attribution.target import Target
from neurocodec.vocabulary import Sign

logger = logging.getLogger(__name__)

MISSED: Final = 0.1
"""Part of a stimulus' largest contribution by which its maps may miss theirs in silence."""


def contribution_maps(
    net: Network,
    stimuli: xr.DataArray,
    layer: str | None = None,
    *,
    target: Target,
    channels: Channels | Mapping[str, Channels] = None,
    modes: Modes | Mapping[str, Modes] | None = None,
    method: Method | None = None,
    sign: Sign = "both",
    weights: Weights = "equal",
    top: int = TOP,
    steps: int = STEPS,
    baseline: ArrayLike | xr.DataArray | Literal["zeros", "mean"] | None = None,
    times: Any = None,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Which pixels act on a target through chosen channels of a layer, or through modes of it.

    The map of a channel is the part of its contribution that comes from each pixel: the Jacobian
    from target to channel to input, summed over the channel's positions, times the input (CODEC
    sec. 6). Its sum over the pixels is the contribution (definition 1 of sec. 9.1). With y the
    target, h_cp the channel at position p, x the input and x' the baseline, at pixel i:

    - `InputGrad`: (x_i - x'_i) sum_p dy/dh_cp dh_cp/dx_i at x (eq. 3-6); exact, and the cheapest;
    - `ActGrad`: (x_i - x'_i) sum_p dy/dh_cp at x times the mean of dh_cp/dx_i along the straight
      path from x' to x (eq. 19-23), where h' is the activation at x', also without `baseline`;
    - `IntegratedGradients`: (x_i - x'_i) times the mean of sum_p dy/dh_cp dh_cp/dx_i along that
      path (eq. 10-12); with ``path="hidden"`` dy/dh_cp is its mean along the line in the layer.

    Modes of several layers make a chain, which traces a mode down: with `InputGrad` the map keeps
    the ways that pass channels of each, and its sum is what of the target acts through all of them,
    (x_i - x'_i) sum_pq dy/dk_q dk_q/dh_p dh_p/dx_i, with k in the later layer.

    Parameters
    ----------
    net
        The network.
    stimuli
        Images (stimulus, color, y, x) or a movie (time, y, x).
    layer
        Alias of the layer. None, with neither channels nor modes: the map of the whole network.
    target
        The scalar that is explained, one of `nc.targets`.
    channels
        A channel, several (a map each) or ``"each"``; all together where None. Or a chain, as of
        `modes`: ``{"layer3": [2, 5], "layer4": 7}``.
    modes
        Fitted modes (a map each), or rows of their dictionary, such as
        ``modes.dictionary.sel(mode=[3, 5])``. Or a chain from input to output without `layer`,
        ``{"layer3": modes3.dictionary, "layer4": modes4.dictionary.sel(mode=7)}``: a map for each
        mode of the first layer, through one mode (or some channels together) of each later one.
    method
        `InputGrad` (None), `ActGrad` or `IntegratedGradients` of `nc.methods`.
    sign
        A channel at a position is excitatory or inhibitory by the sign of its own contribution
        (of a chain: in its first layer, of what passes the later ones).
        ``"both"`` gives a map each along the dim `sign`, ``"excitatory"`` or ``"inhibitory"`` one
        of them, ``"net"`` their sum.
    weights
        Of the channels of a mode: ``"equal"``, 1 for each of the `top` with the largest weights in
        the dictionary (-1 where that is negative) and 0 for all others, or ``"dictionary"``, all
        channels as they are weighted there (inhibitory parts by their size).
    top
        Channels of a mode, with ``weights="equal"``.
    steps
        Of the path integral, for `ActGrad`; `IntegratedGradients` has its own.
    baseline
        x', as for `nc.contributions`; zeros where None.
    times
        Of a movie: the times to map, as `nc.receptive_fields` takes them; all where None.
    batch_size
        Samples computed together; the numbers do not depend on it.
    device
        ``"cpu"``, ``"cuda"``, ...; None stays where the network is.
    workers
        Processes that decode files of images; as for `nc.contributions`.
    out
        A `.nc` or `.zarr` path: maps are written as they come; an interrupted run goes on where it
        stopped when the same call is made again.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        With the dim `channel` or `mode` where there are several, and `sign` where both are wanted:

        - `contribution_map` (stimulus, mode, sign, color, y, x), or (time, mode, sign, lag, y, x)
          of a movie, in units of the target;
        - `contribution` (stimulus, mode, sign), weighted: as `nc.contributions` gives it, for
          `ActGrad` with ``baseline="zeros"`` or another given there; for the whole network
          y(x) - y(x');
        - `map_completeness_error` (stimulus, mode, sign): sum of the map minus the contribution.
          Through channels it is rounding for `InputGrad`, and falls with the steps for all
          others (a warning is logged where it is large); of the whole network it tells, for
          `InputGrad` and `ActGrad`, how far the target is from linear;
        - `target` (stimulus), and `steps` and `converged` where the steps are adaptive.

    Raises
    ------
    InputError
        Where stimuli, target, channels, modes, method or times do not fit the network, or where
        the result is larger than the memory that is free.
    CaptureError
        Where the target does not depend on the layer, or layers of a chain are out of order.
    StorageError
        Where `out` holds another run.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import numpy as np
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> net = nc.Network(module, {"conv": "1"})
    >>> images = np.random.default_rng(0).random((5, 3, 4, 4), "float32")
    >>> images = xr.DataArray(images, dims=("stimulus", "color", "y", "x"))
    >>> target = nc.targets.TopK(1)
    >>> found = nc.contribution_maps(
    ...     net, images, "conv", channels=[0, 2], target=target, progress=False
    ... )
    >>> found.contribution_map.dims
    ('stimulus', 'channel', 'sign', 'color', 'y', 'x')
    >>> bool((found.map_completeness_error < 1e-5).all())
    True
    """
    batch_size = arguments.batch_size(batch_size)
    made = Making(method or InputGrad(), sign, steps, baseline)
    chosen = Asked(layer, channels, modes, weights, top)
    plan = plan_of(require_network(net).on(device), stimuli, chosen, target, made, times=times)
    with Run.opened(plan, batch_size, workers, progress=progress, out=out) as run:
        found = run.result(out).to_dataset()
    _tell_misses(plan, found)
    return found


def _tell_misses(plan: MapPlan, found: xr.Dataset) -> None:
    """Say it where a path integral has too few steps for its maps to add up."""
    of_gradient = InputGrad if plan.choice is not None else InputGrad | ActGrad
    if isinstance(plan.method, of_gradient):
        return
    sizes = abs(found[[v.MAP_ERROR, v.CONTRIBUTION]])
    largest = sizes.max([d for d in sizes.dims if d in sizes[v.MAP_ERROR].dims[1:]])
    missed = largest[v.MAP_ERROR] > MISSED * largest[v.CONTRIBUTION]
    if bool(missed.any()):
        logger.warning(
            "maps of %d of %d stimuli miss their contributions by over %g %% of the largest"
            " (map_completeness_error): more steps come nearer, or another baseline, where the"
            " network is not smooth at this one (a LayerNorm at zeros)",
            int(missed.sum()),
            missed.size,
            100 * MISSED,
        )
