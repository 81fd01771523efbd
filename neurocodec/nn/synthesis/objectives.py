"""Aims in a layer that have a direction and a size."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_COSINE = 0.1
"""Below it the cosine counts as this: at 0 nothing would say where to go."""


def along(activation: Tensor, direction: Tensor, power: float) -> Tensor:
    """Size along a direction, times their cosine to a power, sample by sample.

    Tense Images, eq. 5, with the cosine kept above 0, so that an activation that points away is
    not rewarded for an even power; divided by the size of the direction.
    """
    h, s = activation.flatten(1), direction.flatten(1)
    tiny = torch.finfo(h.dtype).tiny
    size = (h * s).sum(1) / s.norm(dim=1).clamp(min=tiny)
    cosine = size / h.norm(dim=1).clamp(min=tiny)
    aimed: Tensor = size * cosine.clamp(min=LEAST_COSINE) ** power
    return aimed
