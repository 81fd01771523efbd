"""Pictures of maps over the pixels of an image: signed, as a mask, and as the masked image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter

from neurocodec.errors import InputError

Floats = NDArray[np.floating[Any]]


def signed_picture(maps: ArrayLike, size: int = 1) -> Floats:
    """Maps (..., color, y, x) as one signed number for each pixel.

    The sum over color, so that the pixels still add up to what the map adds up to; then, where
    `size` is above 1, the median over a square of size by size pixels, which takes single pixels
    away and keeps edges (the sum is then only near that of the map). Beyond the border the
    nearest pixel is repeated.

    Parameters
    ----------
    maps
        Shape (..., color, y, x).
    size
        Width of the median filter in pixels, odd; 1 for none.

    Returns
    -------
    numpy.ndarray
        Shape (..., y, x), in the units of the maps.

    Raises
    ------
    InputError
        Where the width is not an odd whole number from 1.

    Examples
    --------
    >>> signed_picture([[[1.0, -2.0]], [[0.5, 1.0]]]).tolist()
    [[1.5, -1.0]]
    """
    return smoothed(_numbers(maps).sum(axis=-3), size)


def mask(
    maps: ArrayLike,
    *,
    size: int = 1,
    quantile: float = 0.99,
    contrast: float = 1.0,
    limit: ArrayLike | None = None,
) -> Floats:
    """Maps (..., color, y, x) as masks between 0 (nothing acts there) and 1.

    With s the median, over a square of size by size pixels, of abs(sum over color of the map),
    and q the value that the part `quantile` of the pixels stays below, each map by itself, a
    pixel's mask is min(1, s / q) to the power of `contrast`.

    Parameters
    ----------
    maps
        Shape (..., color, y, x).
    size
        Width of the median filter in pixels, odd; 1 for none.
    quantile
        Part of the pixels below full brightness, above 0 and at most 1.
    contrast
        Exponent, above 0: below 1 shows also what acts little, above 1 only what acts most.
    limit
        q for all maps or (...) for each, in place of the quantile.

    Returns
    -------
    numpy.ndarray
        Shape (..., y, x); 0 everywhere for a map of zeros. Where so few pixels act that the
        quantile is 0, the largest value takes its place.

    Raises
    ------
    InputError
        Where the width, the quantile or the exponent is out of range.

    Examples
    --------
    >>> mask([[[1.0, -4.0]], [[1.0, 0.0]]], quantile=1.0, contrast=2.0).tolist()
    [[0.25, 1.0]]
    """
    require_exponent(contrast)
    sizes = size_picture(maps, size)
    full = np.asarray(size_limit(sizes, quantile) if limit is None else limit)[..., None, None]
    share = np.divide(sizes, full, out=np.zeros_like(sizes), where=full > 0)
    brightness: Floats = np.clip(share, 0.0, 1.0) ** contrast
    return brightness


def size_picture(maps: ArrayLike, size: int = 1) -> Floats:
    """How much every pixel acts, whatever the sign: what a mask is made of.

    Parameters
    ----------
    maps
        Shape (..., color, y, x).
    size
        Width of the median filter in pixels, odd; 1 for none.

    Returns
    -------
    numpy.ndarray
        Shape (..., y, x): the median of abs(sum over color), not negative. The median is taken of
        the sizes, as neighbours in a map of gradients often have opposite signs.

    Examples
    --------
    >>> size_picture([[[1.0, -2.0]], [[0.5, 1.0]]]).tolist()
    [[1.5, 1.0]]
    """
    return smoothed(np.abs(_numbers(maps).sum(axis=-3)), size)


def masked_image(image: ArrayLike, mask: ArrayLike) -> Floats:
    """Image times mask: as it is where the mask is 1, black where it is 0.

    Parameters
    ----------
    image
        Shape (..., color, y, x), between 0 (black) and 1.
    mask
        Shape (..., y, x), between 0 and 1.

    Returns
    -------
    numpy.ndarray
        Shape (..., color, y, x).

    Examples
    --------
    >>> masked_image([[[0.5, 1.0]]], [[1.0, 0.25]]).tolist()
    [[[0.5, 0.25]]]
    """
    dark: Floats = _numbers(image) * np.asarray(mask)[..., None, :, :]
    return dark


def size_limit(pictures: ArrayLike, quantile: float) -> Floats:
    """Size that a part of the pixels stays within: a robust end of a scale, for each picture.

    Parameters
    ----------
    pictures
        Shape (..., y, x), of either sign.
    quantile
        Part of the pixels, above 0 and at most 1.

    Returns
    -------
    numpy.ndarray
        Shape (...): the quantile of the sizes, the largest size where that is 0.

    Raises
    ------
    InputError
        Where the quantile is out of range.

    Examples
    --------
    >>> size_limit([[0.0, -2.0, 1.0], [0.0, 0.0, 0.0]], 0.5).tolist()
    2.0
    >>> size_limit([[0.0, -2.0, 1.0]], 0.5).tolist()
    1.0
    """
    if not 0 < quantile <= 1:
        raise InputError(
            came=f"quantile={quantile!r}",
            expected="a part of the pixels, above 0 and at most 1",
            hint="quantile=0.99",
        )
    sizes = np.abs(_numbers(pictures))
    limit = np.quantile(sizes, quantile, axis=(-2, -1))
    return np.where(limit > 0, limit, sizes.max(axis=(-2, -1)))


def smoothed(pictures: ArrayLike, size: int) -> Floats:
    """Median over squares of size by size pixels, repeating the nearest pixel at the border.

    Parameters
    ----------
    pictures
        Shape (..., y, x).
    size
        Width in pixels, odd; 1 leaves the pictures as they are.

    Raises
    ------
    InputError
        Where the width is not an odd whole number from 1.

    Examples
    --------
    >>> smoothed([[0.0, 9.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], 3).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1 or not size % 2:
        raise InputError(
            came=f"a median filter of {size!r} pixels",
            expected="an odd whole number of pixels",
            hint="filter=3, or filter=1 for none",
        )
    values = _numbers(pictures)
    if size == 1:
        return values
    found: Floats = median_filter(values, size=int(size), mode="nearest", axes=(-2, -1))
    return found


def require_exponent(contrast: float) -> None:
    """Refuse an exponent of the mask that is not above 0.

    Examples
    --------
    >>> require_exponent(0.5)
    """
    if not (np.isfinite(contrast) and contrast > 0):
        raise InputError(
            came=f"contrast={contrast!r}", expected="an exponent above 0", hint="contrast=0.5"
        )


def _numbers(values: ArrayLike) -> Floats:
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
