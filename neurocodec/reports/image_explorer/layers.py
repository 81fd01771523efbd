"""What is known of every mode of a layer, on images that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import LEAST, ImageAnalysis
from neurocodec.categories.top_samples import top_samples
from neurocodec.kernels.class_correlation import Masks, chance_of_sizes
from neurocodec.kernels.correlation import unit_columns
from neurocodec.kernels.matching import cosine_similarity
from neurocodec.modes.sparse import SparseModes
from neurocodec.modes.stability import COSINE
from neurocodec.reports.image_explorer.held import Held

SHOWN: Final = 8
"""Images of a kind that a mode is shown with."""
CLASSES: Final = 5
"""Classes that are told of a mode."""
CHANNELS: Final = 8
SIMILAR: Final = 4
BARS: Final = 24
"""Of the histogram of loadings."""
DRAWS: Final = 200
LEVEL: Final = 0.95


@dataclass(frozen=True)
class Nearest:
    """Of each mode the few others that are most like it, the nearest first."""

    place: NDArray[np.intp]  # (mode, rank)
    value: NDArray[np.float32]

    @classmethod
    def of(cls, similarity: NDArray[np.float32]) -> Nearest:
        """Take the largest of each row."""
        place = np.argsort(-similarity, axis=1, kind="stable")[:, :SIMILAR]
        return cls(place, np.take_along_axis(similarity, place, axis=1))

    def told(self, mode: int) -> list[list[Any]]:
        """Number and similarity of each, where there is any."""
        pairs = zip(self.place[mode].tolist(), self.value[mode], strict=True)
        return [[m, short(x)] for m, x in pairs if x > 0]


@dataclass(frozen=True)
class Layer:
    """The modes of a layer."""

    name: str
    modes: SparseModes
    loadings: NDArray[np.float32]  # (image, mode)
    excitation: NDArray[
        np.float64
    ]  # (image): sum over channels, at positions that raise the target
    inhibition: NDArray[np.float64]
    r: NDArray[np.float64]  # (mode, class) with each class of enough images; else NaN
    chance: NDArray[np.float64]  # of these
    top: NDArray[np.int64]  # images (mode, kind, rank); -1 for none
    stability: NDArray[np.float64]  # (mode); NaN where it was not computed

    @classmethod
    def of(
        cls, analysis: ImageAnalysis, layer: str, held: Held, stability: Any, seed: int
    ) -> Layer:
        """Compute what is told of the modes of a layer."""
        rows, modes = held.rows(analysis, layer), analysis.modes[v.CONTRIBUTION][layer]
        loadings = modes.transform(rows)
        values = np.asarray(loadings.values, dtype=np.float32)
        columns = unit_columns(values.astype(np.float64), 0)
        sizes = np.where(held.sizes >= LEAST, held.sizes, 0)
        r = Masks(held.members & (sizes > 0)).correlate(columns)
        chance = chance_of_sizes(columns, sizes, draws=DRAWS, level=LEVEL, seed=seed)
        found = top_samples(loadings, min(SHOWN, len(held)), seed=seed)
        sums = rows.sum(v.CHANNEL).transpose(v.STIMULUS, v.SIGN).astype(np.float64)
        return cls(
            name=layer,
            modes=modes,
            loadings=values,
            excitation=sums.sel({v.SIGN: v.EXCITATORY}).values,
            inhibition=sums.sel({v.SIGN: v.INHIBITORY}).values,
            r=r,
            chance=chance,
            top=found[v.RANKED_POSITION].values,
            stability=_stability(stability, modes),
        )

    @property
    def names(self) -> list[str]:
        """Of the modes."""
        return [str(name) for name in self.modes.dictionary[v.MODE].values]

    @cached_property
    def atoms(self) -> NDArray[np.float64]:
        """Dictionary (mode, channel)."""
        found = self.modes.dictionary.transpose(v.MODE, ...).values
        return np.asarray(found.reshape(len(found), -1), dtype=np.float64)

    @cached_property
    def contributions(self) -> NDArray[np.float32]:
        """What each mode adds to the target (image, mode): its loading times its channels."""
        return np.asarray(self.loadings * self.atoms.sum(axis=1).astype(np.float32))

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """Loadings as columns of mean 0 and norm 1; 0 where a mode does not vary."""
        return np.nan_to_num(unit_columns(self.loadings, 0)).astype(np.float32)

    @cached_property
    def alike(self) -> Nearest:
        """Other modes of the layer with the largest cosines of channels."""
        norm = np.linalg.norm(self.atoms, axis=1, keepdims=True)
        unit = (self.atoms / np.where(norm > 0, norm, 1.0)).astype(np.float32)
        cosine = unit @ unit.T
        np.fill_diagonal(cosine, -np.inf)
        return Nearest.of(cosine)

    def linked(self, other: Layer) -> Nearest:
        """Modes of another layer whose loadings go with those of each mode."""
        return Nearest.of(self.unit.T @ other.unit)

    def best(self, mode: int) -> list[int]:
        """Classes that a mode follows best, the best first."""
        order = np.argsort(-np.nan_to_num(self.r[mode], nan=-np.inf), kind="stable")[:CLASSES]
        return [int(c) for c in order if self.r[mode, c] > 0]

    def told(self) -> list[dict[str, Any]]:
        """What the atlas has of every mode."""
        summary = self.modes.summary
        share = (self.loadings > 0).mean(axis=0)
        known = {
            "share": share,
            "lost": summary["explained_variance"].values,
            "hoyer": summary["hoyer"].values,
            "nearest": summary["nearest_cosine"].values,
            "stability": self.stability,
        }
        rows = []
        for m, name in enumerate(self.names):
            best = self.best(m)
            one = {key: short(values[m]) for key, values in known.items()}
            found = {"classes": [[c, short(self.r[m, c])] for c in best[:3]]}
            r = short(self.r[m, best[0]]) if best else None
            rows.append({"name": name, "r": r, **one, **found, "top": _there(self.top[m, 0])[:4]})
        return rows

    def one(self, mode: int, linked: Mapping[str, Nearest]) -> dict[str, Any]:
        """What the page of a mode has."""
        ranked = [_there(row) for row in self.top[mode]]
        column = self.loadings[:, mode]
        active = column[column > 0]
        high = float(active.max(initial=0.0))
        counts = np.histogram(active, bins=BARS, range=(0.0, high or 1.0))[0]
        classes = [
            [c, short(self.r[mode, c]), short(self.chance[mode, c])] for c in self.best(mode)
        ]
        return {
            "images": ranked,
            "loadings": [[short(column[i]) for i in row] for row in ranked],
            "high": short(high),
            "counts": counts.tolist(),
            "classes": classes,
            "channels": self._channels(mode),
            "alike": self.alike.told(mode),
            "linked": {key: nearest.told(mode) for key, nearest in linked.items()},
        }

    def _channels(self, mode: int) -> list[list[Any]]:
        weights = np.abs(self.atoms[mode])
        order = np.argsort(-weights, kind="stable")[:CHANNELS]
        dictionary = self.modes.dictionary
        known = dictionary[v.CHANNEL].values if v.CHANNEL in dictionary.coords else None
        names = np.arange(len(weights)) if known is None or len(known) != len(weights) else known
        return [[str(names[i]), short(self.atoms[mode, i])] for i in order if weights[i] > 0]


def _there(places: NDArray[np.int64]) -> list[int]:
    return [int(i) for i in places if i >= 0]


def _stability(found: xr.Dataset | None, modes: SparseModes) -> NDArray[np.float64]:
    """Stability of the consensus mode that each mode is, which has other numbers; NaN for none."""
    dictionary = modes.dictionary.transpose(v.MODE, ...).values
    own = np.full(len(dictionary), np.nan)
    if found is None:
        return own
    other = found["dictionary"].transpose(v.MODE, ...).values
    flat = (array.reshape(len(array), -1).astype(np.float64) for array in (dictionary, other))
    cosine = cosine_similarity(*flat)
    place = cosine.argmax(axis=1)
    near = np.take_along_axis(cosine, place[:, None], axis=1)[:, 0] >= COSINE
    return np.where(near, found["stability"].values[place], np.nan)


def short(number: Any) -> float | None:
    """Number with as many digits as anybody reads; None where there is none."""
    return float(f"{float(number):.4g}") if np.isfinite(number) else None
