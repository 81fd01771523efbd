"""The box of pixels that holds most of a field, along each axis alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def field_boxes(fields: NDArray[np.floating], share: float) -> NDArray[np.int64]:
    """Boxes (field, [top, bottom, left, right]) of fields (field, y, x); the ends are outside.

    Along each axis as much of the field's size is left out before the box as after it, (1 - share)
    / 2 at most. A field of zeros has the whole image.
    """
    sizes = np.abs(np.asarray(fields, np.float64))
    found = np.empty((len(sizes), 4), np.int64)
    for place, axis in ((0, 2), (2, 1)):
        sums = np.cumsum(sizes.sum(axis), axis=1)
        total = sums[:, -1:]
        out = (1 - share) / 2 * total * (1 + 1e-9)  # what is left out exactly, in spite of rounding
        found[:, place] = (sums <= out).sum(1)
        found[:, place + 1] = (sums < total - out).sum(1) + 1
        empty = total[:, 0] == 0
        found[empty, place], found[empty, place + 1] = 0, sizes.shape[3 - axis]
    return found


def with_context(
    boxes: NDArray[np.int64], context: float, size: tuple[int, int]
) -> NDArray[np.int64]:
    """Squares around boxes, their longer side grown by `context` times, moved into the image."""
    sides = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    sides = np.minimum(np.ceil(sides * context).astype(np.int64), min(size))
    found = np.empty_like(boxes)
    for place, most in ((0, size[0]), (2, size[1])):
        middle = (boxes[:, place] + boxes[:, place + 1]) / 2
        low = np.clip(np.floor(middle - sides / 2).astype(np.int64), 0, most - sides)
        found[:, place], found[:, place + 1] = low, low + sides
    return found
