"""Simulated rows with known modes: sparse, non-negative, overcomplete, correlated, noisy.

A mode has about a fifth of the channels, with exponential weights. Modes come in eight groups whose
share varies from row to row, so that loadings are correlated. Loadings of the active modes of a row
are 0.2 plus a gamma variable of mean 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError

GROUPS: Final = 8
"""Groups of modes whose share varies together from row to row."""
DENSITY: Final = 0.2
"""Part of the channels that a mode has."""


def planted_rows(
    rows: int,
    channels: int,
    modes: int,
    *,
    active: int,  # modes of a row
    noise: float,  # standard deviation, in those of all entries z D
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows x = max(z D + noise, 0), (rows, channels), and D, (modes, channels) of length 1."""
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
