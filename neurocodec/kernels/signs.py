"""How the excitatory and the inhibitory parts of contributions go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-24
"""Squares about the mean below this part of all squares are rounding: a part is constant."""
_ROUNDING = 1e-12
"""Squares about the mean of a block below this part of all squares are rounding noise."""


def row_correlation(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation over channels of the two parts (rows, 2, channels); NaN for flat ones."""
    centred = parts - parts.mean(axis=-1, keepdims=True)
    squares, energy = (centred**2).sum(axis=-1), (parts**2).sum(axis=-1)
    norms = np.sqrt(np.where(squares > _FLAT * energy, squares, np.nan))
    product = (centred[:, 0] * centred[:, 1]).sum(axis=-1)
    return np.asarray(np.clip(product / norms[:, 0] / norms[:, 1], -1.0, 1.0))


@dataclass(frozen=True)
class WeightedParts:
    """Means and products of the two parts of each channel, over weighted rows in blocks."""

    weight: NDArray[np.float64]  # sum of weights (weightings,)
    means: NDArray[np.float64]  # (weightings, 2, channels)
    products: NDArray[np.float64]  # sums of `_pairs` of deviations (weightings, 3, channels)

    @classmethod
    def of(cls, parts: NDArray[np.float64], weights: NDArray[np.float64]) -> Self:
        """Sums over rows (rows, 2, channels) with weights (weightings, rows)."""
        shape = (len(weights), 3, parts.shape[2])
        weight = weights.sum(axis=1)
        safe = np.where(weight > 0, weight, 1.0)[:, None, None]
        centre = parts.mean(axis=0)
        x = parts - centre
        steps = (weights @ x.reshape(len(x), -1)).reshape(len(weights), *x.shape[1:]) / safe
        raw = (weights @ _pairs(x).reshape(len(x), -1)).reshape(shape)
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
    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation over rows of the two parts of each channel (weightings, channels)."""
        squares = self.products[:, :2]
        energy = squares + self.weight[:, None, None] * self.means**2
        norms = np.sqrt(np.where(squares > _FLAT * energy, squares, np.nan))
        return np.clip(self.products[:, 2] / norms[:, 0] / norms[:, 1], -1.0, 1.0)


def _pairs(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squares of both parts and their product, (..., 3, channels)."""
    return np.stack([x[:, 0] ** 2, x[:, 1] ** 2, x[:, 0] * x[:, 1]], axis=1)
