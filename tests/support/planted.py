"""Planted rows under the name that tests import, and how well their modes were found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from neurocodec.simulation.planted import planted_rows

__all__ = ["matched_cosine", "planted_rows"]

Matrix = NDArray[np.float64]


def matched_cosine(found: Matrix, true: Matrix) -> Matrix:
    """Cosine of each true mode with the found mode that the Hungarian method gives it."""
    left, right = (
        m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-12) for m in (true, found)
    )
    cosine: Matrix = left @ right.T
    matched: Matrix = cosine[linear_sum_assignment(-cosine)]
    return matched
