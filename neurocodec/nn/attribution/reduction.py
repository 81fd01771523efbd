"""From maps to one number per channel: sums over positions, split by sign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from neurocodec.nn.device import widest

Split = Literal["before", "after"]
"""Signs apart at each position, before the sum (CODEC sec. 3), or of the sum, after it (eq. 34)."""

SLICE = 2**18
"""Elements that are worked on at once on the CPU, so that intermediates stay in its cache."""


def slices(values: Tensor) -> Iterator[slice]:
    """Cut the sample axis into runs small enough for the CPU's cache; one run on a GPU."""
    rows = len(values)
    size = rows if values.is_cuda else max(1, SLICE * rows // max(1, values.numel()))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def sum_positions(values: Tensor) -> Tensor:
    """Sum (sample, channel, positions...) over positions (CODEC eq. 33)."""
    return values.flatten(2).sum(2) if values.ndim > 2 else values


def split_sign(values: Tensor, split: Split = "before") -> Tensor:
    """Sum over positions by sign: (sample, sign, channel), the excitatory part (>= 0) first."""
    if split == "after":
        values = sum_positions(values)
    parts = [
        torch.stack([sum_positions(v.clamp(min=0)), sum_positions(v.clamp(max=0))], dim=1)
        for v in (values[s] for s in slices(values))
    ]
    return torch.cat(parts)


class Tension(NamedTuple):
    """Sums over the units of a layer, in double precision, and over its channels alone."""

    excitation: Tensor  # (sample,), of what is above 0
    inhibition: Tensor  # (sample,), of the size of what is below 0
    norm: Tensor  # (sample,), Euclidean
    maps: Tensor  # (sample, sign, positions...), both signs as sizes


def tension_of(values: Tensor) -> Tension:
    """Excitation and inhibition of (sample, channel, positions...) (Tense Images eq. 2, 3)."""
    parts = []
    for one in (values[s] for s in slices(values)):
        positive, negative = one.clamp(min=0), (-one).clamp(min=0)
        maps = torch.stack([positive.sum(1), negative.sum(1)], 1)
        kind = widest(one.device)
        plus, minus = (x.flatten(1).sum(1, dtype=kind) for x in (positive, negative))
        squares = one.flatten(1).to(kind).square().sum(1)
        parts.append(Tension(plus, minus, squares.sqrt(), maps))
    return Tension(*(torch.cat(x) for x in zip(*parts, strict=True)))
