"""Static output nonlinearities of model cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINY = 1e-3
"""Rate in Hz added inside of the logarithm of the Poisson likelihood."""
STEEPEST = 20.0
"""Largest slope, in units of the drive's standard deviation."""


@dataclass(frozen=True)
class Softplus:
    """`rate = gain * log(1 + exp(slope * (drive - threshold)))`."""

    gain: float  # in Hz
    slope: float  # per unit of the drive
    threshold: float  # drive at which the rate is gain * log 2

    def __call__(self, drive: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rates in Hz."""
        return self.gain * np.logaddexp(0, self.slope * (drive - self.threshold))


def fit_softplus(drive: NDArray[np.float64], rate: NDArray[np.floating]) -> Softplus:
    """Fit a softplus to drive and rate (time,) by maximum Poisson likelihood."""
    spread, level = float(drive.std()), float(rate.mean())
    # a constant rate where the drive is constant or nothing was fired
    if not spread > 0 or not level > 0:
        return Softplus(level / np.log(2), 0.0, 0.0)
    scaled, middle = (drive - drive.mean()) / spread, float(drive.mean())
    # Rates in units of their mean: one start and one tolerance for all cells.
    result = minimize(
        _loss,
        np.array([1.0, 0.7, 1.0]),
        args=(scaled, np.asarray(rate, dtype=np.float64) / level, TINY / level),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-12, 12), (-5, np.log(STEEPEST)), (-10, 10)],
    )
    gain, slope = (float(x) for x in np.exp(result.x[:2]))
    threshold = float(result.x[2])
    return Softplus(gain * level, slope / spread, middle + threshold * spread)


def _loss(
    parameters: NDArray[np.float64],
    drive: NDArray[np.float64],
    rate: NDArray[np.float64],
    tiny: float,
) -> tuple[float, NDArray[np.float64]]:
    """Mean of r - n log r, r being expected and n measured, and its gradient."""
    gain, slope, threshold = np.exp(parameters[0]), np.exp(parameters[1]), parameters[2]
    inner = slope * (drive - threshold)
    expected = gain * np.logaddexp(0, inner)
    error = 1 - rate / (expected + tiny)
    inward = error * gain * expit(inner)
    gradient = [(error * expected).mean(), (inward * inner).mean(), -slope * inward.mean()]
    return float((expected - rate * np.log(expected + tiny)).mean()), np.array(gradient)
