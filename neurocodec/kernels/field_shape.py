"""Shape of receptive fields: centre, size, orientation, surround, and the time course's phases.

Formulas: `nc.describe_fields`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import fft2, fftfreq

from neurocodec.kernels.separable import recent_sign

BLOCK = 256
"""Maps described together; more do not stay in the cache."""
LEVEL = 0.5
"""The centre is measured where the map exceeds this part of its peak."""
_DEPTH = -np.log(LEVEL)
SHRINKAGE = float((1 - (1 + _DEPTH) * LEVEL - LEVEL * _DEPTH**2 / 2) / (1 - LEVEL - LEVEL * _DEPTH))
"""Variance of a Gaussian's part above `LEVEL`, weighted by its excess, over its whole variance."""


class Shape(NamedTuple):
    """What describes fields, one number each; NaN (polarity 0) for a field of zeros."""

    y_center: NDArray[np.floating]  # in pixels, as the radius
    x_center: NDArray[np.floating]
    radius: NDArray[np.floating]
    polarity: NDArray[np.floating]  # 1 (ON) or -1 (OFF)
    orientation: NDArray[np.floating]  # in degrees: 0 for bars along x, 90 along y
    orientation_index: NDArray[np.floating]
    surround_strength: NDArray[np.floating]
    biphasic_index: NDArray[np.floating]
    peak: NDArray[np.intp]  # place of the largest value of the time course


_EMPTY = Shape._make([*(np.nan,) * 3, 0.0, *(np.nan,) * 4, 0])
_NONE = Shape._make(np.array([empty])[:0] for empty in _EMPTY)


def describe(courses: NDArray[np.floating], maps: NDArray[np.floating]) -> Shape:
    """Describe fields: courses (n, lag), the newest last, times maps (n, y, x) of their sign."""
    courses, maps = np.asarray(courses), np.asarray(maps)
    blocks = [
        _describe_block(courses[i : i + BLOCK], maps[i : i + BLOCK].astype(np.float32, copy=False))
        for i in range(0, max(1, len(maps)), BLOCK)
    ]
    return Shape._make(np.concatenate(parts) for parts in zip(*blocks, strict=True))


def _describe_block(courses: NDArray[np.floating], maps: NDArray[np.floating]) -> Shape:
    known = np.isfinite(maps).all((1, 2)) & maps.any((1, 2)) & np.isfinite(courses).all(1)
    some = _describe_known(courses[known], maps[known]) if known.any() else _NONE
    whole = [np.full(len(maps), empty, x.dtype) for x, empty in zip(some, _EMPTY, strict=True)]
    for into, values in zip(whole, some, strict=True):
        into[known] = values
    return Shape._make(whole)


def _describe_known(courses: NDArray[np.floating], maps: NDArray[np.floating]) -> Shape:
    # powers of very small or large numbers would leave the range of float32
    maps = maps / np.abs(maps).max((1, 2), keepdims=True)
    sign, where = _peaks(maps)
    upright = maps * sign[:, None, None]
    y, x, radius = _ellipses(upright, where)
    angle, index = orientations(maps)
    surround = _surrounds(upright, where)
    polarity = sign * recent_sign(courses)
    latest = np.abs(courses).argmax(1)
    return Shape(y, x, radius, polarity, angle, index, surround, biphasic(courses), latest)


def _peaks(maps: NDArray[np.floating]) -> tuple[NDArray[np.floating], tuple[NDArray[np.intp], ...]]:
    """Sign and place of the peak: the best pixel around the largest value of smoothed maps."""
    smooth = ndimage.gaussian_filter(maps, (0, 1, 1))
    n, flat = np.arange(len(maps)), np.abs(smooth).reshape(len(maps), -1).argmax(1)
    places = np.unravel_index(flat, maps.shape[1:])
    signs = np.where(smooth[n, *places] < 0, -1.0, 1.0)
    upright = maps * signs[:, None, None]
    y, x = (
        np.abs(np.arange(size) - place[:, None]) <= 1
        for size, place in zip(maps.shape[1:], places, strict=True)
    )
    # The pixel in the middle may itself be noise of the other sign; where none of its neighbours
    # has the sign, the best pixel of the map is taken.
    near = y[:, :, None] & x[:, None, :] & (upright > 0)
    ranked = upright + np.where(near, upright.max((1, 2), keepdims=True), 0)
    best = ranked.reshape(len(maps), -1).argmax(1)
    return signs, (n, *np.unravel_index(best, maps.shape[1:]))


