"""Whether modes can be trusted: whether they are found again, and whether by chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.matching import (
    UNMATCHED,
    Consensus,
    consensus_modes,
    cosine_similarity,
    found_share,
    mean_off_diagonal,
    nearest_cosine,
    replication,
    variance_ratio,
)
from neurocodec.kernels.resampling import break_columns, resample_training
from neurocodec.kernels.splits import held_out
from neurocodec.modes.fit_modes import (
    alive_atoms,
    fit_all,
    seed_list,
    settings_of,
    settled_for,
)
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.rows import matrix as row
from neurocodec.rows.blocks import Data, opened

COSINE: Final = 0.9
_OTHER: Final = "fit_other"

_RESAMPLED, _SHUFFLED = 1, 2
"""Streams of random numbers beside those of the fits."""
_BELOW: Final = 0.975
"""Part of the modes of shuffled rows whose variance ratio a mode above chance exceeds."""

Dictionaries: TypeAlias = list[NDArray[np.float64]]
"""Alive modes (modes, features) of each fit."""


def mode_stability(
    data: Data,
    modes: SparseModes | None = None,
    *,
    layer: str | None = None,
    seeds: int | Sequence[int] = 5,
    bootstrap: int = 0,
    shuffles: int = 1,
    cosine: float = COSINE,
    progress: bool = True,
) -> xr.Dataset:
    """Fit modes again and again, and say of each whether it comes back, and if chance has it too.

    Modes that are active on some row are matched across fits by the Hungarian method on cosine
    similarity; `neurocodec.kernels.matching.consensus_modes` makes the consensus. A mode of a
    fit is compared with the mean of the *other* fits, so that fits which have nothing in common
    do not look alike because they are part of their own mean.

    Chance: each channel is permuted over the rows by itself (of a movie turned in a circle, as
    neighbouring frames go together), which keeps what it does alone and breaks all combinations,
    and modes are fitted to that. Channels that are sparse and independent have stable modes as
    well, of one channel each; and of many modes for few channels some are near every direction.
    Therefore `chance` is the largest cosine of a mode with any mode of any fit to shuffled rows.

    Where `modes` are fitted to these rows with one of the seeds, they are the fit of that seed.

    All fits share their rows, and the noise in them: in few rows channels go together by
    accident, and modes of that are stable as well, and others than those of shuffled rows.
    Therefore the rows must vary more along a mode d than accident allows: `variance_ratio` is

        var(sum_c d_c x_c) / sum_c d_c^2 var(x_c),

    1 where its channels are independent (the variance ratio of Schluter 1984). Modes of shuffled
    rows were fitted to the accidents of those rows with the same freedom; `chance_variance_ratio`
    is what 97.5 % of them stay below. A mode is above chance where

        stability >= cosine  and  stability > chance + (1 - cosine) / 2
        and  variance_ratio > chance_variance_ratio.

    Of independent channels no more than 5 % of the modes are, on average over data, of any
    distribution and number of rows (`docs/benchmarks.md` has the figures). One turned copy of a
    movie of which channels rise and fall a few times in all says little of what other copies
    would: ask for more `shuffles` there.

    How to read the shares: `replicated_share` is the part of the modes of one seed that another
    has, `found_in_shuffled_share` the part that a fit to shuffled rows has, matched alike. Modes
    that replicate but are found in shuffled rows as well are no combinations of channels; where
    both shares are high, `above_chance_share` says how many modes are left.
    `chance_replicated_share` is how far fits to shuffled rows agree with each other; high values
    say that stability is easy here, not that the modes are those of chance. Where
    `distinct_share` is far below 1, many modes are near-copies (`nearest_cosine`), and shares of
    modes count these several times: fit fewer modes.

    Rows held out of a fit are never resampled, so that none of them is a copy of a training row.
    Rows and their copies are kept in memory.

    Parameters
    ----------
    data
        As `nc.SparseModes.fit` takes it.
    modes
        Whose settings to use, fitted or not; where None, the defaults.
    layer
        Which layer of a tree or file.
    seeds
        Number of fits that differ in their seed (start, order of rows, rows held out), or the
        seeds.
    bootstrap
        Number of further fits, each to training rows drawn with replacement: in blocks for a
        movie, one by one for still images.
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
        above), `chance`, `variance_ratio`, `above_chance`, `nearest_cosine` (with another mode of
        the consensus).
        Per fit, with coords `seed` and `kind` ("seed" or "bootstrap"): `r2`, `l0`, `alive`,
        `distinct_share` (part of the alive modes, when of modes within cosine 0.99 of each other
        one is counted), and `pairwise_replicated` (fit, fit_other), the part of one fit's modes
        that the other has. In all: `replicated_share`, its mean over pairs of seeds,
        `chance_variance_ratio`, `found_in_shuffled_share`, `above_chance_share` and
        `chance_replicated_share`.

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
    asked = _Asked.of(seeds, bootstrap, shuffles, cosine)
    config = settings_of(modes)
    with opened(data, layer) as (array, origin):
        one = _Layer.of(array, origin, modes, config, asked)
    (fits,) = _fitted([one], modes, progress=progress)
    return one.result(fits)


