"""`nc.contribution_maps`: which parts of a stimulus act on a target through chosen channels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import BATCH_BYTES, LARGEST_BATCH, one_of, prepared, require_kinds
from neurocodec.engine.memory import available_memory
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples, checked_dims, require_batch_size, samples_at
from neurocodec.errors import InputError
from neurocodec.maps.channels import TOP, Channels, Choice, Modes, Weights, require_count
from neurocodec.maps.plan import MapPlan, require_space
from neurocodec.network import Network, require_layer
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import ActGrad, InputGrad
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.tracing import Trace
from neurocodec.nn.maps.through_channels import Decomposed, not_decomposed
from neurocodec.nn.maps.ways_back import Sign

logger = logging.getLogger(__name__)

_TOLD = ContextVar("whether maps that miss their contributions are told of", default=True)

STEPS = 20
"""Of the path integral of `ActGrad`'s maps."""
MISSED = 0.1
"""Part of a stimulus' largest contribution by which its maps may miss theirs in silence."""


def contribution_maps(
    net: Network,
    stimuli: xr.DataArray,
    layer: str | None = None,
    *,
    target: Target,
    channels: Channels = None,
    modes: Modes = None,
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
        A channel, several (a map each) or ``"each"``; all together where None.
    modes
        Fitted modes (a map each), or rows of their dictionary, such as
        ``modes.dictionary.sel(mode=[3, 5])``.
    method
        `InputGrad` (None), `ActGrad` or `IntegratedGradients` of `nc.methods`.
    sign
        A channel at a position is excitatory or inhibitory by the sign of its own contribution.
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
        Where the target does not depend on the layer.
    StorageError
        Where `out` holds another run.

    Examples
    --------
    >>> import neurocodec as nc
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
    require_batch_size(batch_size)
    net = net.on(device)
    plan = _plan(
        net,
        stimuli,
        _choice(net, layer, channels, modes, weights, top),
        times,
        target=target,
        method=method or InputGrad(),
        sign=sign,
        steps=steps,
        baseline=baseline,
    )
    with _ready(plan, batch_size, workers, progress=progress) as run:
        if out is None:
            _require_memory(run)
        tree = run.in_memory() if out is None else run.streamed(Path(out))
    found = tree.to_dataset()
    _tell_misses(plan, found)
    return found


@contextmanager
def misses_untold() -> Iterator[None]:
    """Log no warning of maps that miss, where many calls make what tells of it itself.

    Examples
    --------
    >>> with misses_untold():
    ...     _TOLD.get()
    False
    """
    token = _TOLD.set(False)
    try:
        yield
    finally:
        _TOLD.reset(token)


def _choice(net: Network, layer: str | None, *wanted: Any) -> Choice | None:
    """The channels that are asked for; None for the whole network."""
    whole = layer is None and wanted[0] is None and wanted[1] is None
    if not isinstance(layer, str | None):
        raise InputError(
            came=f"layer={layer!r}",
            expected="the alias of one layer",
            hint=f"layer={next(iter(net.layers), 'layer1')!r}",
        )
    if not whole:
        require_layer(net, layer)
    choice = Choice(str(layer), *wanted)
    return None if whole else choice


def _plan(
    net: Network,
    stimuli: xr.DataArray,
    choice: Choice | None,
    times: Any,
    *,
    target: Target,
    method: Method,
    sign: Sign,
    steps: int,
    baseline: Any,
) -> MapPlan:
    require_kinds(target, method)
    if choice is None and sign in (v.EXCITATORY, v.INHIBITORY):
        raise InputError(
            came=f"sign={sign!r} of the whole network, which has no channels that have signs",
            expected="a layer",
            hint=f"layer={next(iter(net.layers), 'layer1')!r}",
        )
    require_count("steps", steps)
    if not isinstance(method, get_args(Decomposed)):
        raise not_decomposed(method)
    require_space(checked_dims(net, stimuli)[1:])
    samples = samples_at(net, stimuli, times)
    whole = samples if times is None else Samples.of(net, stimuli)
    return MapPlan(
        net=net,
        samples=samples,
        target=target,
        method=method,
        layers={} if choice is None else net.select_layers([choice.layer]),
        reduce="channel",
        split="before",
        baseline=whole.baseline(baseline),
        given=baseline is not None,
        choice=choice,
        sign=one_of("sign", sign, get_args(Sign)),
        steps=int(steps),
        stimuli=stimuli,
    )


@contextmanager
def _ready(
    plan: MapPlan, batch_size: int | None, workers: int | None, *, progress: bool
) -> Iterator[Run]:
    with prepared(plan) as (passes, traced):
        if plan.choice is not None:
            layer = plan.layers[plan.choice.layer]
            hidden = layer.channels_first(traced.done.hidden[plan.choice.layer])
            plan = replace(plan, chosen=plan.choice.among(hidden.shape[1]))
        yield Run(plan, passes, batch_size or _batch_size(plan, traced), workers, progress)


def _batch_size(plan: MapPlan, traced: Trace) -> int:
    """Samples whose passes and maps fit a fixed size of memory."""
    budget = BATCH_BYTES.get(plan.net.device.type, BATCH_BYTES["cpu"])
    each = traced.bytes_per_sample + 2 * plan.maps_per_sample * _map_bytes(plan)
    return int(np.clip(budget // max(1, each), 1, LARGEST_BATCH))


def _map_bytes(plan: MapPlan) -> int:
    values = plan.samples.values
    history = plan.net.history or 1
    pixels = values[0].numel() * (history if plan.samples.history else 1)
    return pixels * values.element_size()


def _require_memory(run: Run) -> None:
    """Refuse a result that does not fit into free memory, before anything is computed."""
    plan = run.plan
    if not isinstance(plan, MapPlan):
        return
    count = len(plan.samples) * plan.maps_per_sample
    needed, free = count * _map_bytes(plan), available_memory()
    if free is not None and needed > 0.8 * free:
        raise InputError(
            came=f"{count} maps, which take {needed / 2**30:.3g} GiB",
            expected=f"at most the memory that is free, {free / 2**30:.3g} GiB",
            hint="fewer stimuli, modes=modes.dictionary.sel(mode=[0, 1]), or out='maps.zarr'",
        )


def _tell_misses(plan: MapPlan, found: xr.Dataset) -> None:
    """Say it where a path integral has too few steps for its maps to add up."""
    of_gradient = InputGrad if plan.choice is not None else InputGrad | ActGrad
    if isinstance(plan.method, of_gradient) or not _TOLD.get():
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
