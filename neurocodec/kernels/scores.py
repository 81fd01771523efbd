"""How well a reconstruction explains data: coefficients of determination, and each mode's part.

`r2_features`, `r2` and `r2_pooled` (R2) take whole arrays; `ReconstructionScores` gives the same
numbers from blocks of rows that are not kept, and `LeftOut` what is lost without each mode.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError

CONSTANT: Final = 1e-12
"""A feature is constant where its variance is at most this part of its mean square: what rounding
of float32 makes of equal values is a hundred times less, and no part of R2 should be about that."""


def r2_features(data: ArrayLike, reconstruction: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """R2 of each feature, over samples along `axis`, against its own mean; NaN where constant."""
    return _explained(*_sums_of_squares(data, reconstruction, axis))


def r2(data: ArrayLike, reconstruction: ArrayLike, axis: int = 0) -> float:
    """Mean of `r2_features` over the features that vary; NaN where none does."""
    features = r2_features(data, reconstruction, axis)
    vary = ~np.isnan(features)
    return float(features[vary].mean()) if vary.any() else float("nan")


def r2_pooled(data: ArrayLike, reconstruction: ArrayLike) -> float:
    """R2 of all entries against their one grand mean; NaN where they are constant."""
    # differences between the means of features count as explained here, unlike in `r2`
    x, y = (np.asarray(v, dtype=np.float64).ravel() for v in (data, reconstruction))
    return float(_explained(*_sums_of_squares(x, y, 0)))


def _sums_of_squares(
    data: ArrayLike, reconstruction: ArrayLike, axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual and total sums of squares; the total of a constant feature is zero."""
    x, y = (np.asarray(v, dtype=np.float64) for v in (data, reconstruction))
    if x.shape != y.shape:
        raise InputError(
            came=f"data of shape {x.shape} and a reconstruction of shape {y.shape}",
            expected="the same shape",
        )
    total = ((x - x.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)
    varies = total > CONSTANT * (x**2).sum(axis=axis)
    return ((x - y) ** 2).sum(axis=axis), np.where(varies, total, 0.0)


def _explained(residual: NDArray[np.float64], total: ArrayLike) -> NDArray[np.float64]:
    """R2 = 1 - residual / total sum of squares; NaN where the total is 0."""
    whole = np.asarray(total)
    return np.asarray(1.0 - residual / np.where(whole > 0, whole, np.nan))


class Moments:
    """Count, mean, squared deviations and range of each feature, over blocks of rows."""

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean = np.zeros(features)
        self.squares = np.zeros(features)  # sums of squared deviations from the mean
        self.low = np.full(features, np.inf)
        self.high = np.full(features, -np.inf)

    def add(self, rows: ArrayLike) -> None:
        """Take further rows, (rows, features)."""
        x = np.asarray(rows, dtype=np.float64)
        if not len(x):
            return
        # joined as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115, which
        # loses no digits where the mean is large
        total = self.count + len(x)
        mean = x.mean(axis=0)
        step = mean - self.mean
        self.squares += ((x - mean) ** 2).sum(axis=0) + step**2 * (self.count * len(x) / total)
        self.mean += step * (len(x) / total)
        self.count = total
        self.low = np.minimum(self.low, x.min(axis=0))
        self.high = np.maximum(self.high, x.max(axis=0))

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether a feature varies by more than rounding (`CONSTANT`)."""
        energy = self.squares + self.count * self.mean**2
        return np.asarray(self.squares > CONSTANT * energy)

    @property
    def pooled_squares(self) -> float:
        """Sum of squared deviations of all entries from their one grand mean."""
        if not self.count or self.high.max() == self.low.min():
            return 0.0
        between = ((self.mean - self.mean.mean()) ** 2).sum()
        return float(self.squares.sum() + self.count * between)

    @property
    def pooled_deviation(self) -> float:
        """Standard deviation over all entries."""
        return float(np.sqrt(self.pooled_squares / max(self.count * self.mean.size, 1)))


class ReconstructionScores:
    """R2 of features (`r2_features`), their mean and that of all entries, over blocks of rows."""

    def __init__(self, features: int) -> None:
        self.data = Moments(features)
        self._residual = np.zeros(features)

    def add(self, rows: NDArray[Any], made: NDArray[Any]) -> None:
        """Take further rows and what was made of them, (rows, features) each."""
        self.data.add(rows)
        self._residual += ((rows - made).astype(np.float64) ** 2).sum(axis=0)

    @property
    def r2_features(self) -> NDArray[np.float64]:
        """R2 of each feature against its own mean; NaN where it is constant."""
        return _explained(self._residual, np.where(self.data.varies, self.data.squares, 0.0))

    @property
    def r2(self) -> float:
        """Mean of `r2_features` over the features that vary; NaN where none does."""
        varies = self.data.varies
        return float(self.r2_features[varies].mean()) if varies.any() else float("nan")

    @property
    def r2_pooled(self) -> float:
        """R2 of all entries against their one grand mean; NaN where they are all the same."""
        return float(_explained(self._residual.sum(), self.data.pooled_squares))


class LeftOut:
    """How much larger the squared residual gets without each mode, over blocks of rows."""

    def __init__(self, modes: int, features: int) -> None:
        self._cross = np.zeros((modes, features))
        self._power = np.zeros(modes)

    def add(self, residual: NDArray[Any], loadings: NDArray[Any]) -> None:
        """Take the residual e (rows, features) and loadings z (rows, modes) of further rows."""
        self._cross += loadings.T @ residual
        self._power += (loadings.astype(np.float64) ** 2).sum(axis=0)

    def increase(self, dictionary: NDArray[Any]) -> NDArray[np.float64]:
        """Increase of the squared residual without each mode of D (modes, features)."""
        # of e = x - z D, when the loading of mode k alone is set to 0:
        # sum_i |e_i + z_ik D_k|^2 - |e_i|^2 = 2 D_k . sum_i z_ik e_i + |D_k|^2 sum_i z_ik^2
        atoms = np.asarray(dictionary, dtype=np.float64)
        squares = (atoms**2).sum(axis=1)
        return np.asarray(2.0 * (self._cross * atoms).sum(axis=1) + self._power * squares)
