"""Proportions of images that are classified rightly: intervals, resampling, areas under curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Numbers = NDArray[np.float64]


def wilson_interval(
    proportion: ArrayLike, count: ArrayLike, confidence: float = 0.95
) -> tuple[Numbers, Numbers]:
    """Wilson's score interval of a proportion (Wilson 1927).

    With z the normal quantile, p the proportion of n: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n +
    z^2 / 4n^2)) / (1 + z^2 / n). Unlike a bootstrap it has a width where all or none are right.

    Parameters
    ----------
    proportion
        Of any shape, from 0 to 1; a mean over draws may lie between the multiples of 1/n.
    count
        Number of images, to be broadcast to it.
    confidence
        Of the interval.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper end, each of the shape of `proportion`.

    Examples
    --------
    >>> [round(float(end), 3) for end in wilson_interval(0.0, 100)]
    [0.0, 0.037]
    """
    p, n = np.asarray(proportion, np.float64), np.asarray(count, np.float64)
    z = float(ndtri(0.5 + confidence / 2))
    centre = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return np.clip((centre - half) / scale, 0, 1), np.clip((centre + half) / scale, 0, 1)


def resampled_proportions(
    right: NDArray[Any], shown: NDArray[Any], weights: NDArray[Any]
) -> Numbers:
    """Proportions of right answers among images drawn again.

    Parameters
    ----------
    right
        (..., image): in how many draws an image was shown and answered rightly.
    shown
        (image,) in how many draws it was shown.
    weights
        (resample, image): how often a resample has each image.

    Returns
    -------
    numpy.ndarray
        (..., resample); NaN where a resample has no image that was shown.

    Examples
    --------
    >>> resampled_proportions(np.array([1, 0]), np.array([1, 1]), np.array([[1, 1], [2, 0]]))
    array([0.5, 1. ])
    """
    total = weights @ np.asarray(shown, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.asarray(right, np.float64) @ weights.T) / total)


def resample_weights(
    images: int, resamples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """How often each image is drawn, with replacement, in each of several resamples.

    Parameters
    ----------
    images, resamples
        How many.
    random
        Where the draws come from.

    Returns
    -------
    numpy.ndarray
        (resample, image), each row with the sum `images`.

    Examples
    --------
    >>> resample_weights(3, 2, np.random.default_rng(0)).sum(axis=1).tolist()
    [3.0, 3.0]
    """
    return random.multinomial(images, np.full(images, 1 / images), size=resamples).astype(float)


def separation_area(
    target: NDArray[Any], off_target: NDArray[Any], share: NDArray[Any], *, ablated: bool
) -> Numbers:
    """Area between the curves of off-target and target classes, over that of off-target.

    With a = the curve of the off-target classes and b = that of the target class over the share
    of channels, by the trapezoidal rule: (integral of a - b) / (integral of a) for ablation, and
    (integral of b - a) / (integral of a) for preservation, so that more is better for both
    (CODEC fig. 6E: "the area between target and off-target curves, normalized to the off-target
    area").

    Parameters
    ----------
    target, off_target
        (..., fraction), accuracies relative to those of the unperturbed network.
    share
        (fraction,), increasing: part of the channels that is ablated, or preserved.
    ablated
        Whether this is ablation.

    Returns
    -------
    numpy.ndarray
        (...); NaN where the off-target area is zero.

    Examples
    --------
    >>> share = np.array([0.0, 0.5, 1.0])
    >>> float(separation_area(np.array([1, 0, 0.0]), np.ones(3), share, ablated=True))
    0.75
    """
    below = np.trapezoid(off_target, share, axis=-1)
    between = below - np.trapezoid(target, share, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.where(below > 0, (between if ablated else -between) / below, np.nan)
    return np.asarray(area)
