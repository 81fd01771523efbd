"""Channel sets that modes are compared with: random ones of the same size, and the whole layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.maps.channels import ChannelChoice, Weights


@dataclass(frozen=True)
class RandomSets:
    """Random channel sets, as large and as heavy as those of modes."""

    rows: xr.DataArray  # (mode[, sign], channel), a dictionary with a row for each set
    of_mode: NDArray[np.intp]  # (mode, draw), its sets; modes of the same weights share them
    together: NDArray[np.intp]  # (repeat, mode), rows that are as many sets as there are modes


def random_sets(
    weights: NDArray[np.float64],  # (mode, 2, channel), as `weights_of` gives them
    *,
    draws: int,  # sets for each mode
    seed: int,
) -> RandomSets:
    """Put the weights of each mode on channels that are drawn without replacement."""
    rng = np.random.default_rng(seed)
    pairs = np.moveaxis(weights, 1, 2)  # a channel takes both of its weights along
    kinds, kind = _kinds(pairs)
    # modes with the same weights, such as ten channels that count 1, share their sets, of which
    # there are as many as such modes at least: the strongest is then chosen among as many
    draws = max(draws, int(np.bincount(kind).max()))
    drawn = [[rng.permutation(one) for _ in range(draws)] for one in kinds]
    rows = np.moveaxis(np.reshape(drawn, (-1, *pairs.shape[1:])), 1, 2)
    of_mode = kind[:, None] * draws + np.arange(draws)
    return RandomSets(as_dictionary(rows), of_mode, _together(kind, draws))


def _kinds(pairs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Different sets of weights (kind, channel, 2), and which of them each mode has."""
    ordered = np.stack([one[np.lexsort(one.T)] for one in pairs])
    _, first, kind = np.unique(
        ordered.reshape(len(pairs), -1), axis=0, return_index=True, return_inverse=True
    )
    return ordered[first], kind.reshape(-1)


def _together(kind: NDArray[np.intp], draws: int) -> NDArray[np.intp]:
    """For every mode a set of its own kind that no other has."""
    rank = np.array([(kind[:i] == k).sum() for i, k in enumerate(kind)])
    sizes = np.bincount(kind)
    repeats = draws // int(sizes.max())
    place = rank + np.arange(repeats)[:, None] * sizes[kind]
    return np.asarray(kind * draws + place)


def as_dictionary(rows: NDArray[np.float64]) -> xr.DataArray:
    """Weights (set, 2, channel) as a dictionary, whose inhibitory parts are negative."""
    if (rows[:, 0] == rows[:, 1]).all():
        return xr.DataArray(rows[:, 0], {v.MODE: np.arange(len(rows))}, (v.MODE, v.CHANNEL))
    signed = rows * np.array([1.0, -1.0])[:, None]
    coords = {v.MODE: np.arange(len(rows)), v.SIGN: list(v.SIGNS)}
    return xr.DataArray(signed, coords, (v.MODE, v.SIGN, v.CHANNEL))


def weights_of(modes: xr.DataArray, layer: str, weights: Weights, top: int) -> NDArray[np.float64]:
    """What channels of modes count (mode, 2, channel): in positive contributions, in negative."""
    choice = ChannelChoice(layer, None, modes, weights, top)
    count = modes.sizes[v.CHANNEL]
    if weights == "equal" and top > count:
        raise InputError(
            came=f"top={top} of a layer with {count} channels",
            expected=f"a whole number from 1 to {count}",
        )
    return choice.among(count).weights
