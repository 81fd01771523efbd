"""`nc.concept_interventions`: whether contributions predict what scaled concept vectors do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.concept_graphs.scaled import Drawn, InterventionPlan
from neurocodec.concept_graphs.settings import STRONGEST, Pair
from neurocodec.engine.distributed import run_distributed
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.kernels.correlation import unit_columns
from neurocodec.kernels.intervals import interval
from neurocodec.kernels.resampling import bootstrap_rows
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target

if TYPE_CHECKING:
    from distributed import Client

FEWEST: Final = 3
"""Changes that a correlation is of."""


def concept_interventions(
    net: Network,
    stimulus: xr.DataArray,
    *,
    source: ConceptVectors,
    target: ConceptVectors | Target,
    fractions: float | Sequence[float] = (0, 0.1, 0.5),
    factors: float | Sequence[float] = (0, 0.5, 2),
    draws: int = 32,
    at: Literal["strongest", "sum"] | Sequence[int] | int = STRONGEST,
    targets: int | Sequence[int] | None = None,
    active: int | None = None,
    solver: Literal["omp", "lasso", "lasso_refit"] = "omp",
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    client: Client | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Scale loadings of concept vectors in the network; compare with what contributions add up to.

    Some concept vectors of a sample, at all of their positions, are set to zero, halved or doubled:
    the layer becomes X + (factor - 1) sum u v', and the rest of the network runs on it. By their
    contributions the target should change by (factor - 1) times their sum. How well that goes with
    what is measured, over draws of vectors, is the correlation of each sample.

    Small changes are what a gradient predicts: of one vector alone ``"actgrad"``, the loading times
    the gradient at the sample, is nearly exact by Taylor's theorem. Contributions along a line
    explain the whole of the change from the offset; the more is undone at once, the less the
    gradient at the sample knows of it.

    Parameters
    ----------
    net, stimulus, source, target, at, targets, active, solver
        As for `nc.concept_contributions`.
    fractions
        Part of the sample's active concept vectors that is scaled together, drawn at random;
        0 is one alone.
    factors
        What their loadings are multiplied by; not 1.
    draws
        Of vectors, for each sample and fraction; of single ones each another, all where there are
        fewer.
    bootstrap, confidence
        Times that samples are drawn again for the interval of the median, 0 for none; and its
        confidence.
    seed
        Of the draws; those of a sample do not depend on the samples beside it.
    batch_size, device, workers, out, client, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.Dataset
        With the dim `target_mode` or `rank` where the target is concept vectors:

        - `measured_change` (sample, fraction, draw, factor, ...), NaN where there are no more
          vectors to draw,
        - `predicted_change` (sample, graph, fraction, draw, factor, ...): by ``"gig"``, by
          ``"actgrad"``, and by ``"random"``, a graph of the same size in which every active vector
          has the contribution of another one,
        - `correlation` (sample, graph, fraction, factor, ...) of the two over draws,
        - `median_correlation` (graph, fraction) over samples, of the mean over factors and
          targets, with its interval (bound),
        - `target` (sample, ...), `n_nodes` (sample): active vectors; `node` (sample, draw): the
          vector that is scaled alone; `target_mode`, `target_place` as of
          `nc.concept_contributions`.

    Raises
    ------
    InputError
        As `nc.concept_contributions` does; where a fraction is not from 0 to 1, a factor is 1, or
        there are fewer than three draws.

    Examples
    --------
    >>> import torch
    >>> import neurocodec as nc
    >>> conv, read = torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(64, 3)
    >>> module = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), read)
    >>> net = nc.Network(module, layers={"maps": "0"})
    >>> values = np.random.default_rng(0).normal(size=(8, 1, 6, 6)).astype("float32")
    >>> images = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    >>> rows = nc.point_vectors(net, images, "maps", per_image=4, progress=False)
    >>> vectors = nc.ConceptVectors(vectors=6, active=2).fit(rows)
    >>> told = nc.concept_interventions(net, images, source=vectors, target=nc.targets.Output(2),
    ...                                 fractions=0, draws=3, progress=False)
    >>> told.median_correlation.dims, told.graph.values.tolist()
    (('graph', 'fraction'), ['gig', 'actgrad', 'random'])
    """
    placed = require_network(net).on(device if client is None else None)
    size = arguments.batch_size(batch_size)
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    pair = Pair.of(source, target, net)
    options = {"at": at, "targets": targets, "active": active, "solver": solver}
    drawn = Drawn(
        fractions=_numbers("fractions", fractions, "from 0 to 1", lambda x: 0 <= x <= 1),
        draws=arguments.whole("draws", draws, FEWEST, hint="draws=32"),
        factors=_numbers("factors", factors, "other than 1", lambda x: x != 1),
        seed=arguments.whole("seed", seed, 0, hint="seed=0"),
    )
    plan = InterventionPlan(
        net=placed,
        samples=Samples.of(net, stimulus, stream=True),
        layers=net.select_layers([pair.source.layer]),
        pair=pair,
        settings=pair.settings({**options, "residual": True}),
        drawn=drawn,
    )
    if client is None:
        with Run.opened(plan, size, workers, progress=progress, out=out) as run:
            tree = run.result(out)
    else:
        tree = run_distributed(plan, out, client, batch_size=size, device=device, progress=progress)
    found = _with_correlations(tree.to_dataset(), bootstrap, confidence, drawn.seed)
    facts = {**provenance(found), "bootstrap": bootstrap, "confidence": confidence}
    facts.pop("function")
    return stamp(found, "nc.concept_interventions", **facts)


