"""How well the mean of repeated responses can be predicted at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurocodec.errors import InputError
from neurocodec.kernels.intervals import jackknife_interval, without_stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray


def signal_power(
    responses: NDArray[Any], *, repeat_axis: int = 0, axis: int = 1
) -> NDArray[np.float64]:
    """Variance over time that repeats share, without bias from noise; it can be below 0."""
    y = np.moveaxis(np.asarray(responses, dtype=np.float64), (repeat_axis, axis), (0, 1))
    n = len(y)
    if n < 2:
        raise InputError(
            came=f"{n} repeat of the responses",
            expected="at least 2, to tell what repeats from what does not",
        )
    # SP = (Var(sum_n y_n) - sum_n Var(y_n)) / (N (N - 1)) (Sahani & Linden 2003; Schoppe et al.
    # 2016, eq. 1): the mean covariance of two different repeats
    power = (y.sum(axis=0).var(axis=0) - y.var(axis=1).sum(axis=0)) / (n * (n - 1))
    return np.asarray(power)


def repeat_ceiling(
    responses: NDArray[Any], *, repeat_axis: int = 0, axis: int = 1
) -> NDArray[np.float64]:
    """Highest correlation of a model with the mean of repeats; NaN where they share nothing."""
    power = signal_power(responses, repeat_axis=repeat_axis, axis=axis)
    y = np.moveaxis(np.asarray(responses, dtype=np.float64), (repeat_axis, axis), (0, 1))
    total = y.mean(axis=0).var(axis=0)
    # CC_max = sqrt(SP / Var(mean_n y_n)) (Schoppe et al. 2016): the correlation of the true,
    # noiseless response with the mean. A model's own, divided by it, is the normalised correlation.
    shared = np.where(power > 0, power, np.nan)
    return np.asarray(
        np.sqrt(np.divide(shared, total, out=np.full_like(shared, np.nan), where=total > 0))
    )


def ceiling_interval(
    responses: NDArray[Any], confidence: float = 0.95, *, repeat_axis: int = 0, axis: int = 1
) -> NDArray[np.float64]:
    """Interval (2, ...) of the ceiling; its lower end is 0 where repeats may share nothing."""
    # of the part r of a single repeat's variance that repeats share, which may be below 0, from its
    # values without each repeat in turn (of two, without each stretch of time); the ceiling of n
    # repeats rises with it, as Var(mean) = SP (n - 1) / n + total / n: sqrt(n r / (1 + (n - 1) r))
    y = np.moveaxis(np.asarray(responses, dtype=np.float64), (repeat_axis, axis), (0, 1))
    n = len(y)
    if n > 2:
        without = [_shared(np.delete(y, i, axis=0)) for i in range(n)]
    else:
        kept = without_stretches(y.shape[1]) > 0
        without = [_shared(y[:, rows]) for rows in kept if rows.any()]
    ends = jackknife_interval(_shared(y), np.stack(without), confidence)
    part = np.clip(ends, 0.0, 1.0)
    return np.asarray(np.sqrt(n * part / (1 + (n - 1) * part)))


def _shared(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the variance of a single repeat (repeat, time, ...) that repeats share; or NaN."""
    total = y.var(axis=1).mean(axis=0)
    power = signal_power(y)
    found = np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)
    return np.asarray(found)
