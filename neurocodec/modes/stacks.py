"""Several fits of sparse modes as few stacks of tensors."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import xarray as xr
from tqdm.auto import tqdm

from neurocodec.errors import NeurocodecWarning, warn
from neurocodec.modes.preparation import Prepared
from neurocodec.modes.sparse import SparseModes, fit_together
from neurocodec.nn.sparse.config import SparseConfig

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
