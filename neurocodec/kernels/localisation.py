"""How well a map of pixels keeps inside of an object."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import unknown_name

Part = Literal["absolute", "positive", "negative"]
PARTS: Final[tuple[str, ...]] = get_args(Part)


def part_of(values: ArrayLike, part: Part = "absolute") -> NDArray[np.float64]:
    """Energy of signed values: their size, or that of their positive or negative part."""
    v = np.asarray(values, dtype=np.float64)
    if part not in PARTS:
        raise unknown_name("part of a map", part, PARTS)
    if part == "absolute":
        return np.abs(v)
    return np.maximum(v if part == "positive" else -v, 0.0)


def energy_inside(
    energy: ArrayLike, mask: ArrayLike, axis: tuple[int, ...] = (-2, -1)
) -> NDArray[np.float64]:
    """Part of the energy inside of a mask, sum_inside E / sum E; NaN where there is none."""
    # The energy-based pointing game of Wang et al. (2020), Score-CAM, sec. 4.2; with the positive
    # part of a map and a tile of a grid as the mask, L of Böhle et al. (2021),
    # doi:10.1109/CVPR46437.2021.00990, sec. 5.
    e = np.asarray(energy, dtype=np.float64)
    total = e.sum(axis=axis)
    inside = np.where(np.asarray(mask, dtype=bool), e, 0.0).sum(axis=axis)
    return np.asarray(inside / np.where(total > 0, total, np.nan))


def mask_area(mask: ArrayLike, axis: tuple[int, ...] = (-2, -1)) -> NDArray[np.float64]:
    """Part of the pixels that lie inside of a mask."""
    return np.asarray(np.asarray(mask, dtype=bool).mean(axis=axis))


def maximum_inside(
    energy: ArrayLike, mask: ArrayLike, axis: tuple[int, ...] = (-2, -1)
) -> NDArray[np.float64]:
    """Whether (1 or 0) the pixel of largest energy is inside of a mask; NaN where there is none."""
    # The pointing game of Zhang et al. (2018), Top-down neural attention by excitation backprop,
    # IJCV 126, sec. 4.2, without their tolerance of 15 pixels; of several largest pixels the part
    # inside.
    e = np.asarray(energy, dtype=np.float64)
    top = e.max(axis=axis, keepdims=True)
    best = (e == top) & (top > 0)
    count = best.sum(axis=axis)
    inside = (best & np.asarray(mask, dtype=bool)).sum(axis=axis)
    return np.asarray(inside / np.where(count > 0, count, np.nan))


def pixel_ranks(values: ArrayLike, part: Part = "positive") -> NDArray[np.intp]:
    """Place of each pixel (..., pixels), the largest first, of equal ones the earlier one."""
    v: NDArray[Any] = np.asarray(values)
    if part not in PARTS:
        raise unknown_name("part of a map", part, PARTS)
    # by the signed value, the most negative value first, or by size
    keys = {"positive": -v, "negative": v, "absolute": -np.abs(v)}[part]
    order = np.argsort(keys, axis=-1, kind="stable")
    ranks = np.empty_like(order)
    places = np.broadcast_to(np.arange(v.shape[-1]), v.shape)
    np.put_along_axis(ranks, order, places, axis=-1)
    return ranks
