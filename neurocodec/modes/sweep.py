"""How the settings of sparse modes change what is found: a grid of fits."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels, storage
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, StorageError, unknown_name
from neurocodec.kernels.matching import mean_off_diagonal, replication
from neurocodec.modes.fit_modes import (
    alive_atoms,
    check_all,
    fit_all,
    in_memory,
    seed_list,
    settings_of,
)
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.rows.blocks import Data, Rows, fingerprint_of, opened
from neurocodec.storage.claims import claimed

_log = logging.getLogger(__name__)

_SCORES: Final = ("r2", "r2_pooled", "r2_train", "l0", "l0_share", "alive", "distinct_share")
"""Figures of each fit."""
_SHARED: Final = "replicated_share"
"""Figure of the fits of one grid point."""

Grid: TypeAlias = dict[str, list[Any]]
Point: TypeAlias = tuple[int, ...]


def sweep(
    data: Data,
    modes: SparseModes | None = None,
    *,
    layer: str | None = None,
    seeds: int | Sequence[int] = 2,
    cosine: float = 0.9,
    out: str | PathLike[str] | None = None,
    progress: bool = True,
    **settings: Sequence[Any],
) -> xr.Dataset:
    """Fit modes with every combination of settings, and say how good and how stable they are.

    Parameters
    ----------
    data
        As `nc.SparseModes.fit` takes it.
    modes
        Gives the settings that are not swept, fitted or not; where None, the defaults.
    layer
        Which layer of a tree or file.
    seeds
        Number of fits of each combination, or their seeds.
    cosine
        Matched modes of two seeds count as the same from here on.
    out
        File (".nc" or ".zarr") that is written after each combination. The same call, started
        again, continues; combinations that are not there yet are NaN. Where None, nothing is
        written.
    progress
        Whether to show progress bars.
    **settings
        Fields of `neurocodec.nn.sparse.config.SparseConfig`, each with the values to try, such as
        ``expansion=[3, 10], l1_loading=[0.1, 0.2]``.

    Returns
    -------
    xarray.Dataset
        With one dim per setting and `seed`: `r2`, `r2_pooled` (held-out rows), `r2_train`, `l0`
        (mean number of active modes), `l0_share` (part of all modes), `alive`, `distinct_share`
        (part of the alive modes that are not near-copies); without `seed`: `replicated_share`,
        the part of the modes that another seed has, mean over pairs of seeds (NaN for one seed).
        Values that are no numbers (None, names) are text in the coordinates.

    Raises
    ------
    InputError
        Where there is no setting of a name, no fit of the grid uses it, a list is empty or holds
        a value twice or one that is out of range, or the rows are refused by
        `nc.SparseModes.fit`. Everything is checked before the first fit.
    StorageError
        Where `out` holds something else: other data, another grid, other settings.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 4)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=1)
    >>> found = sweep(rows, quick, l1_loading=[0.1, 0.4], progress=False)
    >>> found.r2.dims, found.replicated_share.shape
    (('l1_loading', 'seed'), (2,))
    """
    base, like = settings_of(modes), SparseModes() if modes is None else modes
    chosen = seed_list(seeds, least=1)
    cosine = arguments.cosine(cosine)
    grid = _grid(settings)
    configs = dict(_configs(base, grid, chosen))
    _require_used(grid, configs.values())
    with opened(data, layer) as (array, origin):
        rows, told = in_memory(array, like.memory), set[str]()
        first = [here[0] for here in configs.values()]
        check_all(rows, first, like=like, told=told)
        empty = labels.stamp(
            _empty(grid, chosen),
            "nc.sweep",
            config=base,
            settings=grid,
            seeds=chosen,
            cosine=cosine,
            data=[fingerprint_of(Rows.of(rows, s)) for s in grid.get("sign", [base.sign])],
            contributions=origin,
        )
        path = None if out is None else arguments.path("out", out)
        with claimed(path):
            found = empty if path is None else _started(empty, path)
            for point, here, title in _missing(found, configs):
                fits = fit_all(rows, here, like=like, progress=progress, title=title, told=told)
                _enter(found, point, fits, cosine)
                if path is not None:
                    storage.save(found, path)
    return found


def _missing(
    found: xr.Dataset, configs: Mapping[Point, list[SparseConfig]]
) -> Iterator[tuple[Point, list[SparseConfig], str]]:
    """Position, settings and title of each combination that is not fitted yet."""
    for number, (point, here) in enumerate(configs.items(), start=1):
        if bool(found["l0"][point].isnull().any()):
            yield point, here, f"{number}/{len(configs)}"


def _grid(settings: Mapping[str, Sequence[Any]]) -> Grid:
    names = [f.name for f in dataclasses.fields(SparseConfig)]
    for name, values in settings.items():
        if name == v.SEED:
            raise InputError(came="seed as a setting", expected="seeds", hint=f"seeds={[*values]}")
        if name not in names:
            raise unknown_name("setting of nc.SparseModes", name, names)
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
            raise InputError(
                came=f"{name}={values!r}", expected="a list of values", hint=f"{name}=[{values!r}]"
            )
    if not settings or not all(len(values) for values in settings.values()):
        raise InputError(
            came=f"nothing to try: {dict(settings)}",
            expected="one list of values or more, none of them empty",
            hint="nc.sweep(data, expansion=[3, 10], l1_loading=[0.1, 0.2, 0.4])",
        )
    return {name: _plain(name, values) for name, values in settings.items()}


def _plain(name: str, values: Sequence[Any]) -> list[Any]:
    """Values as Python's own, each of them once."""
    found = [x.item() if isinstance(x, np.generic) else x for x in values]
    if any(x in found[:i] for i, x in enumerate(found)):
        raise InputError(came=f"{name}={found}", expected="each value once")
    return found


