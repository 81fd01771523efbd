"""Several fits of sparse modes to the same rows, and what their modes have in common."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any, Final, TypeGuard

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec.errors import InputError, NeurocodecWarning, warn
from neurocodec.modes.preparation import Prepared
from neurocodec.modes.sparse import SparseModes, fit_together
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.rows.blocks import Data, opened


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
        Where there are fewer, one comes twice, or they are no whole numbers of at least 0.

    Examples
    --------
    >>> seed_list(3, least=2), seed_list([5, 7], least=2)
    ([0, 1, 2], [5, 7])
    """
    given: Any = range(seeds) if _whole(seeds) else seeds
    right = isinstance(given, Sequence | np.ndarray) and all(_whole(s) and s >= 0 for s in given)
    if not right or len(given) < least or len({*given}) < len(given):
        raise InputError(
            came=f"seeds={seeds!r}",
            expected=f"a number of at least {least}, or as many different seeds of at least 0",
            hint="seeds=5 or seeds=[0, 1, 2]",
        )
    return [int(seed) for seed in given]


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def require_count(name: str, value: int, least: int) -> int:
    """Refuse what is no whole number, or too small.

    Parameters
    ----------
    name
        Of the argument.
    value
        What came.
    least
        The smallest that is right.

    Examples
    --------
    >>> require_count("shuffles", np.int64(2), least=1)
    2
    """
    if not _whole(value) or value < least:
        raise InputError(
            came=f"{name}={value!r}",
            expected=f"a whole number of at least {least}",
            hint=f"{name}={max(least, 2)}",
        )
    return int(value)


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
        arrays = [(in_memory(array, made[0].memory), origin) for array, origin in found]
        fit_side_by_side(made, arrays * (number // len(places)), progress=progress)
    return made


def _places(data: Data | Sequence[Data], layers: Sequence[str] | None) -> list[tuple[Any, Any]]:
    if isinstance(layers, str):
        raise InputError(
            came=f"layers={layers!r}", expected="a list of layers", hint=f"layers=[{layers!r}]"
        )
    if layers is not None:
        return [(data, layer) for layer in layers]
    several = data if isinstance(data, list | tuple) else [data]
    return [(one, None) for one in several]


def _templates(modes: object) -> list[SparseModes]:
    several = modes if isinstance(modes, list | tuple) else [modes]
    for one in several:
        settings_of(one)
    return [one if isinstance(one, SparseModes) else SparseModes() for one in several]


def in_memory(array: xr.DataArray, memory: int) -> xr.DataArray:
    """Read a small array once for all fits; a large one stays in its file.

    Parameters
    ----------
    array
        May be lazy.
    memory
        Bytes that it may have.

    Examples
    --------
    >>> in_memory(xr.DataArray([1.0], dims="time"), 2**20).values.tolist()
    [1.0]
    """
    return array.compute() if array.nbytes <= memory else array


def fit_all(
    rows: xr.DataArray | Sequence[xr.DataArray],
    configs: Sequence[SparseConfig],
    *,
    like: SparseModes | None = None,
    progress: bool,
    title: str = "fits",
    told: set[str] | None = None,
) -> list[SparseModes]:
    """Fit the same rows, or other ones each, with each of several settings.

    Parameters
    ----------
    rows
        As `neurocodec.rows.blocks.opened` gives them, or a list of these.
    configs
        Settings of each fit.
    like
        Gives the device and the memory; where it shows no progress, neither do these.
    progress
        Whether to show a progress bar.
    title
        Written before the bar.
    told
        Warnings that were given before, as `neurocodec.modes.fit_modes.prepare_all` takes them.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 2)), dims=("time", "channel"))
    >>> quick = SparseConfig(expansion=1, epochs=1)
    >>> [fit.dictionary.shape for fit in fit_all(rows, [quick, quick], progress=False)]
    [(2, 2), (2, 2)]
    """
    made = _made(configs, like)
    arrays = [rows] * len(made) if isinstance(rows, xr.DataArray) else rows
    places = [(a, dict[str, Any]()) for a in arrays]
    fit_side_by_side(made, places, progress=progress, title=title, told=told)
    return made


def check_all(
    rows: xr.DataArray,
    configs: Sequence[SparseConfig],
    *,
    like: SparseModes | None = None,
    told: set[str] | None = None,
) -> None:
    """Refuse rows that a fit with one of several settings would refuse, before any is fitted.

    Parameters
    ----------
    rows, configs, like, told
        As `fit_all` takes them.

    Raises
    ------
    InputError
        Where the rows are refused by `nc.SparseModes.fit`.

    Examples
    --------
    >>> check_all(xr.DataArray(-np.eye(3), dims=("time", "channel")), [SparseConfig()])
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: rows down to -1 for a non-negative dictionary
      expected: values of at least 0 (at most 0 for the inhibitory part)
      try: nc.SparseModes(sign='excitatory', nonnegative=False)
    """
    made = _made(configs, like)
    prepare_all(made, [(rows, {})] * len(made), told)


def _made(configs: Sequence[SparseConfig], like: SparseModes | None) -> list[SparseModes]:
    template = SparseModes() if like is None else like
    return [template.copy(**_keywords(config)) for config in configs]


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


def require_cosine(cosine: float) -> float:
    """Refuse a threshold that is no cosine above 0.

    Parameters
    ----------
    cosine
        What came.

    Examples
    --------
    >>> require_cosine(0.9)
    0.9
    """
    number = isinstance(cosine, int | float | np.integer | np.floating)
    if not number or isinstance(cosine, bool) or not 0 < cosine <= 1:
        raise InputError(came=f"cosine={cosine!r}", expected="above 0, up to 1", hint="cosine=0.9")
    return float(cosine)


_MAY_DIFFER: Final = (
    "seed",
    "threshold",
    "l1_loading",
    "l2_loading",
    "l1_dictionary",
    "learning_rate",
)
"""Settings in which the fits of one stack may differ."""
_DEFAULTS: Final = SparseConfig()


def fit_side_by_side(
    modes: Sequence[SparseModes],
    arrays: Sequence[tuple[xr.DataArray, dict[str, Any]]],
    *,
    progress: bool,
    title: str = "",
    told: set[str] | None = None,
) -> None:
    """Fit each of several modes to its rows, in as few stacks as possible.

    Parameters
    ----------
    modes
        Not fitted yet.
    arrays
        Rows of each, and their provenance.
    progress
        Whether to show a progress bar, where all of `modes` may.
    title
        Written before the bar over stacks; where empty, a single stack has its own bar only.
    told
        Warnings that were given before, as `prepare_all` takes them.
    """
    prepared = prepare_all(modes, arrays, told)
    groups = _groups(modes, prepared)
    alone, shown = len(groups) == 1, progress and all(one.progress for one in modes)
    hidden = not shown or (alone and not title)
    for group in tqdm(groups, desc=title or "fits", unit="stack", disable=hidden):
        chosen = [modes[i] for i in group], [prepared[i] for i in group]
        fit_together(*chosen, progress=alone and shown)


def prepare_all(
    modes: Sequence[SparseModes],
    arrays: Sequence[tuple[xr.DataArray, dict[str, Any]]],
    told: set[str] | None = None,
) -> list[Prepared]:
    """Check the rows of each fit and choose those to hold out; equal ones are shared.

    Parameters
    ----------
    modes
        Not fitted yet.
    arrays
        Rows of each, and their provenance.
    told
        Warnings that were given before, without their numbers: none of them is given again, and
        new ones are added.

    Raises
    ------
    InputError
        Where rows are refused by `nc.SparseModes.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> rows = xr.DataArray(np.eye(9), dims=("time", "channel"))
    >>> made = prepare_all([SparseModes(expansion=0.5)] * 2, [(rows, {})] * 2)
    >>> made[0] is made[1], int(made[0].held.sum())
    (True, 1)
    """
    told = set() if told is None else told
    known = dict[tuple[Any, ...], Prepared]()
    found = []
    for one, (array, origin) in zip(modes, arrays, strict=True):
        c = one.config
        key = (id(array), c.sign, c.seed, c.validation, c.expansion, c.nonnegative, one.memory)
        if key not in known:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                known[key] = one.prepare(array, origin)
            _pass_on(caught, told)
        found.append(known[key])
    return found


def _pass_on(caught: Sequence[warnings.WarningMessage], told: set[str]) -> None:
    """Give each warning of ours once, whatever the numbers in it, and all others as they came."""
    for one in caught:
        if not issubclass(one.category, NeurocodecWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            continue
        kind = re.sub(r"\d+", "", str(one.message))
        if kind not in told:
            told.add(kind)
            warn(str(one.message))


def _groups(modes: Sequence[SparseModes], prepared: Sequence[Prepared]) -> list[list[int]]:
    """Positions of the fits that go into one stack, as far as memory allows."""
    groups = dict[tuple[Any, ...], list[int]]()
    for i, (one, rows) in enumerate(zip(modes, prepared, strict=True)):
        features, held = rows.rows.features, int(rows.held.sum())
        width = features + one.config.modes(features)
        most = max(1, one.memory // (4 * width * len(rows))) if rows.resident else 1
        shape = (_shape_of(one.config), len(rows), held, features, one.device)
        place = next(n for n in count() if len(groups.get((*shape, n), [])) < most)
        groups.setdefault((*shape, place), []).append(i)
    return list(groups.values())


def _shape_of(config: SparseConfig) -> SparseConfig:
    """Settings without those in which the fits of a stack may differ."""
    return dataclasses.replace(config, **{name: getattr(_DEFAULTS, name) for name in _MAY_DIFFER})
