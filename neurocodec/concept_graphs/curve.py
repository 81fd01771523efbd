"""`nc.concept_curve`: what becomes of a target as concept vectors are put in, or taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.concept_graphs.curve_plan import (
    KINDS,
    OF_LAYERS,
    RANKINGS,
    Curve,
    CurvePlan,
    Kind,
    Ranking,
)
from neurocodec.concept_graphs.settings import STRONGEST, Pair
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.labels import labelled, provenance, stamp
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Output, Probability, TopK

COUNTED: Final = ("active", "all")


def concept_curve(
    net: Network,
    images: xr.DataArray,
    *,
    source: Any,
    target: Any,
    kind: Kind | Sequence[Kind] = KINDS,
    rankings: Ranking | Sequence[Ranking] | None = None,
    of: Literal["active", "all"] = "active",
    targets: int = 5,
    points: int = 20,
    residual: bool = False,
    steps: int | Literal["auto"] = "auto",
    active: int | None = None,
    solver: Literal["omp", "lasso", "lasso_refit"] = "omp",
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Put concept vectors into a layer, or take them out, in the order of a ranking.

    A layer is written as offset + loadings times concept vectors, at all positions, and the rest of
    the network runs on it. Insertion begins with the offset alone, and puts in the vectors of the
    largest score first; deletion begins with all of them. A ranking that is right about what makes
    the target has a large area under insertion and a small one under deletion (C-insertion and
    C-deletion, Fel et al. 2023; between layers GIG sec. 4.2.3).

    Parameters
    ----------
    net
        The network and its layers.
    images
        Images (stimulus, ...), or a movie (time, y, x).
    source
        `nc.ConceptVectors` of a layer of the network.
    target
        ``nc.targets.TopK(1)`` (the class that the network finds), ``nc.targets.Output("junco")``,
        ``nc.targets.Probability("junco")``; or `nc.ConceptVectors` of a later layer.
    kind
        ``"insert"``, ``"delete"``, or both.
    rankings
        ``"gig"`` and ``"actgrad"``: as of `nc.concept_contributions`, to the target at its
        strongest position; ``"sum"``: the contributions to the sum over all positions (the paper's
        eq. 5); ``"size"``: the length of a vector's loadings over positions; ``"cosine"`` with the
        target; ``"random"``; ``"unrelated"``: contributions to another target, whose cosine with
        this one is near 0, a control. None takes all that the target has.
    of
        Which vectors the fraction counts: those that are ``"active"`` in the image, or ``"all"``,
        as in the paper, where all but some percent are absent and every curve jumps at once.
    targets
        Of concept vectors as a target: the strongest so many of each image.
    points
        Steps between none of the vectors and all.
    residual
        Whether what the codes leave stays in the layer all along, so that the curve ends at the
        image's own activation; else it ends at what the codes make, as in the paper.
    steps, active, solver
        As for `nc.concept_contributions`.
    bootstrap, confidence
        Draws and confidence of the intervals, over images.
    seed
        Of random orders and of the draws.
    batch_size, device, workers, out, progress
        As for `nc.contributions`; the curves of all images are written.

    Returns
    -------
    xarray.Dataset
        With the dim `outcome`: of a class ``"accuracy"`` (whether the network still finds it) and
        ``"probability"`` (by a softmax); of a cell ``"response"``, which the network gives; between
        layers ``"projection"``, the largest over positions, relative to that with all vectors.

        - `concept_curve` (stimulus, rank, ranking, kind, fraction, outcome), and
          `mean_concept_curve` without stimulus and rank; `rank` are targets of an image,
        - `concept_curve_area` (ranking, kind, outcome),
        - `advantage` (ranking, outcome): area of insertion minus that of deletion, of both kinds,
        - `lead` (ranking, outcome): advantage by the first ranking minus that by another,
        - each mean over images with its interval (..., bound): `advantage_interval`, ...,
        - `active_count` (stimulus), `target_mode` (stimulus, rank).

    Raises
    ------
    InputError
        Where the concept vectors do not fit the network, the target is neither a class nor concept
        vectors of a later layer, or a ranking is one that it does not have.

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
    >>> found = nc.concept_curve(net, images, source=vectors, target=nc.targets.TopK(1),
    ...                          points=4, progress=False)
    >>> found.advantage.dims, found.ranking.values.tolist()
    (('ranking', 'outcome'), ['gig', 'actgrad', 'size', 'random'])
    """
    placed = require_network(net).on(device)
    size = arguments.batch_size(batch_size)
    draws, confidence = arguments.interval(bootstrap, confidence)
    aim = _class_target(target) if isinstance(target, Target) else target
    pair = Pair.of(source, aim, net)
    curve = Curve(
        kinds=_names("kind", kind, KINDS),
        rankings=_rankings(rankings, pair.source, pair.target),
        active=arguments.one_of("of", of, COUNTED) == "active",
        points=arguments.whole("points", points, 2, hint="points=20"),
        seed=arguments.whole("seed", seed, 0, hint="seed=0"),
    )
    count = arguments.whole("targets", targets, hint="targets=5")
    options = {"at": STRONGEST, "steps": steps, "residual": residual, "active": active}
    options |= {"solver": solver, "targets": None if isinstance(aim, Target) else count}
    plan = CurvePlan(
        net=placed,
        samples=Samples.of(placed, images, stream=True),
        layers=placed.select_layers([pair.source.layer]),
        pair=pair,
        settings=pair.settings(options),
        curve=curve,
    )
    with Run.opened(plan, size, workers, progress=progress, out=out) as run:
        found = run.result(out).to_dataset()
    means = _summary(found, draws, confidence, curve.seed)
    facts = {**provenance(found), "bootstrap": draws, "confidence": confidence}
    facts.pop("function")
    return stamp(found.assign(means), "nc.concept_curve", **facts)