def stability_by_layer(
    tree: xr.DataTree,
    modes: Mapping[str, SparseModes],
    seeds: Sequence[int],
    *,
    progress: bool = True,
) -> dict[str, xr.Dataset | InputError]:
    """`mode_stability` of several layers, whose fits go side by side; or why a layer has none."""
    asked = _Asked.of(seeds, 0, 1, COSINE)
    layers = dict[str, _Layer]()
    for alias, fit in modes.items():
        with opened(tree[alias], None) as (array, origin):
            layers[alias] = _Layer.of(array, origin, fit, fit.chosen, asked)
    like = next(iter(modes.values()))
    made = dict[str, xr.Dataset | InputError]()
    try:
        found = dict(zip(layers, _fitted([*layers.values()], like, progress=progress), strict=True))
    except InputError:  # of one of them, which does not stop the others
        found = {}
    for alias, one in layers.items():
        try:
            fits = found[alias] if found else _fitted([one], like, progress=progress)[0]
            made[alias] = one.result(fits)
        except InputError as error:
            made[alias] = error
    return made


@dataclass(frozen=True)
class _Asked:
    """Numbers of fits, and when modes are the same."""

    seeds: list[int]
    bootstrap: int
    shuffles: int
    cosine: float

    @classmethod
    def of(cls, seeds: int | Sequence[int], bootstrap: int, shuffles: int, cosine: float) -> _Asked:
        return cls(
            seed_list(seeds, least=2),
            arguments.whole("bootstrap", bootstrap, 0, hint="bootstrap=2"),
            arguments.whole("shuffles", shuffles, hint="shuffles=2"),
            arguments.cosine(cosine),
        )


@dataclass(frozen=True)
class _Layer:
    """Rows of a layer, what is fitted to them and to others like them, and what follows."""

    rows: xr.DataArray
    origin: Mapping[str, Any]
    asked: _Asked
    config: SparseConfig  # with one number of modes for all fits
    broken: list[xr.DataArray]
    known: Mapping[int, SparseModes]  # by seed: what was fitted to these rows before

    @classmethod
    def of(
        cls,
        array: xr.DataArray,
        origin: Mapping[str, Any],
        modes: SparseModes | None,
        config: SparseConfig,
        asked: _Asked,
    ) -> _Layer:
        rows = row.select_rows(array, config.sign).compute()
        known = _known(modes, config, rows, asked.seeds)
        config = settled_for(rows, config, like=modes)
        return cls(rows, origin, asked, config, _broken(rows, asked.seeds, asked.shuffles), known)

    def fits(self) -> Iterator[tuple[xr.DataArray, SparseConfig, SparseModes | None]]:
        """Rows and settings with each seed, then of resampled rows, then of shuffled ones."""
        seeds, rows = self.asked.seeds, self.rows
        for seed in seeds:
            yield rows, self._with(seed), self.known.get(seed)
        for i, seed in enumerate(_cycled(seeds, self.asked.bootstrap)):
            drawn = _resampled(rows, self.config.validation, seed, [seeds[0], _RESAMPLED, i])
            yield drawn, self._with(seed), None
        for array in self.broken:
            for seed in seeds[:2]:
                yield array, self._with(seed), None

    def _with(self, seed: int) -> SparseConfig:
        return dataclasses.replace(self.config, seed=seed)

    def result(self, made: list[SparseModes]) -> xr.Dataset:
        """What the fits have in common, and whether chance has it too."""
        asked, rows = self.asked, self.rows
        count = len(asked.seeds) + asked.bootstrap
        fits, cosine = made[:count], asked.cosine
        atoms = [_alive(fit) for fit in fits]
        others = [alive_atoms(fit) for fit in made[count:]]
        shuffled = [others[i : i + 2] for i in range(0, len(others), 2)]
        accident = _accident(self.broken, shuffled)
        agreed = consensus_modes(atoms)
        ratio = variance_ratio(agreed.modes, rows.values.reshape(len(rows), -1))
        chance = _Chance(_chance(agreed.modes, shuffled), ratio, accident)
        of_modes = _of_modes(agreed, atoms, fits[0].dictionary, chance, cosine)
        above = float(of_modes["above_chance"].mean())
        shares = _shares(atoms[: len(asked.seeds)], shuffled, cosine, above)
        limit = labels.labelled(accident, (), name="chance_variance_ratio")
        found = xr.Dataset(
            {**of_modes, **_of_fits(fits, atoms, cosine), **shares, "chance_variance_ratio": limit}
        )
        return labels.stamp(
            found.assign_coords(_fit_coords(asked.seeds, asked.bootstrap)),
            "nc.mode_stability",
            config=self.config,
            **dataclasses.asdict(asked),
            data=labels.fingerprint(rows),
            contributions=self.origin,
        )


