"""Space-time separable components of receptive fields, from the lag-by-lag Gram matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from neurocodec.arguments import is_whole
from neurocodec.errors import InputError

RECENT = 0.5
"""The newest lag at which a time course reaches this part of its maximum tells its sign."""


class Components(NamedTuple):
    """Separable components of fields, the strongest first."""

    temporal: NDArray[np.floating]  # (..., component, lag), of norm 1, positive in its recent phase
    spatial: NDArray[np.floating]  # (..., component, y, x), with the amplitude
    energy_share: NDArray[np.floating]  # (..., component): |u'F|^2 / |F|^2; 0 for a field of zeros


def separable_components(fields: ArrayLike, rank: int) -> Components:
    """Split fields (..., lag, y, x) into products of a time course and a map: truncated SVD."""
    values = np.asarray(fields)
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    *rest, lags, height, width = values.shape
    require_rank(rank, lags)
    flat = values.reshape(*rest, lags, height * width)
    # courses u are eigenvectors of the small matrix F F', F being the field as (lag, pixels); their
    # maps are u'F
    temporal, share = leading(flat @ np.swapaxes(flat, -1, -2), rank)
    spatial = (temporal @ flat).reshape(*rest, rank, height, width)
    return Components(temporal, spatial, share)


def leading(
    gram: NDArray[np.floating], rank: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Leading eigenvectors (..., component, lag) of Gram matrices, and shares of the trace."""
    lags = gram.shape[-1]
    matrices = gram.reshape(-1, lags, lags)
    energy, courses = np.empty((len(matrices), rank)), np.empty((len(matrices), rank, lags))
    for i, matrix in enumerate(matrices):
        # only the leading vectors: half of the time of all, as numpy.linalg.eigh finds them
        found = eigh(matrix, subset_by_index=(lags - rank, lags - 1), check_finite=False)
        energy[i], courses[i] = found[0][::-1], found[1].T[::-1]
    total = np.trace(matrices, axis1=1, axis2=2)[:, None]
    share = np.divide(np.maximum(energy, 0), total, out=np.zeros_like(energy), where=total > 0)
    # so that light in the recent past excites where the map is positive (ON) and inhibits where it
    # is negative (OFF)
    courses *= recent_sign(courses)[..., None]
    shape = gram.shape[:-2]
    temporal = courses.reshape(*shape, rank, lags).astype(gram.dtype)
    return temporal, share.reshape(*shape, rank).astype(gram.dtype)


def recent_sign(courses: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sign (1 or -1) of the newest large value of time courses (..., lag), the newest last."""
    size = np.abs(courses)
    large = size >= RECENT * size.max(axis=-1, keepdims=True)
    newest = courses.shape[-1] - 1 - np.argmax(large[..., ::-1], axis=-1)
    value = np.take_along_axis(courses, newest[..., None], axis=-1)[..., 0]
    return np.where(value < 0, -1, 1).astype(courses.dtype)


def require_rank(rank: int, lags: int) -> None:
    """Refuse a rank that is no whole number from 1 to the number of lags."""
    if not is_whole(rank) or not 1 <= rank <= lags:
        raise InputError(
            came=f"rank={rank!r}",
            expected=f"a whole number from 1 to {lags}, the number of lags",
            hint="rank=1, or rank=None for the whole fields",
        )