def _numbers(name: str, given: Any, expected: str, fits: Any) -> tuple[float, ...]:
    """Take one finite number, or several, each once."""
    several = [given] if isinstance(given, int | float) else given
    hint = {"fractions": "fractions=(0, 0.5)", "factors": "factors=(0, 0.5, 2)"}[name]
    several = arguments.several(name, several, f"numbers {expected}", hint=hint)
    found = [arguments.number(name, x, f"numbers {expected}", hint=hint) for x in several]
    if not found or len({*found}) < len(found) or not all(map(fits, found)):
        raise InputError(
            came=f"{name}={tuple(found)}", expected=f"numbers {expected}, each once", hint=hint
        )
    return tuple(found)


def _with_correlations(
    found: xr.Dataset, bootstrap: int, confidence: float, seed: int
) -> xr.Dataset:
    """Add correlations of predicted with measured changes of every sample, and their median."""
    measured, predicted = found[v.MEASURED_CHANGE], found[v.PREDICTED_CHANGE]
    each = found[v.CORRELATION] = _correlated(measured, predicted)
    sample = str(measured.dims[0])
    each = each.mean([d for d in each.dims if d not in (sample, v.GRAPH, v.FRACTION)])
    dims = (v.GRAPH, v.FRACTION)
    coords: dict[str, Any] = {d: each[d] for d in dims}
    median, ends = medians(each.transpose(sample, *dims).values, bootstrap, confidence, seed)
    name = v.MEDIAN_CORRELATION
    found[name] = labelled(median, dims, coords, name=name)
    name, known = f"{name}_interval", {**coords, v.BOUND: list(v.BOUNDS)}
    found[name] = labelled(np.moveaxis(ends, 0, -1), (*dims, v.BOUND), known, name=name)
    return found


def _correlated(measured: xr.DataArray, predicted: xr.DataArray) -> xr.DataArray:
    """Correlation over draws; NaN where there are fewer than three changes, or all are one."""
    # factors apart: with doubled and halved loadings together, the sign alone is a correlation
    kept = [d for d in predicted.dims if d != v.DRAW]
    both = xr.broadcast(measured, predicted)
    a, b = (np.asarray(x.transpose(v.DRAW, *kept), float) for x in both)
    shape = a.shape[1:]
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    there = np.isfinite(a)
    # what is not there counts as the mean, which changes no correlation
    with np.errstate(invalid="ignore"):
        a, b = (np.where(there, x, np.where(there, x, 0).sum(0) / there.sum(0)) for x in (a, b))
        products = unit_columns(a, 0) * unit_columns(b, 0)
        values = np.where(there.sum(0) >= FEWEST, products.sum(0), np.nan)
    coords = {str(d): predicted[d] for d in kept if d in predicted.coords}
    dims = tuple(map(str, kept))
    return labelled(values.reshape(shape), dims, coords, name=v.CORRELATION)


def medians(
    values: NDArray[np.float64], draws: int, confidence: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median over rows without NaN, and its interval (2, ...)."""
    kept = [column[np.isfinite(column)] for column in values.reshape(len(values), -1).T]
    shape = values.shape[1:]
    middle = np.array([np.median(c) if len(c) else np.nan for c in kept])
    ends = np.full((2, len(kept)), np.nan)
    for place, column in enumerate(kept):
        if len(column) > 1 and draws:
            some = (bootstrap_rows(len(column), [seed, i], series=False) for i in range(draws))
            again = np.array([np.median(column[rows]) for rows in some])
            ends[:, place] = interval(again, confidence, len(column))
    return middle.reshape(shape), ends.reshape(2, *shape)