def _known(
    modes: SparseModes | None, config: SparseConfig, rows: xr.DataArray, seeds: list[int]
) -> dict[int, SparseModes]:
    """Modes that came fitted to these very rows, as these settings say: no need to fit them."""
    if modes is None or not modes.is_fitted or config.seed not in seeds:
        return {}
    known = labels.provenance(modes.dictionary)
    asked = labels.plain({"config": config, "data": labels.fingerprint(rows)})
    same = all(known.get(name) == value for name, value in asked.items())
    return {config.seed: modes} if same else {}


def _fitted(
    layers: Sequence[_Layer], like: SparseModes | None, *, progress: bool
) -> list[list[SparseModes]]:
    """Every fit of every layer; those that are not known yet side by side."""
    wanted = [[*layer.fits()] for layer in layers]
    new = [(rows, config) for fits in wanted for rows, config, known in fits if known is None]
    made = iter(
        fit_all(
            [rows for rows, _ in new],
            [config for _, config in new],
            like=like,
            progress=progress,
            title="fits, also to shuffled rows",
            told=set(),
        )
    )
    return [[known or next(made) for *_, known in fits] for fits in wanted]


def _resampled(rows: xr.DataArray, validation: float, seed: int, stream: list[int]) -> xr.DataArray:
    series = rows.dims[0] == v.TIME
    held = held_out(len(rows), validation, seed, series=series)
    return rows.copy(data=rows.values[resample_training(held, stream, series=series)])


@dataclass(frozen=True)
class _Chance:
    """What modes of the consensus have to do with chance."""

    cosine: NDArray[np.float64]  # of each with the closest mode of shuffled rows
    ratio: NDArray[np.float64]  # variance ratio of each
    limit: float  # that modes of shuffled rows stay below


def _cycled(seeds: list[int], count: int) -> list[int]:
    return [seeds[i % len(seeds)] for i in range(count)]


def _broken(rows: xr.DataArray, seeds: list[int], shuffles: int) -> list[xr.DataArray]:
    """Rows of which each channel keeps what it does, but not with which others."""
    flat, series = rows.values.reshape(len(rows), -1), rows.dims[0] == v.TIME
    drawn = (break_columns(flat, [seeds[0], _SHUFFLED, i], series=series) for i in range(shuffles))
    return [rows.copy(data=values.reshape(rows.shape)) for values in drawn]


def _accident(broken: list[xr.DataArray], shuffled: list[Dictionaries]) -> float:
    """Variance ratio that modes of independent channels stay below; 1 where there are none."""
    ratios = [
        variance_ratio(atoms, array.values.reshape(len(array), -1))
        for array, pair in zip(broken, shuffled, strict=True)
        for atoms in pair
    ]
    known = np.concatenate(ratios)
    known = known[np.isfinite(known)]
    # a value of one of them: between two it would be exceeded too often where there are few
    return float(np.quantile(known, _BELOW, method="higher")) if len(known) else 1.0


