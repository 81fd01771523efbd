"""Several fits of sparse modes as few stacks of tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import xarray as xr
from tqdm.auto import tqdm

from neurocodec.modes import SparseModes, fit_together
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.preparation import Prepared

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
    title: str = "fits",
) -> None:
    """Fit each of several modes to its rows, in as few stacks as possible.

    Parameters
    ----------
    modes
        Not fitted yet.
    arrays
        Rows of each, and their provenance.
    progress
        Whether to show a progress bar.
    title
        Written before the bar.
    """
    prepared = _prepared(modes, arrays)
    groups = _groups(modes, prepared)
    alone = len(groups) == 1
    for group in tqdm(groups, desc=title, unit="stack", disable=alone or not progress):
        chosen = [modes[i] for i in group], [prepared[i] for i in group]
        fit_together(*chosen, progress=alone and progress)


def _prepared(
    modes: Sequence[SparseModes], arrays: Sequence[tuple[xr.DataArray, dict[str, Any]]]
) -> list[Prepared]:
    """Rows of each fit; those with the same rows held out share them."""
    known = dict[tuple[Any, ...], Prepared]()
    found = []
    for one, (array, origin) in zip(modes, arrays, strict=True):
        c = one.config
        key = (id(array), c.sign, c.seed, c.validation, c.expansion, c.nonnegative, one.memory)
        if key not in known:
            known[key] = one.prepare(array, origin)
        found.append(known[key])
    return found


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
