"""Pictures of maps over the pixels of an image: signed, as a mask, and as the masked image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter

from neurocodec.arguments import is_whole
from neurocodec.errors import InputError


def signed_picture(maps: ArrayLike, size: int = 1) -> NDArray[np.floating]:
    """Maps (..., color, y, x) as one signed number for each pixel: the sum over color."""
    # so that pixels still add up to what the map adds up to; after a median only nearly
    return smoothed(_numbers(maps).sum(axis=-3), size)


def mask(
    maps: ArrayLike,
    *,
    size: int = 1,
    quantile: float = 0.99,
    contrast: float = 1.0,  # below 1 shows also what acts little
    limit: ArrayLike | None = None,  # for all maps, or (...) for each
) -> NDArray[np.floating]:
    """Maps (..., color, y, x) as masks (..., y, x) between 0 (nothing acts there) and 1."""
    require_exponent(contrast)
    sizes = size_picture(maps, size)
    full = np.asarray(size_limit(sizes, quantile) if limit is None else limit)[..., None, None]
    # min(1, s / q)^contrast, s being the size of a pixel and q `limit` or the quantile of its map
    share = np.divide(sizes, full, out=np.zeros_like(sizes), where=full > 0)
    brightness: NDArray[np.floating] = np.clip(share, 0.0, 1.0) ** contrast
    return brightness


def size_picture(maps: ArrayLike, size: int = 1) -> NDArray[np.floating]:
    """How much every pixel (..., y, x) acts, whatever the sign: what a mask is made of."""
    # the median of sizes, as neighbours in a map of gradients often have opposite signs
    return smoothed(np.abs(_numbers(maps).sum(axis=-3)), size)


def masked_image(image: ArrayLike, mask: ArrayLike) -> NDArray[np.floating]:
    """Image (..., color, y, x) times mask (..., y, x): black where the mask is 0."""
    dark: NDArray[np.floating] = _numbers(image) * np.asarray(mask)[..., None, :, :]
    return dark


def size_limit(pictures: ArrayLike, quantile: float) -> NDArray[np.floating]:
    """Quantile of the sizes of each picture (..., y, x); the largest size where that is 0."""
    if not 0 < quantile <= 1:
        raise InputError(
            came=f"quantile={quantile!r}",
            expected="a part of the pixels, above 0 and at most 1",
            hint="quantile=0.99",
        )
    sizes = np.abs(_numbers(pictures))
    limit = np.quantile(sizes, quantile, axis=(-2, -1))
    return np.asarray(np.where(limit > 0, limit, sizes.max(axis=(-2, -1))))


def smoothed(pictures: ArrayLike, size: int) -> NDArray[np.floating]:
    """Median over squares of size by size pixels, odd, of pictures (..., y, x); 1 for none."""
    if not is_whole(size) or size < 1 or not size % 2:
        raise InputError(
            came=f"a median filter of {size!r} pixels",
            expected="an odd whole number of pixels",
            hint="filter=3, or filter=1 for none",
        )
    values = _numbers(pictures)
    if size == 1:
        return values
    # takes single pixels away and keeps edges; at the border the nearest pixel is repeated
    found: NDArray[np.floating] = median_filter(
        values, size=int(size), mode="nearest", axes=(-2, -1)
    )
    return found


def require_exponent(contrast: float) -> None:
    """Refuse an exponent of the mask that is not above 0."""
    if not (np.isfinite(contrast) and contrast > 0):
        raise InputError(
            came=f"contrast={contrast!r}", expected="an exponent above 0", hint="contrast=0.5"
        )


def _numbers(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
