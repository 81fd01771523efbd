"""Pictures that people can look at, of images as a network takes them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.network import Preprocessing

SHADE: Final = (255, 102, 0)
"""Of 255: a picture by which it is seen whether each color is linear and stays in its place."""
TOLERANCE: Final = 0.02
"""Of the range from black to white."""

Levels = tuple[NDArray[np.float64], NDArray[np.float64]]


def pictures(images: xr.DataArray, preprocessing: Preprocessing | None = None) -> xr.DataArray:
    """`picture` (stimulus, color, y, x): images with colors from 0 (black) to 1 (white) again."""
    # What becomes of a black and a white picture in the same preprocessing are the ends of the
    # range, color by color: (image - black) / (white - black). Where not each color is linear, or
    # the images do not fit into that range (another preprocessing made them), each image is scaled
    # from its least value to its largest; `comment` says which.
    images = labels.require_dims(images, (v.STIMULUS, v.COLOR, v.Y, v.X), "images")
    values = np.asarray(images.values, dtype=np.float64)
    made, how = _unnormalised(values, preprocessing), "normalisation undone"
    if made is None:
        made, how = _stretched(values), "scaled from the least to the largest value of each image"
    return labels.labelled(
        made.clip(0, 1).astype(np.float32),
        tuple(map(str, images.dims)),
        {str(k): c.variable for k, c in images.coords.items()},
        name="picture",
        comment=how,
    )


def _unnormalised(
    values: NDArray[np.float64], preprocessing: Preprocessing | None
) -> NDArray[np.float64] | None:
    levels = None if preprocessing is None else _levels(preprocessing, values.shape[1:])
    if levels is None:
        return None
    black, white = (level[:, None, None] for level in levels)
    made = (values - black) / (white - black)
    fits = made.min(initial=0) >= -TOLERANCE and made.max(initial=1) <= 1 + TOLERANCE  # or none
    return np.asarray(made) if fits else None


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    axes = (1, 2, 3)
    low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
    return np.asarray((values - low) / np.where(high > low, high - low, 1.0))


def _levels(preprocessing: Preprocessing, shape: tuple[int, ...]) -> Levels | None:
    """What becomes of black and of white (color); None where not all colors are linear."""
    probe = SHADE if shape[0] == len(SHADE) else SHADE[1:2] * 3  # of one color: a grey picture
    black, white, probed = (
        _shade(preprocessing, shade, shape) for shade in ((0,) * 3, (255,) * 3, probe)
    )
    if black is None or white is None or probed is None or (black == white).any():
        return None
    missed = (probed - black) / (white - black) - np.divide(probe[: shape[0]], 255)
    return (black, white) if np.abs(missed).max() < TOLERANCE else None


def _shade(
    preprocessing: Preprocessing, shade: tuple[int, ...], shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """What becomes of a picture of one color (color); None where it does not stay one."""
    from PIL import Image  # noqa: PLC0415 - an extra

    made: Any = preprocessing(Image.new("RGB", (shape[-1], shape[-2]), shade))
    values = np.asarray(made, dtype=np.float64)
    if values.shape != shape:
        return None
    flat = values.reshape(len(values), -1)
    even = np.allclose(flat, flat[:, :1], atol=1e-4)
    return np.asarray(flat[:, 0]) if even else None
