"""`nc.concept_stability`: whether concept vectors are found again, and whether by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.resampling import break_columns
from neurocodec.kernels.spherical import nearest_center
from neurocodec.modes.concept_vectors.finding import directions, found
from neurocodec.modes.concept_vectors.given import given, require_points
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.rows.blocks import Data

_SHUFFLED = 3
"""Stream of random numbers beside those of the fits."""


def concept_stability(
    vectors: ConceptVectors,
    data: Data,
    *,
    layer: str | None = None,
    seeds: int | Sequence[int] = 4,
    shuffles: int = 2,
    cosine: float = 0.9,
    progress: bool = True,
) -> xr.Dataset:
    """Find concept vectors again from other seeds, and in rows whose channels are shuffled.

    Parameters
    ----------
    vectors
        That were fitted; their settings, number and offset are those of all fits.
    data
        The rows that were fitted.
    layer
        Which layer of a tree or file.
    seeds
        Number of further fits, or their seeds.
    shuffles
        Fits to rows of which every channel is permuted by itself, which keeps what it does alone
        and breaks all combinations.
    cosine
        From here on a vector counts as found again.
    progress
        Whether to show a progress bar.

    Returns
    -------
    xarray.Dataset
        Per vector: `matched_cosine` (fit, mode), with the nearest vector of each further fit;
        `stability`, its median over fits; `chance`, the largest cosine with any vector of shuffled
        rows; `above_chance`, whether it is at least `cosine`, and above chance. In all
        `replicated_share`, `found_in_shuffled_share` and `above_chance_share` of the vectors of
        clusters of more than one row, and `single_share`, the part of the others: a row that is a
        vector by itself is found in each fit to the same rows, which says nothing.

    Raises
    ------
    InputError
        Where the vectors are not fitted, or the rows are others.

    Notes
    -----
    Vectors are not paired one to one, as in `nc.mode_stability`: two may have the same nearest.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).normal(size=(90, 4)),
    ...                     dims=("vector", "channel"))
    >>> fitted = ConceptVectors(vectors=5, active=2).fit(rows)
    >>> told = concept_stability(fitted, rows, seeds=2, progress=False)
    >>> told.matched_cosine.dims, told.fit.size
    (('fit', 'mode'), 2)
    """
    others = _seeds(seeds, int(vectors.settings()["seed"]))
    count = arguments.whole("shuffles", shuffles, hint="shuffles=2")
    limit = arguments.cosine(cosine)
    with given(data, layer) as (array, _):
        rows = require_points(array).load()
    labels.require_finite(rows, "vectors")
    atoms = vectors.dictionary
    if labels.provenance(atoms).get("data") != labels.fingerprint(rows):
        raise InputError(
            came="rows that are not those that the concept vectors were fitted to",
            expected="the same rows",
            hint="concept_stability(nc.ConceptVectors().fit(rows), rows)",
        )
    fits = tqdm(
        _fits(vectors, np.asarray(rows.values, np.float32), others, count),
        total=len(others) + count,
        desc="fits",
        disable=not progress,
    )
    near = np.stack([nearest_center(atoms.values, one)[1] for one in fits]).astype(np.float64)
    result = _told(near[: len(others)], near[len(others) :], vectors.summary, limit)
    coords = {v.FIT: np.arange(len(others)), "seed": (v.FIT, others)}
    facts = {"vectors": labels.fingerprint(atoms), "shuffles": count, "cosine": limit}
    return labels.stamp(result.assign_coords(coords), "nc.concept_stability", seeds=others, **facts)


def _seeds(seeds: int | Sequence[int], own: int) -> list[int]:
    if isinstance(seeds, list | tuple):
        fits = [arguments.whole("seeds", s, 0, hint="seeds=[1, 2]") for s in seeds]
    else:
        count = arguments.whole("seeds", seeds, hint="seeds=4")
        fits = [own + 1 + i for i in range(count)]
    if not fits or own in fits or len({*fits}) < len(fits):
        raise InputError(
            came=f"seeds={seeds!r}",
            expected=f"different ones, and none that was fitted already (seed={own})",
            hint=f"seeds={[own + 1, own + 2]}",
        )
    return fits


def _fits(
    vectors: ConceptVectors, rows: NDArray[np.float32], seeds: list[int], shuffles: int
) -> Iterator[NDArray[np.float32]]:
    """Vectors of the same rows from other seeds, then of shuffled ones."""
    offset, count = vectors.offset.values, len(vectors.dictionary)
    for seed in seeds:
        yield found(directions(rows - offset), count, vectors.method, seed).vectors
    for place in range(shuffles):
        broken = break_columns(rows, [seeds[0], _SHUFFLED, place], series=False)
        yield found(directions(broken - offset), count, vectors.method, seeds[0]).vectors


def _told(
    near: NDArray[np.float64], chance: NDArray[np.float64], summary: xr.Dataset, cosine: float
) -> xr.Dataset:
    stability, by_chance = np.median(near, 0), chance.max(0)
    above = (stability >= cosine) & (stability > by_chance)
    several = summary["cluster_size"].values > 1
    mode = {v.MODE: summary[v.MODE].values}
    of_modes = {"stability": stability, "chance": by_chance, "above_chance": above}
    shares = {
        "replicated_share": _share(near >= cosine, several),
        "found_in_shuffled_share": _share(chance >= cosine, several),
        "above_chance_share": _share(above[None], several),
        "single_share": float((~several).mean()),
    }
    return xr.Dataset(
        {
            "matched_cosine": labels.labelled(near, (v.FIT, v.MODE), mode, name="matched_cosine"),
            **{n: labels.labelled(x, (v.MODE,), mode, name=n) for n, x in of_modes.items()},
            **{n: labels.labelled(x, (), name=n) for n, x in shares.items()},
        }
    )


def _share(right: NDArray[np.bool_], several: NDArray[np.bool_]) -> float:
    return float(right[:, several].mean()) if several.any() else float("nan")
