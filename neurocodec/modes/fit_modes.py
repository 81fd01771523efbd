"""Several fits of sparse modes to the same rows, and what their modes have in common."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec import arguments
from neurocodec.arguments import is_whole
from neurocodec.errors import InputError, collected, warn
from neurocodec.modes.fitting import fit_together
from neurocodec.modes.number import settled, settled_together
from neurocodec.modes.preparation import Prepared
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.sparse.config import AUTO, SparseConfig
from neurocodec.rows.blocks import Data, opened

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


def settings_of(modes: object) -> SparseConfig:
    """Settings of a template, fitted or not; the defaults where there is none."""
    if modes is None:
        return SparseModes().config
    if not isinstance(modes, SparseModes):
        raise InputError(
            came=f"modes of type {type(modes).__name__}",
            expected="nc.SparseModes, whose settings are taken, or None for the defaults",
            hint="modes=nc.SparseModes(expansion=10)",
        )
    return modes.chosen


def seed_list(seeds: int | Sequence[int], least: int) -> list[int]:
    """Seeds from 0 where a number came, or those that came: as many as `least`, each once."""
    given: Any = range(seeds) if is_whole(seeds) else seeds
    right = isinstance(given, Sequence | np.ndarray)
    right = right and all(is_whole(seed) and seed >= 0 for seed in given)
    if not right or len(given) < least or len({*given}) < len(given):
        raise InputError(
            came=f"seeds={seeds!r}",
            expected=f"a number of at least {least}, or as many different seeds of at least 0",
            hint="seeds=5 or seeds=[0, 1, 2]",
        )
    return [int(seed) for seed in given]


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
        known = arguments.several("layers", layers, "names of layers", hint="layers=['layer1']")
        return [(data, layer) for layer in known]
    several = data if isinstance(data, list | tuple) else [data]
    return [(one, None) for one in several]


def _templates(modes: object) -> list[SparseModes]:
    several = modes if isinstance(modes, list | tuple) else [modes]
    for one in several:
        settings_of(one)
    return [one if isinstance(one, SparseModes) else SparseModes() for one in several]


def in_memory(array: xr.DataArray, memory: int) -> xr.DataArray:
    """Read a small array once for all fits; one of more bytes than `memory` stays in its file."""
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
    """Fit the same rows, or other ones each, with each of several settings."""
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
    """Refuse rows that a fit with one of several settings would refuse, before any is fitted."""
    made = _made(configs, like)
    prepare_all(made, [(rows, {})] * len(made), told)


def settled_for(
    rows: xr.DataArray, config: SparseConfig, *, like: SparseModes | None = None
) -> SparseConfig:
    """Settings of fits to these rows and to others like them: with one number of modes."""
    if config.expansion != AUTO:
        return config
    (made,) = _made([config], like)
    return settled(config, made.prepare(rows, {}), made.device)[0]


def _made(configs: Sequence[SparseConfig], like: SparseModes | None) -> list[SparseModes]:
    template = SparseModes() if like is None else like  # its device, memory and progress, too
    return [template.copy(**dataclasses.asdict(config)) for config in configs]


def alive_atoms(modes: SparseModes) -> NDArray[np.float64]:
    """Modes (modes, features) that are active on some row and are not zero."""
    atoms = np.asarray(modes.dictionary.values, dtype=np.float64)
    atoms = atoms.reshape(len(atoms), -1)
    return np.asarray(atoms[modes.summary["alive"].values & atoms.any(axis=1)])


def fit_side_by_side(
    modes: Sequence[SparseModes],
    arrays: Sequence[tuple[xr.DataArray, dict[str, Any]]],
    *,
    progress: bool,
    title: str = "",
    told: set[str] | None = None,
) -> None:
    """Fit each of several modes to its rows, in as few stacks as possible."""
    prepared = prepare_all(modes, arrays, told)
    known = _settled(modes, prepared, [array for array, _ in arrays], told)
    groups = _groups(modes, [config for config, _ in known], prepared)
    alone, shown = len(groups) == 1, progress and all(one.progress for one in modes)
    hidden = not shown or (alone and not title)
    for group in tqdm(groups, desc=title or "fits", unit="stack", disable=hidden):
        chosen, rows = [modes[i] for i in group], [prepared[i] for i in group]
        configs, facts = zip(*(known[i] for i in group), strict=True)
        found = fit_together(configs, rows, chosen[0].device, progress=alone and shown, facts=facts)
        for one, fitted in zip(chosen, found, strict=True):
            one.adopt(fitted)


def _settled(
    modes: Sequence[SparseModes],
    prepared: Sequence[Prepared],
    arrays: Sequence[xr.DataArray],
    told: set[str] | None,
) -> list[tuple[SparseConfig, Mapping[str, Any]]]:
    """Settings of each fit, with a number of modes, and how that was found."""
    configs, devices = [one.config for one in modes], [one.device for one in modes]
    with collected() as messages:
        found = settled_together(configs, prepared, arrays, devices)
    _pass_on(messages, set() if told is None else told)
    return found


def prepare_all(
    modes: Sequence[SparseModes],
    arrays: Sequence[tuple[xr.DataArray, dict[str, Any]]],
    told: set[str] | None = None,
) -> list[Prepared]:
    """Check the rows of each fit and choose those to hold out; equal ones are shared."""
    told = set() if told is None else told  # warnings, without their numbers, given before
    known = dict[tuple[Any, ...], Prepared]()
    found = []
    for one, (array, origin) in zip(modes, arrays, strict=True):
        c = one.config
        rows = (id(array), c.sign, c.seed, c.validation, c.nonnegative, one.memory)
        key = (*rows, c.expansion, c.active)  # which the warnings are about
        if key not in known:
            with collected() as messages:
                known[key] = one.prepare(array, origin)
            _pass_on(messages, told)
        one.require_active(known[key])
        found.append(known[key])
    return found


def _pass_on(messages: Sequence[str], told: set[str]) -> None:
    """Give each warning once, whatever the numbers in it."""
    for message in messages:
        kind = re.sub(r"\d+", "", message)
        if kind not in told:
            told.add(kind)
            warn(message)


def _groups(
    modes: Sequence[SparseModes], configs: Sequence[SparseConfig], prepared: Sequence[Prepared]
) -> list[list[int]]:
    """Positions of the fits that go into one stack, as far as memory allows."""
    groups = dict[tuple[Any, ...], list[int]]()
    for i, (one, config, rows) in enumerate(zip(modes, configs, prepared, strict=True)):
        features, held = rows.rows.features, int(rows.held.sum())
        width = features + config.modes(features)
        most = max(1, one.memory // (4 * width * len(rows))) if rows.resident else 1
        shape = (_shape_of(config), len(rows), held, features, one.device)
        place = next(n for n in count() if len(groups.get((*shape, n), [])) < most)
        groups.setdefault((*shape, place), []).append(i)
    return list(groups.values())


def _shape_of(config: SparseConfig) -> SparseConfig:
    """Settings without those in which the fits of a stack may differ."""
    return dataclasses.replace(config, **{name: getattr(_DEFAULTS, name) for name in _MAY_DIFFER})
