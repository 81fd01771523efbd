"""How well autoencoders explain rows that come in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neurocodec.kernels.scores import CONSTANT
from neurocodec.nn.device import widest
from neurocodec.nn.sparse.autoencoder.model import Autoencoder

_LOADINGS: Final = 2**23
"""Loadings that are computed at a time."""


@dataclass(frozen=True)
class Reached:
    """What a fit reaches on rows; NaN where there are none."""

    loss: float  # what the fit minimises
    r2: float  # per feature, averaged over features that vary
    l0: float  # mean number of active modes of a row


@torch.no_grad()
def reached(
    model: Autoencoder,
    blocks: Iterable[Tensor],  # rows, each (fits, rows, channels)
    penalties: tuple[Tensor, Tensor],  # L1 of loadings and of the dictionary, one for each fit
) -> list[Reached]:
    """Score each fit of a stack in evaluation mode, over all rows of some blocks."""
    fits, modes, channels = model.dictionary.shape
    place = model.dictionary.device
    kind = widest(place)
    sums = torch.zeros(3, fits, channels, dtype=kind, device=place)
    scores = torch.zeros(2, fits, dtype=kind, device=place)
    count = 0
    for block in blocks:
        for rows in torch.split(block, max(1, _LOADINGS // (fits * modes)), dim=1):
            loss, loadings = model.loss(rows, *penalties)
            exact, left = rows.to(kind), (rows - model.decode(loadings)).to(kind)
            sums += torch.stack([exact.sum(1), exact.square().sum(1), left.square().sum(1)])
            active = (loadings > 0).sum(dim=-1).to(kind).sum(dim=-1)
            scores += torch.stack([rows.shape[1] * loss.to(kind), active])
            count += rows.shape[1]
    if not count:
        return [Reached(math.nan, math.nan, math.nan)] * fits
    r2 = _r2(sums / count).tolist()
    losses, l0 = (scores / count).tolist()
    return [Reached(*values) for values in zip(losses, r2, l0, strict=True)]


def _r2(means: Tensor) -> Tensor:
    """Average R2 from the mean, the mean square and the mean squared residual of each feature."""
    mean, square, left = means
    variance = square - mean.square()
    varies = variance > CONSTANT * square
    ratio = torch.where(varies, 1.0 - left / variance, torch.nan)
    return ratio.nanmean(dim=-1)