def _alive(fit: SparseModes) -> NDArray[np.float64]:
    atoms = alive_atoms(fit)
    if not len(atoms):
        raise InputError(
            came=f"a fit with seed {fit.config.seed} of which no mode is ever active",
            expected="modes that are active on some row",
            hint="a smaller l1_loading, more epochs or more rows",
        )
    return atoms


def _of_modes(
    agreed: Consensus,
    atoms: Dictionaries,
    like: xr.DataArray,
    chance: _Chance,
    cosine: float,
) -> dict[str, xr.DataArray]:
    """Variables that have the dim `mode`, the most stable one first."""
    stability = np.median(agreed.cosine, axis=0)
    above = (stability >= cosine) & (stability > chance.cosine + (1 - cosine) / 2)
    above &= chance.ratio > chance.limit
    order = np.argsort(-stability, kind="stable")
    strong = agreed.modes * _strength(agreed, atoms)[:, None]
    mode = (v.MODE,)
    found: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {
        "matched_cosine": (agreed.cosine[:, order], (v.FIT, v.MODE)),
        "stability": (stability[order], mode),
        "replicated": ((agreed.cosine >= cosine).mean(axis=0)[order], mode),
        "chance": (chance.cosine[order], mode),
        "variance_ratio": (chance.ratio[order], mode),
        "above_chance": (above[order], mode),
        "nearest_cosine": (nearest_cosine(agreed.modes)[order], mode),
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


def _strength(agreed: Consensus, atoms: Dictionaries) -> NDArray[np.float64]:
    """Median over fits of the norm of each mode, in the units of the data."""
    norms = np.full(agreed.index.shape, np.nan)
    for fit, (index, rows) in enumerate(zip(agreed.index, atoms, strict=True)):
        has = index != UNMATCHED
        norms[fit, has] = np.linalg.norm(rows[index[has]], axis=1)
    return np.asarray(np.nanmedian(norms, axis=0))


def _chance(modes: NDArray[np.float64], shuffled: list[Dictionaries]) -> NDArray[np.float64]:
    """Cosine of each mode with the closest one of all fits to shuffled rows; 0 without any."""
    fits = [atoms for pair in shuffled for atoms in pair if len(atoms)]
    if not fits:
        return np.zeros(len(modes))
    return np.asarray(cosine_similarity(modes, np.concatenate(fits)).max(axis=1))


def _of_fits(
    fits: list[SparseModes], atoms: Dictionaries, cosine: float
) -> dict[str, xr.DataArray]:
    """Variables that have the dim `fit` and no other but `fit_other`."""
    values = {name: [getattr(fit, name) for fit in fits] for name in ("r2", "l0", "alive")}
    values["distinct_share"] = [float(fit.summary["distinct_share"]) for fit in fits]
    scores = {name: labels.labelled(x, (v.FIT,), name=name) for name, x in values.items()}
    name = "pairwise_replicated"
    pairs = labels.labelled(replication(atoms, cosine), (v.FIT, _OTHER), name=name)
    return {**scores, name: pairs}


def _shares(
    atoms: Dictionaries, shuffled: list[Dictionaries], cosine: float, above: float
) -> dict[str, xr.DataArray]:
    """How many modes replicate across seeds, and how many do where there are no combinations."""
    chance = [mean_off_diagonal(replication(pair, cosine)) for pair in shuffled]
    found = {
        "replicated_share": mean_off_diagonal(replication(atoms, cosine)),
        "found_in_shuffled_share": found_share(atoms, [a for p in shuffled for a in p], cosine),
        "above_chance_share": above,
        "chance_replicated_share": float(np.mean(chance)),
    }
    return {name: labels.labelled(value, (), name=name) for name, value in found.items()}


def _fit_coords(seeds: list[int], bootstrap: int) -> dict[str, Any]:
    kinds = ["seed"] * len(seeds) + ["bootstrap"] * bootstrap
    count = np.arange(len(kinds))
    return {
        v.FIT: count,
        _OTHER: count,
        "seed": (v.FIT, np.array([*seeds, *_cycled(seeds, bootstrap)])),
        "kind": (v.FIT, np.array(kinds, dtype=str)),
    }
