"""Filters of the simulated circuit: finite in time and space, sampled at frames and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gamma(length: int, tau: float, order: int) -> NDArray[np.float64]:
    """Impulse response of a cascade of `order + 1` leaky integrators, cut after `length` frames.

    Parameters
    ----------
    length
        Frames; the first is the newest.
    tau
        Time constant of each integrator in frames.
    order
        Exponent `n` of `t**n exp(-t / tau)`.

    Returns
    -------
    numpy.ndarray
        Shape (length,), non-negative, with sum 1.

    Examples
    --------
    >>> gamma(3, tau=1e9, order=0).round(3).tolist()
    [0.333, 0.333, 0.333]
    """
    t = np.arange(length) + 0.5
    response = t**order * np.exp(-t / tau)
    return np.asarray(response / response.sum())


def biphasic(
    length: int, fast: float, slow: float, opposition: float, order: int = 2
) -> NDArray[np.float64]:
    """Difference of a fast and a slow `gamma`: 1 is fully transient, 0 only low-pass.

    Parameters
    ----------
    length
        Frames; the first is the newest.
    fast, slow
        Time constants in frames.
    opposition
        Weight of the slow, opposing phase.
    order
        Exponent of both.

    Returns
    -------
    numpy.ndarray
        Shape (length,), with sum `1 - opposition`.

    Examples
    --------
    >>> round(float(biphasic(20, 1.0, 2.0, 0.75).sum()), 6)
    0.25
    """
    return gamma(length, fast, order) - opposition * gamma(length, slow, order)


def gaussian(radius: int, sigma: float) -> NDArray[np.float64]:
    """Gaussian footprint with sum 1, cut to a square of side `2 radius + 1`.

    Examples
    --------
    >>> gaussian(1, 0.5).shape
    (3, 3)
    """
    profile = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    footprint = np.outer(profile, profile)
    return np.asarray(footprint / footprint.sum())


def center_surround(
    radius: int, center: float, surround: float, opposition: float, blur: float
) -> NDArray[np.float64]:
    """Difference of Gaussians behind the blur of the photoreceptors, cut to a square.

    Parameters
    ----------
    radius
        Pixels from the middle to the edge.
    center, surround, blur
        Standard deviations in pixels; the blur reaches one pixel.
    opposition
        Weight of the surround; the footprint sums to `1 - opposition`.

    Returns
    -------
    numpy.ndarray
        Shape (2 radius + 1, 2 radius + 1).

    Examples
    --------
    >>> round(float(center_surround(7, 1.0, 3.0, 0.75, 0.5).sum()), 6)
    0.25
    """
    field = gaussian(radius - 1, center) - opposition * gaussian(radius - 1, surround)
    return np.asarray(signal.convolve2d(field, gaussian(1, blur)))


def place(
    footprint: NDArray[np.float64], positions: NDArray[np.int_], size: int
) -> NDArray[np.float32]:
    """Matrix that applies one footprint at many positions of a square frame.

    Parameters
    ----------
    footprint
        Square of odd side.
    positions
        Middle pixels (position, 2) as (y, x); the footprint must fit into the frame.
    size
        Side of the frame.

    Returns
    -------
    numpy.ndarray
        Shape (size * size, position), float32: `frame.reshape(-1) @ matrix`.

    Examples
    --------
    >>> place(np.eye(1), np.array([[0, 1]]), 2).ravel().tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    radius = len(footprint) // 2
    matrix = np.zeros((len(positions), size, size), dtype=np.float32)
    for frame, (y, x) in zip(matrix, positions, strict=True):
        frame[y - radius : y + radius + 1, x - radius : x + radius + 1] = footprint
    return matrix.reshape(len(positions), -1).T


def pool(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64], sigma: float, radius: float
) -> NDArray[np.float32]:
    """Gaussian weights from cells at `inputs` to cells at `outputs`, zero beyond a square.

    Parameters
    ----------
    inputs, outputs
        Positions (cell, 2) in pixels.
    sigma
        Standard deviation in pixels.
    radius
        Half the side of the square in pixels.

    Returns
    -------
    numpy.ndarray
        Shape (input, output), float32; the weights to each output sum to 1.

    Examples
    --------
    >>> pool(np.zeros((2, 2)), np.zeros((1, 2)), 1.0, 5.0).tolist()
    [[0.5], [0.5]]
    """
    distance = inputs[:, None, :] - outputs[None, :, :]
    weight = np.exp(-0.5 * (distance**2).sum(-1) / sigma**2)
    weight *= np.abs(distance).max(-1) <= radius
    return np.asarray(weight / weight.sum(0), dtype=np.float32)


def filter_past(values: NDArray[np.float32], kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    """Filter every column with a causal kernel; before the first row everything is zero.

    Parameters
    ----------
    values
        Shape (time, column).
    kernel
        Shape (lag,), the newest first.

    Returns
    -------
    numpy.ndarray
        Shape (time, column), float32.

    Examples
    --------
    >>> filter_past(np.float32([[1], [0], [0]]), np.array([0.5, 0.25])).ravel().tolist()
    [0.5, 0.25, 0.0]
    """
    past = kernel.astype(np.float32)[:, None]
    return np.asarray(signal.oaconvolve(values, past, axes=0)[: len(values)], dtype=np.float32)
