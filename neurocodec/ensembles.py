"""Several fits of sparse modes to the same rows, and what their modes have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import permutations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import rows as row
from neurocodec.blocks import Data, opened
from neurocodec.errors import InputError
from neurocodec.kernels.matching import match_modes
from neurocodec.modes import SparseModes
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.stacks import fit_side_by_side


def settings_of(modes: object) -> SparseConfig:
    """Settings of a template, fitted or not; the defaults where there is none.

    Parameters
    ----------
    modes
        Whose settings to take.

    Raises
    ------
    InputError
        Where it is something else.

    Examples
    --------
    >>> settings_of(SparseModes(expansion=3)).expansion
    3
    """
    if modes is None:
        return SparseModes().config
    if not isinstance(modes, SparseModes):
        raise InputError(
            came=f"modes of type {type(modes).__name__}",
            expected="nc.SparseModes, whose settings are taken, or None for the defaults",
            hint="modes=nc.SparseModes(expansion=10)",
        )
    return modes.config


def seed_list(seeds: int | Sequence[int], least: int) -> list[int]:
    """Seeds from 0, where a number came, or those that came.

    Parameters
    ----------
    seeds
        How many, or which.
    least
        How many there must be.

    Raises
    ------
    InputError
        Where there are fewer, or one comes twice.

    Examples
    --------
    >>> seed_list(3, least=2), seed_list([5, 7], least=2)
    ([0, 1, 2], [5, 7])
    """
    found = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if len(found) < least or len({*found}) < len(found):
        raise InputError(
            came=f"seeds={seeds!r}",
            expected=f"a number of at least {least}, or as many different seeds",
            hint="seeds=5 or seeds=[0, 1, 2]",
        )
    return found


def fit_modes(
    data: Data | Sequence[Data],
    modes: SparseModes | Sequence[SparseModes] | None = None,
    *,
    layers: Sequence[str] | None = None,
    progress: bool = True,
) -> list[SparseModes]:
    """Fit sparse modes several times at once: other seeds, settings, or layers of equal width.

    Fits of the same shape that differ at most in seed, threshold, penalties and learning rate
    go on side by side as one stack of tensors, which takes less time than one after another.
    All others follow each other.

    Parameters
    ----------
    data
        As `nc.SparseModes.fit` takes it, or a list of such.
    modes
        Gives the settings, fitted or not, or a list of such; the defaults where None. They are
        not changed. One for all data, one for each, or several for the same data.
    layers
        Layers of a tree or file, in place of a list of data.
    progress
        Whether to show a progress bar.

    Returns
    -------
    list of SparseModes
        Fitted; as many as there are data or modes. Like `nc.SparseModes.fit` one by one, to
        rounding.

    Raises
    ------
    InputError
        Where neither list has length 1 and their lengths differ, or the data are refused by
        `nc.SparseModes.fit`.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 2)), dims=("time", "channel"))
    >>> quick = [SparseModes(expansion=1, epochs=1, seed=seed) for seed in range(3)]
    >>> [fit.config.seed for fit in fit_modes(rows, quick, progress=False)]
    [0, 1, 2]
    """
    places = _places(data, layers)
    templates = _templates(modes)
    number = max(len(places), len(templates))
    if {len(places), len(templates)} - {1, number}:
        raise InputError(
            came=f"{len(places)} data and {len(templates)} modes",
            expected="one of either, or as many of both",
            hint="nc.fit_modes([tree['a'], tree['b']], nc.SparseModes())",
        )
    made = [t.copy() for t in templates * (number // len(templates))]
    with ExitStack() as stack:
        found = [stack.enter_context(opened(*place)) for place in places]
        arrays = [(_in_memory(array, made[0].memory), origin) for array, origin in found]
        fit_side_by_side(made, arrays * (number // len(places)), progress=progress)
    return made


def _places(data: Data | Sequence[Data], layers: Sequence[str] | None) -> list[tuple[Any, Any]]:
    if layers is not None:
        return [(data, layer) for layer in layers]
    several = data if isinstance(data, list | tuple) else [data]
    return [(one, None) for one in several]


def _templates(modes: object) -> list[SparseModes]:
    several = modes if isinstance(modes, list | tuple) else [modes]
    for one in several:
        settings_of(one)
    return [one if isinstance(one, SparseModes) else SparseModes() for one in several]


def _in_memory(array: xr.DataArray, memory: int) -> xr.DataArray:
    """Read a small array once for all fits; a large one stays in its file."""
    return array.compute() if array.nbytes <= memory else array


def fit_all(
    rows: xr.DataArray | Sequence[xr.DataArray],
    configs: Sequence[SparseConfig],
    *,
    like: SparseModes | None = None,
    progress: bool,
    title: str = "fits",
) -> list[SparseModes]:
    """Fit the same rows, or other ones each, with each of several settings.

    Parameters
    ----------
    rows
        As `neurocodec.rows.select_rows` returns them, or a list of these.
    configs
        Settings of each fit.
    like
        Gives the device and the memory.
    progress
        Whether to show a progress bar.
    title
        Written before the bar.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 2)), dims=("time", "channel"))
    >>> quick = SparseConfig(expansion=1, epochs=1)
    >>> [fit.dictionary.shape for fit in fit_all(rows, [quick, quick], progress=False)]
    [(2, 2), (2, 2)]
    """
    template = SparseModes() if like is None else like
    made = [template.copy(**_keywords(config)) for config in configs]
    arrays = [rows] * len(made) if isinstance(rows, xr.DataArray) else rows
    fit_side_by_side(made, [(a, {}) for a in arrays], progress=progress, title=title)
    return made


def _keywords(config: SparseConfig) -> dict[str, Any]:
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


def alive_atoms(modes: SparseModes) -> NDArray[np.float64]:
    """Modes that are active on some row and are not zero, as (modes, features).

    Parameters
    ----------
    modes
        Fitted.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 2)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=1, progress=False)
    >>> alive_atoms(quick.fit(rows)).shape[1]
    2
    """
    atoms = np.asarray(modes.dictionary.values, dtype=np.float64)
    atoms = atoms.reshape(len(atoms), -1)
    return np.asarray(atoms[modes.summary["alive"].values & atoms.any(axis=1)])


def replication(atoms: Sequence[NDArray[Any]], cosine: float) -> NDArray[np.float64]:
    """Part of the modes of one fit that another fit has, for each two fits.

    Parameters
    ----------
    atoms
        Modes by features, of each fit.
    cosine
        Matched modes count as the same from here on.

    Returns
    -------
    numpy.ndarray
        (fit, other fit); 1 on the diagonal, 0 for a fit without modes.

    Examples
    --------
    >>> replication([np.eye(2), np.array([[0.0, 3.0]])], 0.9).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    share = np.eye(len(atoms))
    for i, j in permutations(range(len(atoms)), 2):
        if len(atoms[i]) and len(atoms[j]):
            share[i, j] = (match_modes(atoms[i], atoms[j])[1] >= cosine).mean()
    return share


def mean_off_diagonal(square: NDArray[np.float64]) -> float:
    """Mean over all pairs of different fits; NaN where there is one fit.

    Parameters
    ----------
    square
        (fit, other fit).

    Examples
    --------
    >>> mean_off_diagonal(np.array([[1.0, 0.5], [0.25, 1.0]]))
    0.375
    """
    pairs = square[~np.eye(len(square), dtype=bool)]
    return float(pairs.mean()) if pairs.size else float("nan")


def require_cosine(cosine: float) -> None:
    """Refuse a threshold that is no cosine above 0.

    Examples
    --------
    >>> require_cosine(0.9)
    """
    if not 0 < cosine <= 1:
        raise InputError(came=f"cosine={cosine!r}", expected="above 0, up to 1", hint="cosine=0.9")


def origin(data: row.Contributions) -> dict[str, Any]:
    """Provenance of the data, or of the tree that they are a layer of.

    Parameters
    ----------
    data
        Contributions.

    Examples
    --------
    >>> origin(xr.DataArray([1.0], dims="time"))
    {}
    """
    return labels.provenance(data.root if isinstance(data, xr.DataTree) else data)
