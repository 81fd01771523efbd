"""How much of each pixel a shape covers, exactly: discs and polygons on a grid of unit squares.

Places are (y, x) in pixels; pixel i spans i - 0.5 to i + 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disc_coverage(
    size: tuple[int, int], center: tuple[float, float], radius: float
) -> NDArray[np.float64]:
    """Part (y, x) of each pixel that lies inside of a disc."""
    if radius <= 0:
        return np.zeros(size)
    y, x = _corners(size, center)
    # The area left of x and above y is known in closed form; that inside of a pixel is its second
    # difference over the pixel's corners.
    area = radius**2 * _disc_area(x[None, :] / radius, y[:, None] / radius)
    return _differences(area).clip(0, 1)  # rounding


def _disc_area(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the unit disc where x <= a and y <= b."""
    a, b = np.broadcast_arrays(np.clip(a, -1, 1), np.clip(b, -1, 1))
    # A column of the disc at x reaches from -s to s with s = sqrt(1 - x^2). Where |x| <= c it is
    # cut off at b, elsewhere it is whole (b > 0) or missing.
    c = np.sqrt(1 - b**2)
    inner = np.clip(a, -c, c)
    cut = _half_area(inner) - _half_area(-c) + b * (inner + c)
    outside = _half_area(np.minimum(a, -c)) - _half_area(-1.0)
    outside += _half_area(np.maximum(a, c)) - _half_area(c)
    return np.asarray(cut + np.where(b > 0, 2.0, 0.0) * outside)


def _half_area(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Antiderivative of sqrt(1 - x^2)."""
    return np.asarray((x * np.sqrt(1 - np.square(x)) + np.arcsin(x)) / 2)


def polygon_coverage(size: tuple[int, int], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part (y, x) of each pixel inside of an outline (corner, 2) that never crosses itself."""
    y, x = _corners(size, (0.0, 0.0))
    area = np.zeros((len(y), len(x)))
    # Green's theorem: the area left of a and above b is the integral of min(x, a) dy over the
    # outline above b.
    for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        area += _edge_area(start, stop, x[None, :], y[:, None])
    # negative where the outline runs the other way round
    return np.abs(_differences(area)).clip(0, 1)


def _edge_area(
    start: NDArray[np.float64],
    stop: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Integral of min(x, a) dy along an edge, as far as y <= b."""
    (y0, x0), (y1, x1) = start, stop
    if y0 == y1:
        return np.zeros(np.broadcast_shapes(a.shape, b.shape))
    end_0, end_1 = np.minimum(y0, b), np.minimum(y1, b)
    u0, u1 = (x0 + (x1 - x0) * ((end - y0) / (y1 - y0)) for end in (end_0, end_1))
    low, high = np.minimum(u0, u1), np.maximum(u0, u1)
    beyond = np.square(a - low) / (2 * np.where(high > low, high - low, 1.0))
    mean = np.where(a >= high, (low + high) / 2, np.where(a <= low, a, a - beyond))
    return np.asarray(mean * (end_1 - end_0))


def _corners(
    size: tuple[int, int], center: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = (np.arange(n + 1.0) - 0.5 - c for n, c in zip(size, center, strict=True))
    return np.asarray(y, np.float64), np.asarray(x, np.float64)


def _differences(area: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diff(np.diff(area, axis=0), axis=1)
