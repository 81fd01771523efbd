"""Simulated rows with known modes: sparse, non-negative, overcomplete, correlated, noisy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Matrix = NDArray[np.float64]


def planted_rows(
    rows: int, channels: int, modes: int, *, active: int, noise: float, seed: int
) -> tuple[Matrix, Matrix]:
    """Rows and the modes (of norm 1) that they are made of.

    A mode has about a fifth of the channels. Modes come in eight groups whose share varies from
    row to row, so that loadings are correlated. Noise is in standard deviations of the rows.
    """
    random = np.random.default_rng(seed)
    shape = (modes, channels)
    atoms = random.exponential(size=shape) * (random.random(shape) < 0.2)
    atoms[np.arange(modes), random.integers(channels, size=modes)] += 1.0
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    group = random.integers(8, size=modes)
    share = random.gamma(1.0, size=(rows, 8))[:, group]
    # Gumbel trick: the `active` largest keys are a weighted draw without replacement
    chosen = np.argsort(-(np.log(share) + random.gumbel(size=share.shape)), axis=1)[:, :active]
    loadings = np.zeros((rows, modes))
    strength = 0.2 + random.gamma(4.0, 0.25, size=chosen.shape)
    np.put_along_axis(loadings, chosen, strength, axis=1)
    clean = loadings @ atoms
    return np.maximum(clean + noise * clean.std() * random.standard_normal(clean.shape), 0.0), atoms


def matched_cosine(found: Matrix, true: Matrix) -> Matrix:
    """Cosine of each true mode with the found mode that the Hungarian method gives it."""
    left, right = (
        m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-12) for m in (true, found)
    )
    cosine: Matrix = left @ right.T
    matched: Matrix = cosine[linear_sum_assignment(-cosine)]
    return matched