def _connected(mask: NDArray[np.bool_], where: tuple[NDArray[np.intp], ...]) -> NDArray[np.bool_]:
    """Pixels of each map that are connected to its peak within the mask."""
    together = np.zeros((3, 3, 3), bool)
    together[1] = True
    labels, _ = ndimage.label(mask, together)
    here = labels[where][:, None, None]
    found: NDArray[np.bool_] = (labels == here) & (here > 0)
    found[where] = True
    return found


def _ellipses(
    maps: NDArray[np.floating], where: tuple[NDArray[np.intp], ...]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Centre and radius from the moments of what exceeds half of the peak."""
    level = LEVEL * maps[where][:, None, None]
    excess = np.where(_connected(maps > level, where), maps - level, 0).clip(min=0)
    rows, columns = excess.sum(2, dtype=float), excess.sum(1, dtype=float)
    total = rows.sum(1)
    y, x = (np.arange(n, dtype=float) for n in maps.shape[1:])
    mean_y, mean_x = rows @ y / total, columns @ x / total
    yy, xx = rows @ y**2 / total - mean_y**2, columns @ x**2 / total - mean_x**2
    xy = (excess @ x.astype(maps.dtype)).astype(float) @ y / total - mean_y * mean_x
    area = np.sqrt(np.clip(yy * xx - xy**2, 0, None)) / SHRINKAGE
    return mean_y, mean_x, np.sqrt(area)


def orientations(maps: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Preferred orientation (0 to 180 degrees) and its index, from spectra of maps (n, y, x)."""
    power = np.abs(fft2(maps)) ** 2
    power[:, 0, 0] = 0
    total = power.sum((1, 2), dtype=float)
    # |sum of P exp(2 i a)| / sum of P over all spatial frequencies but 0, a being their angle
    vector = np.tensordot(power, _directions(*maps.shape[1:]), 2)
    vector = np.divide(vector, total, out=np.zeros(len(maps), complex), where=total > 0)
    # bars lie across their spatial frequency
    return (np.degrees(np.angle(vector)) / 2 + 90) % 180, np.abs(vector)


def _directions(height: int, width: int) -> NDArray[np.complex128]:
    """exp(2 i angle) of every spatial frequency; the highest stands for both of its signs."""
    fy, fx = np.meshgrid(fftfreq(height), fftfreq(width), indexing="ij")
    direction = np.exp(2j * np.arctan2(fy, fx))
    highest = (fy == -0.5) | (fx == -0.5)
    mirrored = (direction + np.exp(2j * np.arctan2(-fy, fx))) / 2
    directions: NDArray[np.complex128] = np.where(highest, mirrored, direction)
    return directions


def _surrounds(
    maps: NDArray[np.floating], where: tuple[NDArray[np.intp], ...]
) -> NDArray[np.floating]:
    inside = np.where(_connected(maps > 0, where), maps, 0).sum((1, 2), dtype=float)
    strength: NDArray[np.floating] = 1 - maps.sum((1, 2), dtype=float) / inside
    return strength


def biphasic(courses: NDArray[np.floating]) -> NDArray[np.floating]:
    """Smaller over larger peak of the phases of courses (n, lag): 0 for one, 1 for equal ones."""
    up, down = courses.max(1).clip(min=0), (-courses).max(1).clip(min=0)
    larger = np.maximum(up, down)
    index: NDArray[np.floating] = np.divide(
        np.minimum(up, down), larger, out=np.full(len(courses), np.nan), where=larger > 0
    )
    return index
