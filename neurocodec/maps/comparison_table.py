"""Scores of many maps of each image, as means with intervals and paired differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.kernels.localisation import mask_area
from neurocodec.labels import labelled, require_free_names
from neurocodec.maps.controls import RandomSets
from neurocodec.maps.localisation import SCORES

AGAINST: Final = "against"
MAPS: Final = (
    "modes",
    "random sets",
    "strongest mode",
    "strongest random set",
    "whole layer",
    "whole network",
)
CONTROLS: Final = ("random sets", "whole layer", "whole network")
OF_MODES: Final = ("mode_localisation", "mode_contribution", "n_images")
LOCALISATION: Final = SCORES.index("localisation")

Variables: TypeAlias = dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]


@dataclass(frozen=True)
class Scores:
    """Scores of all maps of all images; the axis `score` is that of `SCORES`."""

    modes: NDArray[np.float64]  # (image, mode, score)
    contribution: NDArray[np.float64]  # (image, mode)
    sets: NDArray[np.float64]  # (image, set, score), as in the rows of `RandomSets`
    set_contribution: NDArray[np.float64]  # (image, set)
    layer: NDArray[np.float64]  # (image, score), of all channels
    network: NDArray[np.float64]  # (image, score), of the whole network

    def table(self, sets: RandomSets, sign: str) -> NDArray[np.float64]:
        """Scores of each image (image, map, score), in the order of `MAPS`."""
        size = -1.0 if sign == "inhibitory" else 1.0  # the strongest is the most negative
        chosen = _strongest(size * self.contribution[:, None], self.modes[:, None])
        drawn = _strongest(
            size * self.set_contribution[:, sets.together], self.sets[:, sets.together]
        )
        means = _mean(self.modes, (1,)), _mean(self.sets[:, sets.of_mode], (1, 2))
        return np.stack([*means, chosen, drawn, self.layer, self.network], axis=1)

    def of_modes(self, sets: RandomSets) -> NDArray[np.float64]:
        """Differences of localisation (image, mode, control), in the order of `CONTROLS`."""
        score, drawn = (x[..., LOCALISATION] for x in (self.modes, self.sets))
        own = _mean(drawn[:, sets.of_mode], (2,))
        others = [own, self.layer[:, [LOCALISATION]], self.network[:, [LOCALISATION]]]
        return np.stack([score - other for other in others], axis=-1)


class Draws(NamedTuple):
    """Bootstrap over images, as `mean_intervals` takes it."""

    bootstrap: int
    confidence: float
    seed: int


def _strongest(
    contribution: NDArray[np.float64],  # (image, group, member)
    scores: NDArray[np.float64],  # (image, group, member, score)
) -> NDArray[np.float64]:
    """Scores (image, score) of the member with the largest contribution, mean over groups."""
    best = contribution.argmax(axis=2)[..., None, None]
    return _mean(np.take_along_axis(scores, best, axis=2)[:, :, 0], (1,))


def _mean(values: NDArray[np.float64], axis: tuple[int, ...]) -> NDArray[np.float64]:
    """Mean of what is not NaN; NaN where all is."""
    there = np.isfinite(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def summarise(
    scores: Scores,
    sets: RandomSets,
    images: xr.DataArray,
    masks: xr.DataArray,  # (stimulus, y, x) or (y, x)
    modes: xr.DataArray,  # rows of a dictionary (mode, ..., channel)
    *,
    sign: str,
    draws: Draws,
) -> xr.Dataset:
    """Label scores of images, means over images, and differences of means."""
    table = scores.table(sets, sign)
    found: Variables = {name: ((v.STIMULUS, v.MAP), table[..., i]) for i, name in enumerate(SCORES)}
    for i, name in enumerate(SCORES):
        found |= _with_interval(f"mean_{name}", (v.MAP,), table[..., i], draws)
    score = table[..., LOCALISATION]
    pairs = score[:, :, None] - score[:, None]
    found |= _with_interval("localisation_difference", (v.MAP, AGAINST), pairs, draws)
    found |= _with_interval("mode_difference", (v.MODE, "control"), scores.of_modes(sets), draws)
    per_mode = scores.modes[..., LOCALISATION]
    dims, count = (v.STIMULUS, v.MODE), np.isfinite(per_mode).sum(axis=0).astype(float)
    of_modes = ((dims, per_mode), (dims, scores.contribution), ((v.MODE,), count))
    found |= zip(OF_MODES, of_modes, strict=True)
    area = np.broadcast_to(mask_area(masks.values), len(table))
    found["mask_area"] = (v.STIMULUS,), area
    return _labelled(found, images, modes)


def require_free(images: xr.DataArray, modes: xr.DataArray) -> None:
    """Refuse coordinates of images and modes that have the name of what is told of them."""
    means = {f"mean_{name}" for name in SCORES} | {"localisation_difference", "mode_difference"}
    own = {*SCORES, *means, *(f"{name}_interval" for name in means), *OF_MODES, "mask_area"}
    own |= {v.MAP, AGAINST, "control", v.BOUND}
    require_free_names(images.coords, own | {v.MODE}, "the images")
    shared = {*map(str, images.coords), *map(str, images.dims)}
    require_free_names(modes.coords, own | shared, "the modes")


def _with_interval(
    name: str, dims: tuple[str, ...], values: NDArray[np.float64], draws: Draws
) -> Variables:
    """Mean of values (image, ...) over images, and its interval."""
    columns = values.reshape(len(values), -1)
    mean, low, high, _ = mean_intervals(columns, *draws)
    shape = values.shape[1:]
    ends = np.stack([low, high], axis=-1).reshape(*shape, len(v.BOUNDS))
    return {name: (dims, mean.reshape(shape)), f"{name}_interval": ((*dims, v.BOUND), ends)}


def _labelled(found: Variables, images: xr.DataArray, modes: xr.DataArray) -> xr.Dataset:
    coords = {k: c.variable for k, c in images.coords.items() if c.dims == (v.STIMULUS,)}
    coords |= {k: c.variable for k, c in modes.coords.items() if c.dims == (v.MODE,)}
    names = {v.MAP: MAPS, AGAINST: MAPS, "control": CONTROLS, v.BOUND: v.BOUNDS}
    variables = {name: labelled(x, dims, name=name) for name, (dims, x) in found.items()}
    variables["n_images"] = variables["n_images"].astype(np.int64)
    result = xr.Dataset(variables, {**coords, **{d: [*labels] for d, labels in names.items()}})
    return (
        result
        if v.MODE in result.coords
        else result.assign_coords({v.MODE: np.arange(result.sizes[v.MODE])})
    )
