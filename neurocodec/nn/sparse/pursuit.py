"""Orthogonal matching pursuit: codes of a fixed number of modes, chosen one after another."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.active import Codes
from neurocodec.nn.sparse.coding import descend, largest_eigenvalue

_TINY: Final = 1e-8
_CLAMPED_STEPS: Final = 200
"""Steps for rows on which least squares alone would be negative."""


def pursue(
    rows: Tensor,  # x, (rows, channels)
    atoms: Tensor,  # D, (modes, channels), of norm 1
    active: int,  # modes of a row; fewer where none is left that would lessen its error
    l2: float = 0.0,
) -> Codes:
    """Codes z >= 0 of few modes: the one that goes along best with what is left, then all again."""
    # Pati et al. 1993; non-negative as in Bruckstein et al. 2008 (doi:10.1109/TIT.2008.929920).
    # For all rows at once on products of the modes, as in Rubinstein et al. 2008, without factors.
    gram, drive = atoms @ atoms.T, rows @ atoms.T
    codes = Codes.none(len(rows), min(active, len(atoms)), rows.device)
    index, value = codes.index.long(), codes.value
    chosen = torch.zeros_like(drive, dtype=torch.bool)
    slack = drive.clone()
    floor = _TINY + 1e-6 * torch.linalg.vector_norm(rows, dim=1)
    for count in range(1, index.shape[1] + 1):
        best, place = slack.masked_fill(chosen, -torch.inf).max(dim=1)
        goes = best > floor
        index[:, count - 1] = place
        chosen[goes] = chosen[goes].scatter(1, place[goes, None], value=True)
        some = index[goes, :count]
        inner, goal = gram[some[:, :, None], some[:, None, :]], drive[goes].gather(1, some)
        value[goes, :count] = _solved(inner, goal, l2)
        slack = drive - Codes(index, value).dense(len(atoms)) @ gram
    return Codes(index, value)


def _solved(inner: Tensor, goal: Tensor, l2: float) -> Tensor:
    """Argmin over z >= 0 of 1/2 z (G + l2) z' - b z', for many small problems."""
    inner = inner.clone()
    inner.diagonal(dim1=1, dim2=2).add_(l2 + _TINY)
    found: Tensor = torch.linalg.lstsq(inner, goal[..., None]).solution[..., 0]
    wrong = (found < 0).any(dim=1)
    if wrong.any():
        some, start = inner[wrong], found[wrong, None].clamp_min(0.0)
        bound = largest_eigenvalue(some)[:, None, None].clamp_min(_TINY)
        drive = goal[wrong, None]
        steps = _CLAMPED_STEPS
        better = descend(drive, some, l2, bound, start, support=None, iterations=steps)
        found[wrong] = better[:, 0]
    return found
