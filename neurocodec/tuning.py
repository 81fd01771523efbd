"""How the settings of sparse modes change what is found: a grid of fits."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import ensembles, labels, storage
from neurocodec import rows as row
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, StorageError, unknown_name
from neurocodec.modes import SparseModes
from neurocodec.nn.sparse.config import SparseConfig

_log = logging.getLogger(__name__)

_SCORES: Final = ("r2", "r2_pooled", "r2_train", "l0", "l0_share", "alive")
"""Figures of each fit."""
_SHARED: Final = "replicated_share"
"""Figure of the fits of one grid point."""

Grid: TypeAlias = dict[str, list[Any]]
Point: TypeAlias = tuple[int, ...]


def sweep(
    data: row.Contributions,
    *,
    modes: SparseModes | None = None,
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
        (mean number of active modes), `l0_share` (part of all modes), `alive`; without `seed`:
        `replicated_share`, the part of the modes that another seed has, mean over pairs of seeds
        (NaN for one seed). Values that are no numbers (None, names) are text in the coordinates.

    Raises
    ------
    InputError
        Where there is no setting of a name, a list is empty or holds a value twice or one that is
        out of range. Everything is checked before the first fit.
    StorageError
        Where `out` holds something else: other data, another grid, other settings.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((99, 4)), dims=("time", "channel"))
    >>> quick = SparseModes(expansion=1, epochs=1)
    >>> found = sweep(rows, modes=quick, l1_loading=[0.1, 0.4], progress=False)
    >>> found.r2.dims, found.replicated_share.shape
    (('l1_loading', 'seed'), (2,))
    """
    base = ensembles.settings_of(modes)
    chosen = ensembles.seed_list(seeds, least=1)
    ensembles.require_cosine(cosine)
    grid = _grid(settings)
    configs = dict(_configs(base, grid, chosen))
    rows = {sign: row.select_rows(data, sign) for sign in grid.get("sign", [base.sign])}
    empty = labels.stamp(
        _empty(grid, chosen),
        "nc.sweep",
        config=base,
        settings=grid,
        seeds=chosen,
        cosine=cosine,
        data=labels.fingerprint(*rows.values()),
        contributions=ensembles.origin(data),
    )
    found = empty if out is None else _started(empty, Path(out))
    for number, (point, here) in enumerate(configs.items(), start=1):
        if not bool(found["l0"][point].isnull().any()):
            continue
        title = f"{number}/{len(configs)}"
        fits = ensembles.fit_all(
            rows[here[0].sign], here, like=modes, progress=progress, title=title
        )
        _enter(found, point, fits, cosine)
        if out is not None:
            storage.save(found, out)
    return found


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
        yield point, [dataclasses.replace(base, **here, seed=seed) for seed in seeds]


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
        values = [
            f.l0 / len(f.dictionary) if name == "l0_share" else getattr(f, name) for f in fits
        ]
        found[name][point] = values
    atoms = [ensembles.alive_atoms(fit) for fit in fits]
    shares = ensembles.replication(atoms, cosine)
    found[_SHARED][point] = ensembles.mean_off_diagonal(shares)
