"""How the excitatory and the inhibitory parts of contributions go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FLAT = 1e-24
_ROUNDING = 1e-12


def row_correlation(parts: Array) -> Array:
    """Pearson correlation over channels of the two parts of each row.

    Parameters
    ----------
    parts
        (rows, 2, channels).

    Returns
    -------
    numpy.ndarray
        (rows,); NaN where a part is the same for all channels.

    Examples
    --------
    >>> row_correlation(np.array([[[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]]])).round(12).tolist()
    [1.0]
    """
    centred = parts - parts.mean(axis=-1, keepdims=True)
    squares, energy = (centred**2).sum(axis=-1), (parts**2).sum(axis=-1)
    norms = np.sqrt(np.where(squares > _FLAT * energy, squares, np.nan))
    product = (centred[:, 0] * centred[:, 1]).sum(axis=-1)
    return np.asarray(np.clip(product / norms[:, 0] / norms[:, 1], -1.0, 1.0))


@dataclass(frozen=True)
class WeightedParts:
    """Means and products of the two parts of each channel, over weighted rows in blocks.

    Parameters
    ----------
    weight
        Sum of weights (weightings,).
    means
        (weightings, 2, channels).
    products
        Sums of squared deviations of both parts, and of their products (weightings, 3, channels).

    Examples
    --------
    >>> parts = np.array([[[1.0], [3.0]], [[2.0], [1.0]], [[3.0], [-1.0]]])
    >>> WeightedParts.of(parts, np.ones((1, 3))).correlation.round(12).tolist()
    [[-1.0]]
    """

    weight: Array
    means: Array
    products: Array

    @classmethod
    def of(cls, parts: Array, weights: Array) -> Self:
        """Sums over rows (rows, 2, channels) with weights (weightings, rows)."""
        shape = (len(weights), 3, parts.shape[2])
        weight = weights.sum(axis=1)
        safe = np.where(weight > 0, weight, 1.0)[:, None, None]
        centre = parts.mean(axis=0)
        x = parts - centre
        steps = (weights @ x.reshape(len(x), -1)).reshape(len(weights), *x.shape[1:]) / safe
        pairs = np.stack([x[:, 0] ** 2, x[:, 1] ** 2, x[:, 0] * x[:, 1]], axis=1)
        raw = (weights @ pairs.reshape(len(x), -1)).reshape(shape)
        products = raw - _pairs(steps) * weight[:, None, None]
        squares = products[:, :2]
        squares[squares <= _ROUNDING * raw[:, :2]] = 0.0  # a channel that is constant where drawn
        return cls(weight, centre + steps, products)

    def merge(self, other: WeightedParts) -> WeightedParts:
        """Sums over the rows of both (Chan, Golub and LeVeque 1983)."""
        total = self.weight + other.weight
        part = other.weight / np.where(total > 0, total, 1.0)
        step = other.means - self.means
        between = _pairs(step) * (self.weight * part)[:, None, None]
        means = self.means + step * part[:, None, None]
        return WeightedParts(total, means, self.products + other.products + between)

    @property
    def correlation(self) -> Array:
        """Pearson correlation over rows of the two parts of each channel (weightings, channels)."""
        squares = self.products[:, :2]
        energy = squares + self.weight[:, None, None] * self.means**2
        norms = np.sqrt(np.where(squares > _FLAT * energy, squares, np.nan))
        return np.clip(self.products[:, 2] / norms[:, 0] / norms[:, 1], -1.0, 1.0)


def _pairs(x: Array) -> Array:
    return np.stack([x[:, 0] ** 2, x[:, 1] ** 2, x[:, 0] * x[:, 1]], axis=1)
