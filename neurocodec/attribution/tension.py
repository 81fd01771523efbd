"""`nc.tension`: how much a layer excites and inhibits features of a later one, image by image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.between_layers import TensionPlan
from neurocodec.attribution.ranked_maps import Best, Settings, add_ranked
from neurocodec.attribution.ranking import By
from neurocodec.engine.distributed import run_distributed
from neurocodec.engine.estimate import Estimate
from neurocodec.engine.run import Run
from neurocodec.engine.samples import samples_at
from neurocodec.errors import InputError, warn
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.layer import Layer

if TYPE_CHECKING:
    from distributed import Client

LINE: Final = IntegratedGradients("auto", path="hidden", tolerance=0.01, max_steps=128)
"""The method where none is given: complete by construction, to a hundredth."""
SILENT_SHARE: Final = 0.1
"""Of the samples: from here on a target that often has no attribution is warned of."""
MISSED_SHARE: Final = 0.05
"""Of the targets: from here on lines that were not fine enough are warned of."""


def tension(
    net: Network,
    stimulus: xr.DataArray,
    layer: str | Iterable[str],
    *,
    target: Target,
    method: Method | None = None,
    maps: bool = False,
    keep: int | None = None,
    by: By | Iterable[By] | None = None,
    baseline: ArrayLike | xr.DataArray | Literal["zeros", "mean"] | None = None,
    times: Any = None,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    client: Client | None = None,
    progress: bool = True,
) -> xr.Dataset | xr.DataTree:
    """Excitation and inhibition of features by a layer: images that do both are tense.

    Of the contributions S of all units of the layer, E+ is the sum of what is above 0, E- the size
    of what is below (Hamblin et al., Understanding Inhibition Through Maximally Tense Images, eq.
    1-3). One forward pass serves all features and layers.

    Parameters
    ----------
    net
        The network and its layers.
    stimulus
        Images (stimulus, ...) or a movie (time, y, x).
    layer
        Alias of the earlier layer, after its ReLU; or several.
    target
        `nc.targets.Features` of a later layer, before its ReLU (after it, what inhibition silences
        cannot be seen), or any target of one number.
    method
        None integrates along the straight line in the layer, with as many steps as make E+ - E-
        the change of the target to 1 %. ``nc.methods.ActGrad()`` is the paper's, which in networks
        with batch norm does not sum to the target: see
        `nc.statistics.attribution_correlation`.
    maps
        Whether to keep where in the layer excitation and inhibition lie, summed over channels.
    keep, by
        Keep the maps of so many stimuli of each feature alone: those that each of the rules of
        `nc.rank_stimuli` ranks first (``"tension"`` where None). They are made in a second pass
        over these alone, so that no map of another stimulus is ever held. Rules that compare the
        maps of all stimuli, ``"apart"`` and ``"together"``, are refused.
    baseline
        Where lines in the layer start. None: at 0, as activation times gradient does. Else at what
        the layer is at ``"zeros"``, at the ``"mean"`` stimulus or at a sample.
    times
        Of a movie: the times to compute, as `nc.receptive_fields` takes them; all where None.
    batch_size, device, workers, out, client, progress
        As for `nc.contributions`. With `keep`, the maps are in a file beside `out`
        (``run-best10.nc`` of ``run.nc``), which goes on where it stopped too.

    Returns
    -------
    xarray.Dataset
        Of one layer; of several a DataTree with a node for each, and `target` in the root.

        - `excitation`, `inhibition` (sample, feature), both at least 0, in units of the target,
        - `target` (sample, feature),
        - `norm` (sample, feature, order): of the contributions, E+ + E- and the Euclidean,
        - `completeness_error` (sample, feature): E+ - E- minus the change of the target from where
          the line starts,
        - `excitation_map`, `inhibition_map` (sample, feature, y, x) with ``maps=True``,
        - with ``keep=`` in place of these `ranked_position` and `rank_score` (feature, ranking,
          rank), as `nc.rank_stimuli` returns them, and both maps (feature, ranking, rank, y, x),
        - `steps`, `converged` (sample, feature) of adaptive steps.

    Warns
    -----
    NeurocodecWarning
        Where something goes around the layer; where nothing in it moves a feature, or a tenth of
        the samples have no attribution, as of a target after its ReLU; where the steps did not do.

    Raises
    ------
    InputError
        Where stimulus, layer, target, method or baseline do not fit.

    Examples
    --------
    >>> import neurocodec as nc
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.ReLU(),
    ...                              torch.nn.Linear(2, 1, bias=False))
    >>> module[0].weight.data = torch.eye(2)
    >>> module[2].weight.data = torch.tensor([[3.0, -2.0]])
    >>> net = nc.Network(module, layers={"hidden": "1", "answer": "2"})
    >>> images = xr.DataArray([[1.0, 1.0], [1.0, 0.0]], dims=("stimulus", "feature"))
    >>> found = nc.tension(net, images.astype("float32"), "hidden",
    ...                    target=nc.targets.Feature("answer", [1.0]), progress=False)
    >>> found.excitation.values.tolist(), found.inhibition.values.tolist()
    ([3.0, 3.0], [2.0, 0.0])
    """
    placed = require_network(net).on(device if client is None else None)
    best = Best.of(keep, by, maps=maps)
    options = Options(target, method, False if best else maps, baseline, times)
    plan = _plan(placed, stimulus, layer, options)
    if best is not None:
        best.require(plan)
    size = arguments.batch_size(batch_size)
    if client is None:
        with Run.opened(plan, size, workers, progress=progress, out=out) as run:
            tree = run.result(out)
    else:
        tree = run_distributed(plan, out, client, batch_size=size, device=device, progress=progress)
    _warn_of_silence(tree, target)
    _warn_of_steps(tree)
    if best is not None:
        add_ranked(tree, plan, best, Settings(size, workers, progress, out))
    return tree if len(plan.layers) > 1 else tree.to_dataset()


def estimate_tension(
    net: Network,
    stimulus: xr.DataArray,
    layer: str | Iterable[str],
    *,
    target: Target,
    method: Method | None = None,
    maps: bool = False,
    baseline: ArrayLike | xr.DataArray | Literal["zeros", "mean"] | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
) -> Estimate:
    """Size, memory and time that `nc.tension` will take, from two of its batches.

    Parameters
    ----------
    net, stimulus, layer, target, method, maps, baseline, batch_size, device, workers
        As for `nc.tension`.

    Returns
    -------
    Estimate
        Prints as one line.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> net = Network(module, layers={"hidden": "1", "answer": "2"})
    >>> images = xr.DataArray(np.ones((500, 2), "float32"), dims=("stimulus", "feature"))
    >>> from neurocodec.nn.attribution.targets import Features
    >>> estimate_tension(net, images, "hidden", target=Features("answer", channels=[0])).samples
    500
    """
    size = arguments.batch_size(batch_size)
    placed = require_network(net).on(device)
    plan = _plan(placed, stimulus, layer, Options(target, method, maps, baseline))
    with Run.opened(plan, size, workers, progress=False) as run:
        return run.estimate()


class Options(NamedTuple):
    """What is computed of a network and its stimulus; see `tension`."""

    target: Target
    method: Method | None
    maps: bool
    baseline: ArrayLike | xr.DataArray | None
    times: Any = None


def _plan(
    net: Network,
    stimulus: xr.DataArray,
    layer: str | Iterable[str],
    wanted: Options,
) -> TensionPlan:
    names = arguments.several("layer", layer, "an alias, or several", hint="layer='layer3.3'")
    samples = samples_at(net, stimulus, wanted.times)
    return TensionPlan(
        net=net,
        samples=samples,
        layers=_layers(net, names, wanted.target),
        target=wanted.target,
        method=wanted.method or LINE,
        maps=arguments.flag("maps", wanted.maps),
        baseline=samples.baseline(wanted.baseline),
        given=wanted.baseline is not None,
    )


def _layers(net: Network, names: list[str], target: Target) -> dict[str, Layer]:
    if not names:
        raise InputError(came="no layer", expected="an alias, or several", hint="layer='layer3.3'")
    read = getattr(target, "layer", None)
    if read in names:
        raise InputError(
            came=f"layer {read!r}, which the target itself reads",
            expected="an earlier layer",
            hint=f"one of {[alias for alias in net.layers if alias != read]}",
        )
    return net.select_layers(names)


def _warn_of_silence(tree: xr.DataTree, target: Target) -> None:
    """Warn of features that nothing moves, and of a target that is read after its ReLU."""
    for node in tree.subtree:
        if v.NORM not in node:
            continue
        where = "" if node.path == "/" else f" by layer {node.name!r}"
        silent = np.asarray(node[v.NORM].sel({v.ORDER: 1}) == 0)
        silent = silent.reshape(len(silent), -1)
        never = silent.all(0)
        names = [*np.asarray(node[v.FEATURE])[never]] if v.FEATURE in node.dims else list[str]()
        if len(names):
            warn(
                f"{len(names)} features have no attribution{where} for any sample, as"
                f" {names[0]}: nothing in the layer moves them"
            )
        share = silent[:, ~never].mean() if len(names) < silent.shape[1] else 0.0
        if share >= SILENT_SHARE:
            warn(
                f"{share:.0%} of all targets have no attribution{where} at all, as after a ReLU"
                " what inhibition has silenced has no gradient; read the target before it:"
                f" layers={{'pre': net.pre_activation({target.layer or 'layer1'!r})}}"
            )


def _warn_of_steps(tree: xr.DataTree) -> None:
    """Warn where E+ - E- is not the change of the target, as the line was not fine enough."""
    missed = (~tree["converged"]).mean().item() if "converged" in tree else 0.0
    if missed >= MISSED_SHARE:
        warn(
            f"{missed:.1%} of all targets are not explained to the method's tolerance (see"
            " `converged`, `completeness_error`): their lines bend too sharply, as behind a"
            " normalisation of what is 0; more steps, max_steps=1024, or another start,"
            " baseline='mean', may do"
        )
