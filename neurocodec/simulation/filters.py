"""Filters of the simulated circuit: finite in time and space, sampled at frames and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gamma(length: int, tau: float, order: int) -> NDArray[np.float64]:
    """Impulse response of `order + 1` leaky integrators, newest frame first, cut, with sum 1."""
    t = np.arange(length) + 0.5
    response = t**order * np.exp(-t / tau)
    return np.asarray(response / response.sum())


def biphasic(
    length: int, fast: float, slow: float, opposition: float, order: int = 2
) -> NDArray[np.float64]:
    """Difference of a fast and a slow `gamma`, with sum `1 - opposition`: fully transient at 1."""
    return gamma(length, fast, order) - opposition * gamma(length, slow, order)


def gaussian(radius: int, sigma: float) -> NDArray[np.float64]:
    """Gaussian footprint with sum 1, cut to a square of side `2 radius + 1`."""
    profile = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    footprint = np.outer(profile, profile)
    return np.asarray(footprint / footprint.sum())


def center_surround(
    radius: int, center: float, surround: float, opposition: float, blur: float
) -> NDArray[np.float64]:
    """Difference of Gaussians, blurred by the photoreceptors: (2 radius + 1) squared pixels."""
    # the blur reaches one pixel; the sum is 1 - opposition
    field = gaussian(radius - 1, center) - opposition * gaussian(radius - 1, surround)
    return np.asarray(signal.convolve2d(field, gaussian(1, blur)))


def place(
    footprint: NDArray[np.float64], positions: NDArray[np.int_], size: int
) -> NDArray[np.float32]:
    """Matrix (size * size, position) that applies one footprint around pixels (position, 2)."""
    radius = len(footprint) // 2
    matrix = np.zeros((len(positions), size, size), dtype=np.float32)
    for frame, (y, x) in zip(matrix, positions, strict=True):
        frame[y - radius : y + radius + 1, x - radius : x + radius + 1] = footprint
    return matrix.reshape(len(positions), -1).T


def pool(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64], sigma: float, radius: float
) -> NDArray[np.float32]:
    """Gaussian weights (input, output) between positions (cell, 2); 0 beyond a square, sum 1."""
    distance = inputs[:, None, :] - outputs[None, :, :]
    weight = np.exp(-0.5 * (distance**2).sum(-1) / sigma**2)
    weight *= np.abs(distance).max(-1) <= radius
    return np.asarray(weight / weight.sum(0), dtype=np.float32)


def filter_past(values: NDArray[np.float32], kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    """Filter (time, column) with a causal kernel (lag,), newest first; before row 0 all is zero."""
    past = kernel.astype(np.float32)[:, None]
    return np.asarray(signal.oaconvolve(values, past, axes=0)[: len(values)], dtype=np.float32)
