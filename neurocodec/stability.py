"""Whether modes can be trusted: whether they are found again, and whether by chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import ensembles, labels
from neurocodec import rows as row
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.matching import (
    UNMATCHED,
    Consensus,
    consensus_modes,
    cosine_similarity,
)
from neurocodec.kernels.resampling import bootstrap_rows, shuffle_columns
from neurocodec.modes import SparseModes
from neurocodec.nn.sparse.config import SparseConfig

_OTHER: Final = "fit_other"

_CHANCE_QUANTILE: Final = 0.95
_RESAMPLED, _SHUFFLED = 1, 2
"""Streams of random numbers beside those of the fits."""

Atoms = list[NDArray[np.float64]]


def mode_stability(
    data: row.Contributions,
    modes: SparseModes | None = None,
    *,
    seeds: int | Sequence[int] = 5,
    bootstrap: int = 0,
    shuffles: int = 1,
    cosine: float = 0.9,
    progress: bool = True,
) -> xr.Dataset:
    """Fit modes again and again, and say of each whether it comes back, and if chance has it too.

    Modes that are active on some row are matched across fits by the Hungarian method on cosine
    similarity; `neurocodec.kernels.matching.consensus_modes` makes the consensus. A mode of a
    fit is compared with the mean of the *other* fits, so that fits which have nothing in common
    do not look alike because they are part of their own mean.

    Chance: each channel is permuted over the rows by itself, which keeps what it does alone and
    breaks all combinations, and modes are fitted to that. Channels that are sparse and
    independent have stable modes as well, of one channel each. Therefore a mode is called above
    chance where the fits agree on it (`stability` of at least `cosine`) and no mode of shuffled
    rows is as close to it (`chance` below `cosine`). With few channels and many modes some mode
    is near every direction, and this is strict: raise `cosine`, or compare the two figures.

    Parameters
    ----------
    data
        As `nc.SparseModes.fit` takes it.
    modes
        Whose settings to use, fitted or not; where None, the defaults.
    seeds
        Number of fits that differ in their seed (start, order of rows, rows held out), or the
        seeds.
    bootstrap
        Number of further fits, each to rows drawn with replacement: in blocks for a movie, one
        by one for still images.
    shuffles
        Number of times that the channels are permuted; two fits each.
    cosine
        Matched modes count as the same from here on.
    progress
        Whether to show progress bars.

    Returns
    -------
    xarray.Dataset
        Per mode of the consensus, sorted by `stability`: `dictionary` (mode, channel) in the
        units of the data at its typical strength, `matched_cosine` (fit, mode; 0 where a fit has
        none), `stability` (its median over fits), `replicated` (part of the fits at `cosine` or
        above), `chance` (95 % quantile, over the fits to shuffled rows, of the cosine with their
        closest mode), `above_chance`. Per fit, with coords `seed` and `kind` ("seed" or
        "bootstrap"): `r2`, `l0`, `alive`, and `pairwise_replicated` (fit, fit_other), the part
        of one fit's modes that the other has. In all: `replicated_share`, its mean over pairs of
        seeds, and `chance_replicated_share`, the same for shuffled rows.

    Raises
    ------
    InputError
        Where a setting is out of its range, a fit has no active mode, or the data are refused by
        `nc.SparseModes.fit`.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 4)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=2)
    >>> found = mode_stability(rows, quick, seeds=2, progress=False)
    >>> found.matched_cosine.dims, found.fit.size
    (('fit', 'mode'), 2)
    """
    config = ensembles.settings_of(modes)
    chosen = ensembles.seed_list(seeds, least=2)
    _require_counts(bootstrap, shuffles)
    ensembles.require_cosine(cosine)
    rows = row.select_rows(data, config.sign)
    fits = _fits(rows, config, chosen, bootstrap, modes, progress=progress)
    atoms = [_alive(fit) for fit in fits]
    shuffled = _shuffled(rows, config, chosen, shuffles, modes, progress=progress)
    agreed = consensus_modes(atoms)
    found = {
        **_of_modes(agreed, atoms, fits[0].dictionary, shuffled, cosine),
        **_of_fits(fits, atoms, cosine),
        **_shares(atoms[: len(chosen)], shuffled, cosine),
    }
    return labels.stamp(
        xr.Dataset(found).assign_coords(_fit_coords(chosen, bootstrap)),
        "nc.mode_stability",
        config=config,
        seeds=chosen,
        bootstrap=bootstrap,
        shuffles=shuffles,
        cosine=cosine,
        data=labels.fingerprint(rows),
        contributions=ensembles.origin(data),
    )


def _require_counts(bootstrap: int, shuffles: int) -> None:
    for name, value, least in (("bootstrap", bootstrap, 0), ("shuffles", shuffles, 1)):
        if not isinstance(value, int) or value < least:
            raise InputError(
                came=f"{name}={value!r}", expected=f"a whole number of at least {least}"
            )


def _with_seeds(config: SparseConfig, seeds: Sequence[int]) -> list[SparseConfig]:
    return [dataclasses.replace(config, seed=seed) for seed in seeds]


def _fits(
    rows: xr.DataArray,
    config: SparseConfig,
    seeds: list[int],
    bootstrap: int,
    like: SparseModes | None,
    *,
    progress: bool,
) -> list[SparseModes]:
    """Fits to the rows with each seed, then to resampled rows."""
    series = rows.dims[0] == v.TIME
    arrays, again = [rows] * len(seeds), [seeds[i % len(seeds)] for i in range(bootstrap)]
    for i in range(bootstrap):
        drawn = bootstrap_rows(len(rows), [seeds[0], _RESAMPLED, i], series=series)
        arrays.append(rows.copy(data=rows.values[drawn]))
    configs = _with_seeds(config, [*seeds, *again])
    return ensembles.fit_all(arrays, configs, like=like, progress=progress, title="fits")


def _shuffled(
    rows: xr.DataArray,
    config: SparseConfig,
    seeds: list[int],
    shuffles: int,
    like: SparseModes | None,
    *,
    progress: bool,
) -> list[Atoms]:
    """Modes of shuffled rows: of two seeds for each shuffle."""
    flat = rows.values.reshape(len(rows), -1)
    broken = [
        rows.copy(data=shuffle_columns(flat, [seeds[0], _SHUFFLED, i]).reshape(rows.shape))
        for i in range(shuffles)
    ]
    fits = ensembles.fit_all(
        [array for array in broken for _ in seeds[:2]],
        _with_seeds(config, seeds[:2]) * shuffles,
        like=like,
        progress=progress,
        title="shuffled rows",
    )
    atoms = [ensembles.alive_atoms(fit) for fit in fits]
    return [atoms[2 * i : 2 * i + 2] for i in range(shuffles)]


def _alive(fit: SparseModes) -> NDArray[np.float64]:
    atoms = ensembles.alive_atoms(fit)
    if not len(atoms):
        raise InputError(
            came=f"a fit with seed {fit.config.seed} of which no mode is ever active",
            expected="modes that are active on some row",
            hint="a smaller l1_loading, more epochs or more rows",
        )
    return atoms


def _of_modes(
    agreed: Consensus,
    atoms: Atoms,
    like: xr.DataArray,
    shuffled: list[Atoms],
    cosine: float,
) -> dict[str, xr.DataArray]:
    """Variables that have the dim `mode`, the most stable one first."""
    stability = np.median(agreed.cosine, axis=0)
    chance = _chance(agreed.modes, shuffled)
    order = np.argsort(-stability, kind="stable")
    strong = agreed.modes * _strength(agreed, atoms)[:, None]
    mode = (v.MODE,)
    found: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {
        "matched_cosine": (agreed.cosine[:, order], (v.FIT, v.MODE)),
        "stability": (stability[order], mode),
        "replicated": ((agreed.cosine >= cosine).mean(axis=0)[order], mode),
        "chance": (chance[order], mode),
        "above_chance": (((stability >= cosine) & (chance < cosine))[order], mode),
    }
    coords = {v.MODE: np.arange(len(order))}
    made = {
        name: labels.labelled(values, dims, coords, name=name)
        for name, (values, dims) in found.items()
    }
    return {"dictionary": _dictionary(strong[order], like), **made}


def _dictionary(atoms: NDArray[np.float64], like: xr.DataArray) -> xr.DataArray:
    """Atoms with the labels of a fitted dictionary."""
    features = tuple(map(str, like.dims[1:]))
    coords = {v.MODE: np.arange(len(atoms)), **row.coords_along(like, features)}
    values = atoms.reshape(len(atoms), *like.shape[1:]).astype(like.dtype)
    return xr.DataArray(values, coords, (v.MODE, *features), "dictionary", like.attrs)


def _strength(agreed: Consensus, atoms: Atoms) -> NDArray[np.float64]:
    """Median over fits of the norm of each mode, in the units of the data."""
    norms = np.full(agreed.index.shape, np.nan)
    for fit, (index, rows) in enumerate(zip(agreed.index, atoms, strict=True)):
        has = index != UNMATCHED
        norms[fit, has] = np.linalg.norm(rows[index[has]], axis=1)
    return np.asarray(np.nanmedian(norms, axis=0))


def _chance(modes: NDArray[np.float64], shuffled: list[Atoms]) -> NDArray[np.float64]:
    """Cosine of each mode with the closest one of shuffled rows."""
    fits = [atoms for pair in shuffled for atoms in pair if len(atoms)]
    if not fits:
        return np.zeros(len(modes))
    closest = [cosine_similarity(modes, atoms).max(axis=1) for atoms in fits]
    return np.asarray(np.quantile(closest, _CHANCE_QUANTILE, axis=0))


def _of_fits(fits: list[SparseModes], atoms: Atoms, cosine: float) -> dict[str, xr.DataArray]:
    """Variables that have the dim `fit` and no other but `fit_other`."""
    scores = {
        name: labels.labelled([getattr(fit, name) for fit in fits], (v.FIT,), name=name)
        for name in ("r2", "l0", "alive")
    }
    name = "pairwise_replicated"
    pairs = labels.labelled(ensembles.replication(atoms, cosine), (v.FIT, _OTHER), name=name)
    return {**scores, name: pairs}


def _shares(atoms: Atoms, shuffled: list[Atoms], cosine: float) -> dict[str, xr.DataArray]:
    """How many modes replicate across seeds, and how many do where there are no combinations."""
    share = ensembles.mean_off_diagonal(ensembles.replication(atoms, cosine))
    chance = [ensembles.mean_off_diagonal(ensembles.replication(pair, cosine)) for pair in shuffled]
    found = {"replicated_share": share, "chance_replicated_share": float(np.mean(chance))}
    return {name: labels.labelled(value, (), name=name) for name, value in found.items()}


def _fit_coords(seeds: list[int], bootstrap: int) -> dict[str, Any]:
    drawn = [seeds[i % len(seeds)] for i in range(bootstrap)]
    kinds = ["seed"] * len(seeds) + ["bootstrap"] * bootstrap
    count = np.arange(len(kinds))
    return {
        v.FIT: count,
        _OTHER: count,
        "seed": (v.FIT, np.array([*seeds, *drawn])),
        "kind": (v.FIT, np.array(kinds, dtype=str)),
    }
