"""Space-time separable components of receptive fields, from the lag-by-lag Gram matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from neurocodec.errors import InputError

RECENT = 0.5
"""The newest lag at which a time course reaches this part of its maximum tells its sign."""

Floats = NDArray[np.floating[Any]]


class Components(NamedTuple):
    """Separable components of fields, the strongest first."""

    temporal: Floats
    spatial: Floats
    energy_share: Floats


def separable_components(fields: ArrayLike, rank: int) -> Components:
    """Split fields into products of a time course and a map: truncated SVD over lag by space.

    The time courses are the eigenvectors of the small matrix G = F F', F being the field as (lag,
    pixels); the map of a time course u is u'F, and its share of the energy is |u'F|^2 / |F|^2.

    Parameters
    ----------
    fields
        Shape (..., lag, y, x).
    rank
        How many components, at most the number of lags.

    Returns
    -------
    Components
        `temporal` (..., component, lag) of norm 1, `spatial` (..., component, y, x) with the
        amplitude, so that the field is the sum of their products, and `energy_share` (...,
        component). A time course is positive in its recent phase (see `leading`).

    Raises
    ------
    InputError
        Where the rank is not between 1 and the number of lags.

    Examples
    --------
    >>> field = np.multiply.outer([0.6, -0.8], [[5.0, 0.0]])
    >>> found = separable_components(field, rank=1)
    >>> found.temporal.round(6).tolist(), found.spatial.round(6).tolist()
    ([[-0.6, 0.8]], [[[-5.0, 0.0]]])
    """
    values = np.asarray(fields)
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    *rest, lags, height, width = values.shape
    require_rank(rank, lags)
    flat = values.reshape(*rest, lags, height * width)
    temporal, share = leading(flat @ np.swapaxes(flat, -1, -2), rank)
    spatial = (temporal @ flat).reshape(*rest, rank, height, width)
    return Components(temporal, spatial, share)


def leading(gram: Floats, rank: int) -> tuple[Floats, Floats]:
    """Time courses and energy shares from Gram matrices: their leading eigenvectors.

    The sign is chosen so that the map has the sign of the polarity: the newest lag at which the
    time course reaches half of its largest size is positive, so that light in the recent past
    excites where the map is positive (ON) and inhibits where it is negative (OFF).

    Parameters
    ----------
    gram
        Shape (..., lag, lag).
    rank
        How many are kept.

    Returns
    -------
    temporal
        Shape (..., component, lag).
    energy_share
        Shape (..., component): eigenvalues over the trace, falling; 0 for a field of zeros.

    Examples
    --------
    >>> temporal, share = leading(np.diag([1.0, 3.0]), rank=2)
    >>> np.abs(temporal).tolist(), share.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [0.75, 0.25])
    """
    lags = gram.shape[-1]
    matrices = gram.reshape(-1, lags, lags)
    energy, courses = np.empty((len(matrices), rank)), np.empty((len(matrices), rank, lags))
    for i, matrix in enumerate(matrices):
        # only the leading vectors: half of the time of all, as numpy.linalg.eigh finds them
        found = eigh(matrix, subset_by_index=(lags - rank, lags - 1), check_finite=False)
        energy[i], courses[i] = found[0][::-1], found[1].T[::-1]
    total = np.trace(matrices, axis1=1, axis2=2)[:, None]
    share = np.divide(np.maximum(energy, 0), total, out=np.zeros_like(energy), where=total > 0)
    courses *= recent_sign(courses)[..., None]
    shape = gram.shape[:-2]
    temporal = courses.reshape(*shape, rank, lags).astype(gram.dtype)
    return temporal, share.reshape(*shape, rank).astype(gram.dtype)


def recent_sign(courses: Floats) -> Floats:
    """Sign (1 or -1) of the recent phase of time courses: of the newest large value.

    Parameters
    ----------
    courses
        Shape (..., lag), the newest last.

    Returns
    -------
    numpy.ndarray
        Shape (...).

    Examples
    --------
    >>> recent_sign(np.array([[0.0, 1.0, -0.6, 0.1], [0.0, 0.0, 0.0, 0.0]])).tolist()
    [-1.0, 1.0]
    """
    size = np.abs(courses)
    large = size >= RECENT * size.max(axis=-1, keepdims=True)
    newest = courses.shape[-1] - 1 - np.argmax(large[..., ::-1], axis=-1)
    value = np.take_along_axis(courses, newest[..., None], axis=-1)[..., 0]
    return np.where(value < 0, -1, 1).astype(courses.dtype)


def require_rank(rank: int, lags: int) -> None:
    """Refuse a rank that is no whole number from 1 to the number of lags.

    Examples
    --------
    >>> require_rank(2, 40)
    """
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or not 1 <= rank <= lags:
        raise InputError(
            came=f"rank={rank!r}",
            expected=f"a whole number from 1 to {lags}, the number of lags",
            hint="rank=1, or rank=None for the whole fields",
        )
