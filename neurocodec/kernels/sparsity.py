"""How few entries make a vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hoyer(values: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Hoyer sparsity, (sqrt(n) - |v|_1 / |v|_2) / (sqrt(n) - 1), of vectors of n entries.

    Hoyer (2004), Non-negative matrix factorization with sparseness constraints, JMLR 5, sec. 3.1.

    Parameters
    ----------
    values
        The vectors lie along `axis`.
    axis
        Of the entries.

    Returns
    -------
    numpy.ndarray
        0 where all entries have the same size, 1 where a single one is not zero; 1 for vectors of
        one entry, NaN where all entries are zero.

    Examples
    --------
    >>> hoyer([[1.0, 1.0], [0.0, 3.0]]).round(6).tolist()
    [0.0, 1.0]
    """
    v = np.abs(np.asarray(values, dtype=np.float64))
    n = v.shape[axis]
    l1, l2 = v.sum(axis=axis), np.sqrt((v**2).sum(axis=axis))
    ratio = l1 / np.where(l2 > 0, l2, np.nan)
    if n == 1:
        return np.asarray(ratio)
    return np.asarray(np.clip((np.sqrt(n) - ratio) / (np.sqrt(n) - 1), 0.0, 1.0))
