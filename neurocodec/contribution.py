"""`nc.contributions`: contributions of hidden units to a target, labelled, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import storage
from neurocodec.network import Network
from neurocodec.nn.attribution import Method
from neurocodec.nn.integration import IntegratedGradients
from neurocodec.nn.passes import Passes
from neurocodec.nn.reduction import Split
from neurocodec.nn.target import Target
from neurocodec.plan import (
    Plan,
    Reduce,
    Rows,
    automatic_batch_size,
    check,
    compute,
    label,
    one_of,
    prepared,
)
from neurocodec.samples import Samples, bar, batches, require_batch_size


def contributions(
    net: Network,
    stimulus: xr.DataArray,
    *,
    target: Target,
    method: Method | None = None,
    layers: Iterable[str] | None = None,
    reduce: Reduce = "channel",
    split: Split = "before",
    baseline: ArrayLike | xr.DataArray | Literal["zeros", "mean"] | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Contributions of the hidden channels of every layer to a scalar target.

    Parameters
    ----------
    net
        The network and its layers.
    stimulus
        Movie (time, y, x) or images (stimulus, ...).
    target
        The scalar that is explained, one of `nc.targets`.
    method
        One of `nc.methods`; ``IntegratedGradients(steps=20)`` where None.
    layers
        Aliases; all of the network's where None. One pass serves them all.
    reduce
        ``"channel"`` sums over positions; ``"none"`` keeps the maps, with their sign.
    split
        Positive and negative parts at each position ``"before"`` the sum (CODEC sec. 3) or
        ``"after"`` it (eq. 34).
    baseline
        Where paths start, in the network's input space: ``"zeros"``, ``"mean"`` (of the
        stimulus), or a sample (a frame is repeated to a window). None is zeros for paths, and
        h' = 0 for `ActGrad` and `NormGrad`.
    batch_size
        Samples computed together; None takes as many as fit a fixed size of activations. The
        numbers do not depend on it.
    device
        ``"cpu"``, ``"cuda"``, ...; None stays where the network is.
    out
        A `.nc` or `.zarr` path: rows are written as they come; an interrupted run goes on where
        it stopped when the same call is made again.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        The root has the sample coordinate and `target`; one node per layer has

        - `contribution` (sample, sign, channel), in units of the target, or (sample, channel,
          y, x) with ``reduce="none"``,
        - `activation` (sample, channel), summed over positions,
        - `completeness_error` (sample): sum of contributions minus (y(x) - y(x')).

        `Gradient` gives `gradient` in place of `contribution`; `Activation` gives only that.

    Raises
    ------
    InputError
        Where stimulus, target, layers or baseline do not fit the network.
    CaptureError
        Where a layer cannot be captured.
    StorageError
        Where `out` holds another run.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> net = nc.Network(module, layers={"hidden": "1"})
    >>> images = xr.DataArray(np.ones((3, 2), "float32"), dims=("stimulus", "feature"))
    >>> tree = nc.contributions(net, images, target=nc.targets.Output(0), progress=False)
    >>> tree["hidden/contribution"].dims
    ('stimulus', 'sign', 'channel')
    """
    require_batch_size(batch_size)
    samples = Samples.of(net, stimulus)
    plan = Plan(
        net=net.on(device),
        samples=samples,
        target=target,
        method=method or IntegratedGradients(),
        layers=net.select_layers(layers),
        reduce=one_of("reduce", reduce, ("channel", "none")),
        split=one_of("split", split, ("before", "after")),
        baseline=samples.baseline(baseline),
        given=baseline is not None,
    )
    check(plan)
    with prepared(plan) as (passes, traced):
        size = batch_size or automatic_batch_size(plan, traced)
        if out is not None:
            return _streamed(plan, passes, size, Path(out), progress=progress)
        return _in_memory(plan, passes, size, progress=progress)


def _in_memory(plan: Plan, passes: Passes, size: int, *, progress: bool) -> xr.DataTree:
    arrays: Rows = {}
    total = len(plan.samples)
    for start, stop in batches(total, size, progress=progress, what="contributions"):
        for name, rows in compute(plan, passes, start, stop).items():
            if name not in arrays:
                arrays[name] = np.empty((total, *rows.shape[1:]), rows.dtype)
            arrays[name][start:stop] = rows
    return label(plan, arrays)


def _streamed(plan: Plan, passes: Passes, size: int, out: Path, *, progress: bool) -> xr.DataTree:
    """Write rows as they come; go on where an earlier call with the same facts stopped."""
    total = len(plan.samples)
    with storage.RunWriter(out, facts=plan.facts, size=total) as run:
        missing = run.missing(size)
        done = total - sum(rows.stop - rows.start for rows in missing)
        with bar(total, "contributions", progress=progress, done=done) as shown:
            for rows in missing:
                run.write(rows.start, compute(plan, passes, rows.start, rows.stop))
                shown.update(rows.stop - rows.start)
        one = compute(plan, passes, 0, 1)
        shapes = {name: np.broadcast_to(r[0], (total, *r.shape[1:])) for name, r in one.items()}
        return run.finish(label(plan, shapes))
