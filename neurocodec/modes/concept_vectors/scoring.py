"""What is known of concept vectors: how well a few of them make rows that were held out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.kernels.pursuit import EMPTY, Codes
from neurocodec.kernels.scores import ReconstructionScores
from neurocodec.kernels.sparsity import hoyer
from neurocodec.modes.concept_vectors.coding import PursuitCoder
from neurocodec.modes.concept_vectors.finding import Found
from neurocodec.modes.summary import top_channels
from neurocodec.rows.matrix import coords_of

SCORED: Final = 1024
"""Rows that are scored, of those held out and of the others each, at equal distances."""
_BLOCK: Final = 512
_AT_ONCE: Final = 1024
_COPIES: Final = 0.99
"""Vectors with this cosine are near-copies."""


class Scores:
    """Rows, and what a few vectors make of them."""

    def __init__(self, coder: PursuitCoder) -> None:
        self.coder = coder
        self.rows = ReconstructionScores(coder.atoms.shape[1])
        self.lost, self.whole, self.about = 0.0, 0.0, 0.0
        self.relative = list[NDArray[np.float64]]()
        self.active = np.zeros(coder.modes, np.intp)
        self.gain = np.zeros(coder.modes)
        self.count = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Take further rows, as they come."""
        codes = self.coder.coded(rows, self.coder.active)
        made = self.coder.made(codes)
        left = (rows - made).astype(np.float64)
        self.rows.add(rows, made)
        self.relative.append(relative_l2(rows, made))
        self.active += np.bincount(codes.indices[codes.indices != EMPTY], minlength=len(self.gain))
        self.gain += _gain(left, codes, self.coder.atoms)
        self.count += len(rows)

    @classmethod
    def of(cls, coder: PursuitCoder, rows: NDArray[Any]) -> Scores:
        """Scores of some of the rows, at equal distances."""
        made = cls(coder)
        place = np.linspace(0, len(rows) - 1, min(SCORED, len(rows))).round().astype(int)
        for part in np.array_split(place, -(-len(place) // _BLOCK)) if len(place) else []:
            made.add(rows[part])
        return made


def relative_l2(rows: NDArray[Any], made: NDArray[Any]) -> NDArray[np.float64]:
    """Length of what is missing of each row over its own; NaN of a row that is 0."""
    size = np.linalg.norm(rows, axis=1).astype(np.float64)
    lost = np.linalg.norm(rows - made, axis=1)
    return np.asarray(np.divide(lost, size, out=np.full(len(size), np.nan), where=size > 0))


def _gain(left: NDArray[np.float64], codes: Codes, atoms: NDArray[Any]) -> NDArray[np.float64]:
    """How much larger the squared residual is without each vector, the others as they are."""
    found = np.zeros(len(atoms))
    for slot in range(codes.indices.shape[1]):
        own = codes.indices[:, slot] != EMPTY
        index, value = codes.indices[own, slot], codes.values[own, slot].astype(np.float64)
        cross = np.einsum("rc,rc->r", left[own], atoms[index])
        found += np.bincount(index, 2 * value * cross + value**2, len(atoms))
    return found


def summary(
    coder: PursuitCoder, found: Found, training: Scores, held: Scores, dictionary: xr.DataArray
) -> xr.Dataset:
    """Label what is known of every vector and of the fit."""
    judged = held if held.count else training
    nearest = nearest_others(coder.atoms)
    share = (training.active + held.active) / max(1, training.count + held.count)
    total = judged.rows.data.pooled_squares
    of_modes = {
        "active_share": share,
        "explained_variance": judged.gain / (total if total > 0 else np.nan),
        "hoyer": hoyer(coder.atoms, axis=1),
        "nearest_cosine": nearest,
        "cluster_size": found.size,
        "cluster_cosine": found.cosine,
    }
    mode = {v.MODE: np.arange(coder.modes)}
    alive = labels.labelled(
        share > 0, (v.MODE,), mode, name="alive", long_name="whether a mode is active on some row"
    )
    of_fit = {
        "r2": held.rows.r2,
        "r2_train": training.rows.r2,
        "r2_pooled": held.rows.r2_pooled,
        "r2_pooled_train": training.rows.r2_pooled,
        "l0": float((training.active + held.active).sum() / max(1, training.count + held.count)),
        "alive_share": float((share > 0).mean()),
        "distinct_share": float((nearest < _COPIES).mean()),
        "relative_l2": _mean(held.relative),
        "relative_l2_train": _mean(training.relative),
    }
    return xr.Dataset(
        {
            "alive": alive,
            **{n: labels.labelled(x, (v.MODE,), mode, name=n) for n, x in of_modes.items()},
            **top_channels(dictionary),
            **_of_channels(training, held, dictionary),
            **{n: labels.labelled(x, (), name=n) for n, x in of_fit.items()},
        }
    )


def _mean(parts: list[NDArray[np.float64]]) -> float:
    values = np.concatenate([np.empty(0), *parts])
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _of_channels(
    training: Scores, held: Scores, dictionary: xr.DataArray
) -> dict[str, xr.DataArray]:
    coords = coords_of(dictionary, v.CHANNEL)
    known = {"r2_feature": held.rows.r2_features, "r2_feature_train": training.rows.r2_features}
    return {n: labels.labelled(x, (v.CHANNEL,), coords, name=n) for n, x in known.items()}


def nearest_others(atoms: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each unit vector with the closest other one; NaN if there is none."""
    found = np.full(len(atoms), np.nan)
    if len(atoms) < 2:
        return found
    for start in range(0, len(atoms), _AT_ONCE):
        some = atoms[start : start + _AT_ONCE] @ atoms.T
        some[np.arange(len(some)), np.arange(start, start + len(some))] = -np.inf
        found[start : start + _AT_ONCE] = some.max(1)
    return found