def _class_target(target: Target) -> Target:
    """A target that is one output, which stays the same output along all curves."""
    if isinstance(target, TopK) and target.k == 1:
        return replace(target, hold=True)
    if not isinstance(target, Output | Probability):
        raise InputError(
            came=f"target={target!r}",
            expected="a class, or concept vectors of a later layer",
            hint="target=nc.targets.TopK(1)",
        )
    return target


def _names(what: str, given: Any, known: Sequence[str]) -> tuple[Any, ...]:
    """Names that are known, each once."""
    expected, hint = f"some of {known}", f"{what}={known!r}"
    names = arguments.several(what, given, expected, hint=hint)
    for name in names:
        arguments.one_of(what, name, known)
    if not names or len({*names}) < len(names):
        raise InputError(came=f"{what}={names}", expected=f"{expected}, each once", hint=hint)
    return tuple(names)


def _rankings(given: Any, source: Vectors, target: Vectors | Target) -> tuple[Ranking, ...]:
    """Rankings that a target has."""
    missing = OF_LAYERS if isinstance(target, Target) else ()
    known = [name for name in RANKINGS if name not in missing]
    if given is None:
        same = isinstance(target, Vectors) and source.rows.shape[1] == target.rows.shape[1]
        return _names("rankings", [n for n in known if n != "cosine" or same], RANKINGS)
    names = _names("rankings", given, RANKINGS)
    for name in names:
        if name in missing:
            raise InputError(
                came=f"ranking {name!r} of a class",
                expected=f"some of {known}: a class has one position and no direction in a layer",
                hint=f"rankings={tuple(known)!r}",
            )
    return names


def _summary(
    found: xr.Dataset, draws: int, confidence: float, seed: int
) -> dict[str, xr.DataArray]:
    """Means over images, and their intervals."""
    curves = found[v.CONCEPT_CURVE].astype(np.float64)
    # a target whose projection is not above 0 with all vectors has no curve
    each = curves.mean(v.RANK, skipna=True) if v.RANK in curves.dims else curves
    areas = each.reduce(trapezoid, v.FRACTION, x=found[v.FRACTION].values)
    parts = {"mean_concept_curve": each, "concept_curve_area": areas}
    if {*KINDS} <= {*found[v.KIND].values.tolist()}:
        apart = areas.sel({v.KIND: "insert"}) - areas.sel({v.KIND: "delete"})
        apart = apart.drop_vars(v.KIND, errors="ignore")
        parts[v.ADVANTAGE] = apart
        parts[v.LEAD] = apart.isel({v.RANKING: 0}, drop=True) - apart
    result: dict[str, xr.DataArray] = {}
    for name, values in parts.items():
        ordered = values.transpose(*(d for d in curves.dims if d in values.dims))
        result |= _with_interval(name, ordered, draws, confidence, seed)
    return result


def _with_interval(
    name: str, values: xr.DataArray, draws: int, confidence: float, seed: int
) -> dict[str, xr.DataArray]:
    rows: NDArray[np.float64] = np.asarray(values, np.float64)
    mean, low, high, _ = mean_intervals(rows.reshape(len(rows), -1), draws, confidence, seed)
    dims, shape = tuple(map(str, values.dims[1:])), rows.shape[1:]
    known = {d: values[d] for d in dims}
    ends = np.stack([low, high], -1).reshape(*shape, 2)
    return {
        name: labelled(mean.reshape(shape), dims, known, name=name),
        f"{name}_interval": labelled(
            ends, (*dims, v.BOUND), {**known, v.BOUND: [*v.BOUNDS]}, name=f"{name}_interval"
        ),
    }
