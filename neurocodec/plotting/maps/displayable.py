"""Images that a network takes, made into images that can be looked at."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.errors import InputError
from neurocodec.network import Preprocessing

ROUNDING: Final = 0.02
"""How far beyond 0 and 1 an image may reach by interpolation; the rest is cut off."""


def displayable(
    images: xr.DataArray, preprocessing: Preprocessing | None = None
) -> tuple[xr.DataArray, str]:
    """Images (..., color, y, x), 3 colors from 0 to 1, and how they were made, for the caption."""
    taken = _in_order(images)
    values = np.asarray(taken.values)
    how = ""
    if np.issubdtype(values.dtype, np.integer):  # from 0 to 255
        values = values / 255
    elif preprocessing is not None or not _seems_displayable(values):  # undone, or stretched
        flat = values.reshape(-1, *values.shape[-3:])
        known = np.isfinite(flat).all(axis=(1, 2, 3))
        made = pictures(
            xr.DataArray(flat[known], dims=(v.STIMULUS, *taken.dims[-3:])), preprocessing
        )
        flat = np.full(flat.shape, np.nan)
        flat[known] = made.values
        values, how = flat.reshape(values.shape), f"Images: {made.attrs['comment']}."
    return _colored(taken, np.clip(values, 0.0, 1.0)), how


def require_images(images: xr.DataArray) -> None:
    """Refuse what is no array over y and x."""
    dims = getattr(images, "dims", ())
    if not isinstance(images, xr.DataArray) or not {v.Y, v.X} <= set(dims):
        raise InputError(
            came=f"images of type {type(images).__name__} with dims {tuple(map(str, dims))}",
            expected="an xarray.DataArray over (..., color, y, x) or (..., y, x)",
            hint="nc.images(folder, net), or xr.DataArray(values, dims=('stimulus', 'color',"
            " 'y', 'x'))",
        )


def _in_order(images: xr.DataArray) -> xr.DataArray:
    require_images(images)
    if v.COLOR not in images.dims:
        images = images.expand_dims(v.COLOR)
    if images.sizes[v.COLOR] not in (1, 3):
        raise InputError(
            came=f"images with {images.sizes[v.COLOR]} colors", expected="3 colors, or 1"
        )
    return images.transpose(..., v.COLOR, v.Y, v.X)


def _seems_displayable(values: NDArray[np.floating[Any]]) -> bool:
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() >= -ROUNDING and known.max() <= 1 + ROUNDING)


def _colored(images: xr.DataArray, values: NDArray[np.floating[Any]]) -> xr.DataArray:
    """Copy of `images` with other values and three colors."""
    shown = images.drop_vars(v.COLOR, errors="ignore").copy(data=values)
    if shown.sizes[v.COLOR] == 1:
        shown = xr.concat([shown] * 3, dim=v.COLOR)
    return shown.transpose(*images.dims)
