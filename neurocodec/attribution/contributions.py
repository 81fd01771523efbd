"""`nc.contributions`: contributions of hidden units to a target, labelled, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import arguments
from neurocodec.attribution.completeness import told_of_poles
from neurocodec.attribution.plan import ContributionPlan, Reduce
from neurocodec.engine.distributed import run_distributed
from neurocodec.engine.estimate import Estimate
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.reduction import Split
from neurocodec.nn.attribution.target import Target

if TYPE_CHECKING:
    from distributed import Client


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
    outputs: bool = False,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    client: Client | None = None,
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
    outputs
        Whether to keep what the network answers as well, as `nc.respond` returns it.
    batch_size
        Samples computed together; None takes as many as fit a fixed size of activations. It is
        halved where memory runs out. The numbers do not depend on it.
    device
        ``"cpu"``, ``"cuda"``, ...; None stays where the network is.
    workers
        Processes that decode files of images while the network computes; None chooses, 0 decodes
        in this process. Of other stimuli that are in a file the next batch is read in a thread.
    out
        A `.nc` or `.zarr` path: rows are written as they come; an interrupted run goes on where
        it stopped when the same call is made again.
    client
        A `dask.distributed.Client`: its workers compute ranges of samples and write them into
        `out`, a Zarr store that all of them see. The ranges of workers that die are done again.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        The root has the sample coordinate and `target` (and `response` or `firing_rate`, with
        ``outputs=True``); one node per layer has

        - `contribution` (sample, sign, channel), in units of the target, or (sample, channel,
          y, x) with ``reduce="none"``,
        - `activation` (sample, channel), summed over positions,
        - `completeness_error` (sample): sum of contributions minus (y(x) - y(x')).
        - `bypass` (sample): the part of y(x) - y(x') that goes around the layer; of
          `IntegratedGradients`, where something goes around it.

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
    >>> import numpy as np
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> net = nc.Network(module, layers={"hidden": "1"})
    >>> images = xr.DataArray(np.ones((3, 2), "float32"), dims=("stimulus", "feature"))
    >>> tree = nc.contributions(net, images, target=nc.targets.Output(0), progress=False)
    >>> tree["hidden/contribution"].dims
    ('stimulus', 'sign', 'channel')
    """
    batch_size = arguments.batch_size(batch_size)
    plan = _plan(
        require_network(net).on(device if client is None else None),
        stimulus,
        Options(target, method or IntegratedGradients(), layers, reduce, split, baseline, outputs),
    )
    if client is not None:
        found = run_distributed(
            plan, out, client, batch_size=batch_size, device=device, progress=progress
        )
        told_of_poles(found, plan.method, given=plan.given)
        return found
    with Run.opened(plan, batch_size, workers, progress=progress, out=out) as run:
        found = run.result(out)
    told_of_poles(found, plan.method, given=plan.given)
    return found


def estimate(
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
    workers: int | None = None,
) -> Estimate:
    """Size, memory and time that `nc.contributions` will take, from two of its batches.

    Parameters
    ----------
    net, stimulus, target, method, layers, reduce, split, baseline, batch_size, device, workers
        As for `nc.contributions`.

    Returns
    -------
    Estimate
        Prints as one line; `output_bytes`, `memory_bytes` and `seconds` are its main numbers.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import numpy as np
    >>> import torch
    >>> net = nc.Network(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()), layers=["1"])
    >>> images = xr.DataArray(np.ones((500, 2), "float32"), dims=("stimulus", "feature"))
    >>> nc.estimate(net, images, target=nc.targets.Output(0)).output_bytes
    28000
    """
    batch_size = arguments.batch_size(batch_size)
    plan = _plan(
        require_network(net).on(device),
        stimulus,
        Options(target, method or IntegratedGradients(), layers, reduce, split, baseline),
    )
    with Run.opened(plan, batch_size, workers, progress=False) as run:
        return run.estimate()


class Options(NamedTuple):
    """What is computed of a network and its stimulus; see `contributions`."""

    target: Target
    method: Method
    layers: Iterable[str] | None
    reduce: Reduce
    split: Split
    baseline: ArrayLike | xr.DataArray | None
    outputs: bool = False


def _plan(net: Network, stimulus: xr.DataArray, wanted: Options) -> ContributionPlan:
    samples = Samples.of(net, stimulus, stream=True)
    return ContributionPlan(
        net=net,
        samples=samples,
        target=wanted.target,
        method=wanted.method,
        layers=net.select_layers(wanted.layers),
        reduce=arguments.one_of("reduce", wanted.reduce, ("channel", "none")),
        split=arguments.one_of("split", wanted.split, ("before", "after")),
        baseline=samples.baseline(wanted.baseline),
        given=wanted.baseline is not None,
        outputs=arguments.flag("outputs", wanted.outputs),
    )
