"""What can be said of every mode of a fit, and of the fit: `modes.summary`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.kernels.matching import distinct_modes, nearest_cosine
from neurocodec.kernels.scores import LeftOut, ReconstructionScores
from neurocodec.kernels.sparsity import hoyer
from neurocodec.modes.coders import Coder
from neurocodec.modes.preparation import Prepared
from neurocodec.rows import matrix as row

_RANKS: Final = 5
"""Top channels of a mode."""


class Tally:
    """Everything about the rows of a fit that the summary needs, block by block."""

    def __init__(self, modes: int, features: int, *, held: bool) -> None:
        self.training = ReconstructionScores(features)
        self.held = ReconstructionScores(features)
        self.left_out = LeftOut(modes, features)
        self.count = 0
        self._any_held = held  # then modes are left out on these rows, else on all
        self._active = np.zeros(modes, dtype=np.int64)
        self._active_training = np.zeros(modes, dtype=np.int64)
        self._sum_training = np.zeros(modes)

    def add(
        self,
        rows: NDArray[Any],
        loadings: NDArray[Any],
        made: NDArray[Any],
        held: NDArray[np.bool_],
    ) -> None:
        """Take rows, their loadings, what these make, and which rows are held out."""
        kept = ~held
        self.training.add(rows[kept], made[kept])
        self.held.add(rows[held], made[held])
        judged = held if self._any_held else kept
        self.left_out.add(rows[judged] - made[judged], loadings[judged])
        active = loadings != 0
        self.count += len(rows)
        self._active += active.sum(axis=0)
        self._active_training += active[kept].sum(axis=0)
        self._sum_training += np.abs(loadings[kept]).sum(axis=0, dtype=np.float64)

    @property
    def strength(self) -> NDArray[np.float32]:
        """Mean size of each mode's loading on the training rows where it is active, or 1."""
        mean = self._sum_training / np.maximum(self._active_training, 1)
        return np.where(mean > 0, mean, 1.0).astype(np.float32)

    @property
    def active_share(self) -> NDArray[np.float64]:
        """Part of all rows on which each mode is active."""
        return np.asarray(self._active / max(self.count, 1))

    @property
    def l0(self) -> float:
        """Mean number of active modes of a row."""
        return float(self._active.sum() / max(self.count, 1))

    def explained_variance(self, dictionary: NDArray[Any]) -> NDArray[np.float64]:
        """Loss of pooled R2 without each mode of D (modes, features)."""
        total = (self.held if self._any_held else self.training).data.pooled_squares
        return self.left_out.increase(dictionary) / (total if total > 0 else np.nan)


@dataclass(frozen=True)
class Coded:
    """Rows that went through a coder once."""

    tally: Tally
    loadings: NDArray[np.float32] | None  # of all rows, as the coder gives them


Known: TypeAlias = Callable[[slice], NDArray[np.float32]]
"""Loadings (rows, modes) of a part of the training rows, counted without those held out."""


def code(prepared: Prepared, coder: Coder, known: Known | None = None) -> Coded:
    """Encode and decode all rows block by block, once; loadings are kept of rows in memory."""
    size, held = len(prepared), prepared.held
    kept = np.empty((size, coder.modes), dtype=np.float32) if prepared.resident else None
    tally = Tally(coder.modes, prepared.rows.features, held=bool(held.any()))
    for start, stop, rows in prepared.blocks():
        out = held[start:stop]
        loadings = coder.encode(rows if known is None else rows[out])
        if known is not None:
            before = int((~held[:start]).sum())
            loadings = _completed(loadings, known(slice(before, before + int((~out).sum()))), out)
        tally.add(rows, loadings, coder.decode(loadings), out)
        if kept is not None:
            kept[start:stop] = loadings
    return Coded(tally, kept)


def _completed(
    new: NDArray[np.float32], known: NDArray[np.float32], held: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Loadings of all rows of a block: new ones of those held out, known ones of all others."""
    found = np.empty((len(held), known.shape[1]), dtype=np.float32)
    found[held], found[~held] = new, known
    return found


def summary(tally: Tally, coder: Coder, dictionary: xr.DataArray) -> xr.Dataset:
    """Label what is known of every mode and of the fit, as `Decomposition.summary` says it."""
    atoms = coder.dictionary()
    share = tally.active_share
    found: dict[str, NDArray[Any]] = {
        "active_share": share,
        "explained_variance": tally.explained_variance(atoms),
        "hoyer": hoyer(atoms, axis=1),
        "nearest_cosine": _nearest(atoms, share > 0),
    }
    mode = {v.MODE: np.arange(len(atoms))}
    alive = labels.labelled(
        share > 0, (v.MODE,), mode, name="alive", long_name="whether a mode is active on some row"
    )
    return xr.Dataset(
        {
            "alive": alive,
            **{n: labels.labelled(x, (v.MODE,), mode, name=n) for n, x in found.items()},
            **top_channels(dictionary),
            **_of_channels(tally, dictionary),
            **_of_fit(tally, atoms * tally.strength[:, None]),
        }
    )


def _nearest(atoms: NDArray[Any], alive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Largest cosine of each alive mode with another one; NaN for dead modes."""
    found = np.full(len(atoms), np.nan)
    found[alive] = nearest_cosine(atoms[alive])
    return found


def top_channels(dictionary: xr.DataArray) -> Mapping[str, xr.DataArray]:
    """Channels with the largest weights of each mode, the largest first."""
    shape = dictionary.shape[1:]
    weights = dictionary.values.reshape(len(dictionary), -1)
    ranks = min(_RANKS, weights.shape[1])
    place = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :ranks]
    signs, channels = np.unravel_index(place, shape if len(shape) > 1 else (1, *shape))
    coords = {v.MODE: dictionary[v.MODE].values, "rank": np.arange(ranks)}
    known = v.CHANNEL in dictionary.coords
    names = dictionary[v.CHANNEL].values if known else np.arange(shape[-1])
    values = {"top_channel": names[channels], "top_weight": np.take_along_axis(weights, place, 1)}
    if v.SIGN in dictionary.dims:
        values["top_sign"] = dictionary[v.SIGN].values[signs]
    units = {"top_weight": str(dictionary.attrs.get("units", ""))}
    return {
        name: labels.labelled(x, (v.MODE, "rank"), coords, name=name, units=units.get(name))
        for name, x in values.items()
    }


def _of_channels(tally: Tally, dictionary: xr.DataArray) -> Mapping[str, xr.DataArray]:
    features = tuple(map(str, dictionary.dims[1:]))
    coords = row.coords_along(dictionary, features)
    found = {"r2_feature": tally.held.r2_features, "r2_feature_train": tally.training.r2_features}
    return {
        name: labels.labelled(x.reshape(dictionary.shape[1:]), features, coords, name=name)
        for name, x in found.items()
    }


def _of_fit(tally: Tally, atoms: NDArray[Any]) -> Mapping[str, xr.DataArray]:
    """Figures of the whole fit, with modes (modes, features) at their typical strength."""
    alive = tally.active_share > 0
    found = {
        "r2": tally.held.r2,
        "r2_train": tally.training.r2,
        "r2_pooled": tally.held.r2_pooled,
        "r2_pooled_train": tally.training.r2_pooled,
        "l0": tally.l0,
        "alive_share": float(alive.mean()),
        "distinct_share": float(distinct_modes(atoms[alive]).mean()) if alive.any() else np.nan,
    }
    return {name: labels.labelled(value, (), name=name) for name, value in found.items()}
