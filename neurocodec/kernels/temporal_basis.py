"""Smooth functions of the lag, of which time courses of filters are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurocodec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def temporal_basis(history: int, functions: int) -> NDArray[np.float64]:
    """Orthonormal functions (function, lag), the oldest frame first, that span raised cosines."""
    if not 1 <= functions <= history:
        raise InputError(
            came=f"{functions} basis functions for a history of {history} frames",
            expected=f"between 1 and {history}",
        )
    if functions == history:
        return np.eye(history)
    # Raised cosines of the logarithm of the lag, as Pillow et al. (2008) use for receptive fields:
    # fine for the last frames, ever coarser for the past. b_i(n) = (1 + cos(clip((log(n + 1) - c_i)
    # pi / w, -pi, pi))) / 2 for n = 1 (the newest frame) to `history`, with centres c_i evenly from
    # log 2 to log(history + 2) and w twice their distance; then made orthonormal.
    phase = np.log(np.arange(history, 0, -1) + 1.0)
    centres = np.linspace(np.log(2.0), np.log(history + 2.0), max(functions, 2))[:functions]
    width = 2 * np.log((history + 2.0) / 2) / max(functions - 1, 1)
    angle = np.clip((phase - centres[:, None]) * np.pi / width, -np.pi, np.pi)
    q, _ = np.linalg.qr(0.5 * (1 + np.cos(angle)).T)
    return np.ascontiguousarray(q.T)
