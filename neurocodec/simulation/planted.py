"""Simulated rows with known modes: sparse, non-negative, overcomplete, correlated, noisy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError

Matrix = NDArray[np.float64]

GROUPS: Final = 8
"""Groups of modes whose share varies together from row to row."""
DENSITY: Final = 0.2
"""Part of the channels that a mode has."""


def planted_rows(
    rows: int, channels: int, modes: int, *, active: int, noise: float, seed: int
) -> tuple[Matrix, Matrix]:
    """Make rows with planted modes, x = max(z D + noise, 0).

    A mode has about a fifth of the channels, with exponential weights. Modes come in eight groups
    whose share varies from row to row, so that loadings are correlated.

    Parameters
    ----------
    rows, channels, modes
        How many of each; with more modes than channels the modes are overcomplete.
    active
        Modes of a row, at least 1 and at most `modes`; their loadings are 0.2 plus a gamma
        variable of mean 1.
    noise
        Standard deviation of the Gaussian noise, in standard deviations of all entries z D.
    seed
        Same seed, same rows.

    Returns
    -------
    rows : numpy.ndarray
        x, shape (rows, channels), at least 0, without a unit.
    modes : numpy.ndarray
        D, shape (modes, channels), at least 0, each of length 1.

    Raises
    ------
    InputError
        Where `active` is out of its range, or `noise` is negative.

    Examples
    --------
    >>> x, atoms = planted_rows(100, 8, 12, active=2, noise=0.1, seed=0)
    >>> x.shape, atoms.shape, bool(x.min() >= 0)
    ((100, 8), (12, 8), True)
    """
    if not 1 <= active <= modes or noise < 0:
        raise InputError(
            came=f"active={active}, noise={noise:g} for {modes} modes",
            expected=f"active from 1 to {modes} and noise of at least 0",
        )
    random = np.random.default_rng(seed)
    shape = (modes, channels)
    atoms = random.exponential(size=shape) * (random.random(shape) < DENSITY)
    atoms[np.arange(modes), random.integers(channels, size=modes)] += 1.0
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    group = random.integers(GROUPS, size=modes)
    share = random.gamma(1.0, size=(rows, GROUPS))[:, group]
    # Gumbel trick: the `active` largest keys are a weighted draw without replacement
    chosen = np.argsort(-(np.log(share) + random.gumbel(size=share.shape)), axis=1)[:, :active]
    loadings = np.zeros((rows, modes))
    strength = 0.2 + random.gamma(4.0, 0.25, size=chosen.shape)
    np.put_along_axis(loadings, chosen, strength, axis=1)
    clean = loadings @ atoms
    return np.maximum(clean + noise * clean.std() * random.standard_normal(clean.shape), 0.0), atoms
