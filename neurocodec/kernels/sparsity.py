"""How few entries make a vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hoyer(values: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Hoyer sparsity along `axis`: 0 for entries of one size, 1 for a single one, NaN for none."""
    # (sqrt(n) - |v|_1 / |v|_2) / (sqrt(n) - 1) for n entries: Hoyer (2004), Non-negative matrix
    # factorization with sparseness constraints, JMLR 5, sec. 3.1
    v = np.abs(np.asarray(values, dtype=np.float64))
    n = v.shape[axis]
    l1, l2 = v.sum(axis=axis), np.sqrt((v**2).sum(axis=axis))
    ratio = l1 / np.where(l2 > 0, l2, np.nan)
    if n == 1:
        return np.asarray(ratio)
    return np.asarray(np.clip((np.sqrt(n) - ratio) / (np.sqrt(n) - 1), 0.0, 1.0))
