"""Aims in a layer that have a direction and a size."""

from __future__ import annotations

import torch
from torch import Tensor

ALIKE = 6.0
"""Power of the cosine of pictures that are to be alike in both signs."""
ENOUGH = 2.0
"""Times a mean attribution at which half of what size can add is reached."""
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


def by_own(own: Tensor, activation: Tensor, goals: Tensor, power: float) -> Tensor:
    """`along` or `alike` in what a layer itself contributes; goals (sample, part, ...).

    Where nothing contributes yet, as behind a ReLU that is silent, the activation takes its place.
    """
    moved = (own != 0).flatten(1).any(1)
    aimed = along(own, goals[:, 0], power) if goals.shape[1] == 1 else alike(own, goals)
    return torch.where(moved, aimed, along(activation, goals.sum(1), power))


def alike(own: Tensor, goals: Tensor) -> Tensor:
    """How like an attribution is to a mean one, whose signs (sample, sign, ...) are apart.

    A high power of the cosine times a size that saturates: else ascent finds pictures that drive
    the target to its limit by a part of what excites, at the price of all the rest.
    """
    apart = torch.stack([own.clamp(min=0), (-own).clamp(min=0)], 1).flatten(1)
    wanted = goals.flatten(1)
    tiny = torch.finfo(own.dtype).tiny
    length = wanted.norm(dim=1).clamp(min=tiny)
    size = (apart * wanted).sum(1) / length
    cosine = size / apart.norm(dim=1).clamp(min=tiny)
    relative = size / length
    aimed: Tensor = relative / (relative + ENOUGH) * cosine.clamp(min=LEAST_COSINE) ** ALIKE
    return aimed