def _configs(
    base: SparseConfig, grid: Grid, seeds: list[int]
) -> Iterator[tuple[Point, list[SparseConfig]]]:
    """Position in the grid, and the settings of its fits."""
    for point in itertools.product(*(range(len(values)) for values in grid.values())):
        here = {name: values[i] for (name, values), i in zip(grid.items(), point, strict=True)}
        yield point, [_replaced(base, here, seed) for seed in seeds]


def _replaced(base: SparseConfig, here: Mapping[str, Any], seed: int) -> SparseConfig:
    """Settings of one fit; where they do not go together, the combination is named."""
    try:
        return dataclasses.replace(base, **here, seed=seed)
    except InputError as error:
        point = ", ".join(f"{name}={value!r}" for name, value in here.items())
        raise type(error)(
            came=f"{error.came}, in the combination {point}",
            expected=error.expected,
            hint=error.hint,
        ) from error


def _require_used(grid: Grid, configs: Iterable[list[SparseConfig]]) -> None:
    """Refuse a setting that changes nothing in any combination."""
    never = set(grid).intersection(*(here[0].unused() for here in configs))
    if never:
        name = min(never)
        raise InputError(
            came=f"{name}={grid[name]}, which no combination uses",
            expected="settings that have an effect",
            hint=f"leave out {name}=, or modes=nc.SparseModes(...) with another encoder, "
            "sparsifier or atoms",
        )


def _empty(grid: Grid, seeds: list[int]) -> xr.Dataset:
    """Result of a sweep in which nothing is fitted yet."""
    coords = {name: _coordinate(values) for name, values in {**grid, v.SEED: seeds}.items()}
    dims = dict.fromkeys(_SCORES, (*grid, v.SEED)) | {_SHARED: tuple(grid)}
    size = {name: len(values) for name, values in coords.items()}
    return xr.Dataset(
        {
            name: labels.labelled(
                np.full([size[d] for d in along], np.nan),
                along,
                {d: coords[d] for d in along},
                name=name,
            )
            for name, along in dims.items()
        }
    )


def _coordinate(values: list[Any]) -> NDArray[Any]:
    numbers = all(isinstance(x, int | float) for x in values)
    return np.array(values) if numbers else np.array([str(x) for x in values], dtype=str)


def _started(empty: xr.Dataset, path: Path) -> xr.Dataset:
    """What an earlier run has left, or nothing yet."""
    if not path.exists():
        storage.save(empty, path)
        return empty
    found: xr.Dataset = storage.open(path)
    before = labels.provenance(found) if isinstance(found, xr.Dataset) else {}
    other = [k for k, now in labels.provenance(empty).items() if before.get(k) != now]
    other = [k for k in other if k != "versions"]
    if not other and set(found.data_vars) != set(empty.data_vars):
        other = ["figures"]
    if other:
        raise StorageError(
            came=f"{str(path)!r}, which is another run: {', '.join(other)} differ",
            expected="a sweep of the same data, settings and seeds",
            hint="another name for out=",
        )
    done = int(found["l0"].notnull().sum())
    _log.info("%s: %d of %d fits are there", path, done, found["l0"].size)
    return found


def _enter(found: xr.Dataset, point: Point, fits: list[SparseModes], cosine: float) -> None:
    """Write the figures of one combination into the result."""
    for name in _SCORES:
        found[name][point] = [_score(fit, name) for fit in fits]
    atoms = [alive_atoms(fit) for fit in fits]
    shares = replication(atoms, cosine)
    found[_SHARED][point] = mean_off_diagonal(shares)


def _score(fit: SparseModes, name: str) -> float:
    if name == "l0_share":
        return fit.l0 / len(fit.dictionary)
    name = "alive_share" if name == "alive" else name
    return float(fit.summary[name])
