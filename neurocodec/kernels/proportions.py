"""Proportions of images that are classified rightly: intervals, resampling, areas under curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student


def wilson_interval(
    proportion: ArrayLike,
    count: ArrayLike,
    confidence: float = 0.95,
    *,
    spread: ArrayLike = 0.0,  # variance of the proportion that comes on top of that of the images
    freedom: ArrayLike = 1.0,  # degrees of freedom from which the spread is known
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper end of Wilson's score interval of proportions of `count` images."""
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) with z the normal
    # quantile (Wilson 1927). Unlike a bootstrap it has a width where all or none are right; p may
    # be a mean over draws, between the multiples of 1/n. What comes on top is as if there were
    # fewer images (Kish 1965, Survey sampling), and z Student's t with the degrees of freedom
    # (v + s)^2 / (s^2 / f) of a variance v that is known and s that is not (Satterthwaite 1946).
    p, n = np.asarray(proportion, np.float64), np.asarray(count, np.float64)
    top, known = np.asarray(spread, np.float64), p * (1 - p) / n
    both = known + top
    few, own = top > 0, np.asarray(freedom, np.float64)
    n = np.where(few, p * (1 - p) / np.where(few, both, 1.0), n)
    degrees = np.where(few, own * (both / np.where(few, top, 1.0)) ** 2, np.inf)
    z = student.ppf(0.5 + confidence / 2, degrees)
    # with all or none right there are no fewer images
    n = np.where(n > 0, n, count)
    centre = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return np.clip((centre - half) / scale, 0, 1), np.clip((centre + half) / scale, 0, 1)


def resampled_proportions(
    right: NDArray[Any],  # (..., image): in how many draws it was shown and answered rightly
    shown: NDArray[Any],  # (image,): in how many draws it was shown
    weights: NDArray[Any],  # (resample, image): how often a resample has it
) -> NDArray[np.float64]:
    """Proportions (..., resample) of right answers among images drawn again."""
    total = weights @ np.asarray(shown, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.asarray(right, np.float64) @ weights.T) / total)


def resample_weights(
    images: int, resamples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """How often each image is drawn, with replacement, in each resample (resample, image)."""
    return random.multinomial(images, np.full(images, 1 / images), size=resamples).astype(float)


def separation_area(
    target: NDArray[Any],  # (..., fraction): accuracies relative to the unperturbed network's
    off_target: NDArray[Any],
    share: NDArray[Any],  # (fraction,), increasing: of channels ablated, or preserved
    *,
    ablated: bool,
) -> NDArray[np.float64]:
    """Area between the curves of off-target and target classes, over that of off-target."""
    # CODEC fig. 6E ("the area between target and off-target curves, normalized to the off-target
    # area"), of the sign for which more is better: target below off-target when channels are
    # ablated, above it when they alone are preserved
    below = np.trapezoid(off_target, share, axis=-1)
    between = below - np.trapezoid(target, share, axis=-1)
    return _over(between if ablated else -between, below)


def separation_index(
    target: NDArray[Any],  # (..., fraction), as `separation_area` takes them
    off_target: NDArray[Any],
    share: NDArray[Any],
    *,
    ablated: bool,
) -> NDArray[np.float64]:
    """Area between the curves over the sum of the areas under both: from -1 to 1."""
    # of preservation, the area over that of off-target has no upper end: where nothing is left of
    # other classes it is a number over nearly nothing
    off, own = (np.trapezoid(curve, share, axis=-1) for curve in (off_target, target))
    return _over(off - own if ablated else own - off, off + own)


def _over(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Quotient; NaN where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))
