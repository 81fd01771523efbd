"""`nc.concept_contributions`: what concept vectors of a layer contribute to a later one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import xarray as xr

from neurocodec import arguments
from neurocodec.concept_graphs.plan import ConceptPlan
from neurocodec.concept_graphs.settings import GIG, STRONGEST, TOLERANCE, Pair
from neurocodec.engine.distributed import run_distributed
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.errors import warn
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target

if TYPE_CHECKING:
    from distributed import Client

MISSED_SHARE: Final = 0.05
"""Of the targets: from here on lines that were not fine enough are warned of."""


def concept_contributions(
    net: Network,
    stimulus: xr.DataArray,
    *,
    source: ConceptVectors,
    target: ConceptVectors | Target,
    at: Literal["strongest", "sum"] | Sequence[int] | int = STRONGEST,
    method: Literal["gig", "actgrad"] = GIG,
    steps: int | Literal["auto"] = "auto",
    residual: bool = True,
    targets: int | Sequence[int] | None = None,
    active: int | None = None,
    solver: Literal["omp", "lasso", "lasso_refit"] = "omp",
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    client: Client | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Contributions of concept vectors of a layer to those of a later layer, or to an output.

    Generalized integrated gradients (Kim et al., eq. 4-7): of a straight line in the layer, from
    the offset of its concept vectors to its activation X = offset + U V' + residual, the integral
    of the gradient of the target, times what a vector is of X, summed over positions. All vectors
    come from one backward pass a target and step, and with more targets than channels at a place
    all targets from one pass a channel.

    The paper differs: its line scales the offset too and ends at U V', so that 89 % of the change
    of a target are missed, and what codes leave, a quarter of it, is not in its graph.

    Parameters
    ----------
    net
        The network and its layers.
    stimulus
        Images (stimulus, ...) or a movie (time, y, x).
    source
        `nc.ConceptVectors` of a layer of the network.
    target
        `nc.ConceptVectors` of a later layer: of each the projection <x - offset, v> of the layer
        on it. Or any target of one number, such as ``nc.targets.Output("junco")``.
    at
        Where concept vectors of the target are read: ``"strongest"``, where the projection is
        largest at the sample itself, which is kept along the line; ``"sum"`` over all positions
        (the paper's eq. 5); or a position such as ``(y, x)``.
    method
        ``"gig"``, or ``"actgrad"``: what a vector is of X times the gradient at X alone, which
        does not sum to the change of the target.
    steps
        Gauss-Legendre nodes on the line; ``"auto"`` doubles them, from 8 to 128, for those samples
        and targets whose contributions miss the change of the target by more than 2 %.
    residual
        Whether the line ends at the activation, and what the codes leave has a contribution of
        its own. Else it ends at what the codes make, as in the paper, and so does `target`.
    targets
        Which concept vectors of the target: all where None, the strongest so many of each sample,
        or these modes.
    active, solver
        Concept vectors of a position, at most, and how they are found: as of
        `nc.ConceptVectors.transform`.
    batch_size, device, workers, out, client, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.Dataset
        In units of the target, with the dim `target_mode`, or `rank` of the strongest, where the
        target is concept vectors:

        - `contribution` (sample, mode, ...), 0 of a mode that is at no position of the sample,
        - `residual_contribution` (sample, ...),
        - `target` (sample, ...): at the end of the line,
        - `completeness_error` (sample, ...): sum of the contributions minus the change of the
          target from the offset on,
        - `steps`, `converged` (sample, ...) of ``method="gig"``: nodes, and whether that error is
          at most 2 % of the change,
        - `active` (sample, mode): whether a mode is at some position of the sample,
        - `target_mode` (sample, rank): which the strongest are; `target_place` (sample, ...):
          where in the flattened maps they are read.

    Warns
    -----
    NeurocodecWarning
        Where something goes around the layer; where more than 5 % of the targets are not explained
        to 2 %.

    Raises
    ------
    InputError
        Where concept vectors are of another layer or other weights, the target is not after the
        source, there are fewer vectors than are asked for, or a position is outside of the layer.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import neurocodec as nc
    >>> conv, read = torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(64, 3)
    >>> module = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), read)
    >>> net = nc.Network(module, layers={"maps": "0"})
    >>> values = np.random.default_rng(0).normal(size=(8, 1, 6, 6)).astype("float32")
    >>> images = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    >>> rows = nc.point_vectors(net, images, "maps", per_image=4, progress=False)
    >>> vectors = nc.ConceptVectors(vectors=6, active=2).fit(rows)
    >>> found = nc.concept_contributions(net, images, source=vectors, target=nc.targets.Output(2),
    ...                                  steps=16, progress=False)
    >>> found.contribution.dims, found.residual_contribution.dims
    (('stimulus', 'mode'), ('stimulus',))
    """
    placed = require_network(net).on(device if client is None else None)
    size = arguments.batch_size(batch_size)
    pair = Pair.of(source, target, net)
    options: dict[str, Any] = {"method": method, "at": at, "steps": steps, "residual": residual}
    options |= {"targets": targets, "active": active, "solver": solver}
    plan = ConceptPlan(
        net=placed,
        samples=Samples.of(net, stimulus, stream=True),
        layers=net.select_layers([pair.source.layer]),
        pair=pair,
        settings=pair.settings(options),
    )
    if client is None:
        with Run.opened(plan, size, workers, progress=progress, out=out) as run:
            tree = run.result(out)
    else:
        tree = run_distributed(plan, out, client, batch_size=size, device=device, progress=progress)
    found = tree.to_dataset()
    if steps == "auto" and method == GIG:
        _warn_of_steps(found)
    return found


def _warn_of_steps(found: xr.Dataset) -> None:
    """Warn where sums are not the change of the target, as the line was not fine enough."""
    missed = float((~found["converged"]).mean())
    if missed >= MISSED_SHARE:
        warn(
            f"{missed:.1%} of all targets are not explained to {TOLERANCE:.0%} (see `converged`,"
            " `completeness_error`): their lines bend too sharply; steps=512 may do"
        )
