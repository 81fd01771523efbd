"""How responses depend on what was shown: on light and dark, on directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIRECTION, ORIENTATION = 1, 2
"""Harmonics of an angle: an orientation comes back after half a turn."""


def above_baseline(
    values: NDArray[Any],  # (time, ...)
    during: slice,
    before: slice,
) -> NDArray[np.float64]:
    """Course of a response above its mean before the onset; nothing where it is below."""
    y = np.asarray(values, np.float64)
    return np.asarray(np.clip(y[during] - y[before].mean(axis=0), 0, None))


def on_off_index(on: NDArray[Any], off: NDArray[Any]) -> NDArray[np.float64]:
    """(ON - OFF) / (ON + OFF): 1 answers light alone, -1 dark alone; NaN without an answer."""
    difference, total = np.asarray(on - off, np.float64), np.asarray(on + off, np.float64)
    return np.divide(difference, total, out=np.full_like(total, np.nan), where=total > 0)


def transience(course: NDArray[Any]) -> NDArray[np.float64]:
    """1 - mean / peak of a course (time, ...): 0 lasts as long as the stimulus, near 1 is brief."""
    peak, mean = course.max(axis=0), course.mean(axis=0)
    return np.asarray(1 - np.divide(mean, peak, out=np.full_like(peak, np.nan), where=peak > 0))


def selectivity(
    responses: NDArray[Any],  # (..., angle), not negative
    angles: NDArray[Any],  # degrees, equally spaced over a turn
    harmonic: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of the vector sum over the sum of lengths, and the angle in degrees it points to."""
    # |sum r exp(i k angle)| / sum r (Swindale 1998, Biol. Cybern. 78; k = 1 for directions, 2 for
    # orientations): 1 for an answer to one angle, 0 for the same answer to all
    turns = np.exp(1j * harmonic * np.deg2rad(angles))
    total, vector = responses.sum(axis=-1), responses @ turns
    length = np.divide(np.abs(vector), total, out=np.full(total.shape, np.nan), where=total > 0)
    points = np.rad2deg(np.angle(vector)) / harmonic % (360 / harmonic)
    return length, np.where(length > 0, points, np.nan)


def selectivity_p_value(
    responses: NDArray[Any],  # (block, ..., angle), not negative
    angles: NDArray[Any],
    harmonic: int,
    permutations: int,
    seed: int,
) -> NDArray[np.float64]:
    """Part of permutations of the angles, within each block, that are as selective."""
    random = np.random.default_rng(seed)
    found, _ = selectivity(responses.mean(axis=0), angles, harmonic)
    least = found - 1e-9  # equal but for the order of a sum
    as_good = np.ones(found.shape)
    for _ in range(permutations):
        orders = np.stack([random.permutation(len(angles)) for _ in responses])
        moved = np.stack([r[..., order] for r, order in zip(responses, orders, strict=True)])
        as_good += selectivity(moved.mean(axis=0), angles, harmonic)[0] >= least
    return np.where(np.isfinite(found), as_good / (permutations + 1), np.nan)
