"""What concept vectors of a layer contribute to what comes later, on a line from their offset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from neurocodec.nn.attribution.between_layers import Part, independent
from neurocodec.nn.attribution.readings import Passes, Reading
from neurocodec.nn.capture.hooks import gradients
from neurocodec.nn.capture.layer import Layer

FIRST_STEPS: Final = 8
"""Nodes of a line that ``steps="auto"`` starts with."""
HELD: Final = 2**26
"""Bytes of sums that are held at once while a line is gone along, about."""
END: Final = 0
"""Steps of a line of which its end alone is looked at: loadings times the gradient there."""
Steps: TypeAlias = int | Literal["auto"]


@dataclass(frozen=True)
class Codes:
    """A layer's activation as an offset, a few vectors at each position, and what these leave."""

    parts: Tensor  # (sample, position, slot, channel): vectors times their loadings
    modes: Tensor  # (sample, position * slot): which vectors these are
    residual: Tensor | None  # (sample, position, channel); None where the line ends without it
    count: int  # of vectors

    @classmethod
    def of(
        cls, centred: Tensor, loadings: Tensor, modes: Tensor, vectors: Tensor, *, residual: bool
    ) -> Codes:
        """From (sample, position, channel) without the offset, and (sample, position, slot)."""
        parts = loadings[..., None] * vectors[modes]
        rest = centred - parts.sum(2) if residual else None
        return cls(parts, modes.flatten(1), rest, len(vectors))

    @property
    def total(self) -> Tensor:
        """(sample, position, channel): how far the line goes from the offset."""
        made = self.parts.sum(2)
        return made if self.residual is None else made + self.residual

    @property
    def active(self) -> Tensor:
        """(sample, vector): whether a vector is at some position."""
        filled = self.parts.any(3).flatten(1).long()
        found = filled.new_zeros((len(filled), self.count))
        return found.scatter_add_(1, self.modes, filled) > 0

    def take(self, index: Tensor) -> Codes:
        """Those of some samples."""
        rest = None if self.residual is None else self.residual[index]
        return replace(self, parts=self.parts[index], modes=self.modes[index], residual=rest)

    def sums(self, slope: Tensor) -> Tensor:
        """(sample, vector, then the residual): products with a gradient, summed over positions."""
        found = slope.new_zeros((len(slope), self.count + 1), dtype=torch.float64)
        every = torch.matmul(self.parts, slope[..., None]).flatten(1)
        found.scatter_add_(1, self.modes, every.double())
        if self.residual is not None:
            found[:, -1] = (slope * self.residual).flatten(1).sum(1, dtype=torch.float64)
        return found


@dataclass(frozen=True)
class Line:
    """The straight line in a layer from the offset to the activation of some samples."""

    part: Part
    layer: Layer
    x: Tensor
    start: Tensor  # as the network has the layer
    end: Tensor
    codes: Codes

    def take(self, index: Tensor) -> Line:
        """Lines of some samples."""
        start, end, codes = self.start[index], self.end[index], self.codes.take(index)
        return replace(self, x=self.x[index], start=start, end=end, codes=codes)

    def at(self, alpha: float) -> Tensor:
        """What is read with the layer at a point of the line, without gradients."""
        with torch.no_grad():
            return self.part.run(self.x, torch.lerp(self.start, self.end, alpha))[0]

    def scaled(self, reading: Reading, sample: Tensor, chosen: Tensor, factor: float) -> Tensor:
        """(row, target): what is read with loadings of a sample's vectors scaled, by row.

        Those chosen (row, vector) are, at all of their positions together; all else stays.
        """
        parts = self.codes.parts[sample]
        own = chosen.gather(1, self.codes.modes[sample]).view(parts.shape[:3]).to(parts.dtype)
        change = (factor - 1) * torch.einsum("rps,rpsc->rpc", own, parts)
        end = self.end[sample]
        changed = laid(self.layer, by_position(self.layer, end) + change, end)
        with torch.no_grad():
            return reading.take(sample).values(self.part.run(self.x[sample], changed)[0])

    def integrals(self, passes: Passes, steps: int, into: Tensor) -> None:
        """Add (sample, target, vector and residual) of all passes; a block of passes at once."""
        size = 8 * len(self.x) * (self.codes.count + 1)
        block = max(1, HELD // size)
        for first in range(0, passes.count, block):
            last = min(first + block, passes.count)
            sums = self._integrals(passes, first, last, steps)
            for segment in passes.segments:
                segment.mix(sums, first, into)

    def _integrals(self, passes: Passes, first: int, last: int, steps: int) -> Tensor:
        shape = len(self.x), last - first, self.codes.count + 1
        sums = self.end.new_zeros(shape, dtype=torch.float64)
        for weight, alpha in nodes(steps):
            with torch.enable_grad():
                read, at = self.part.run(self.x, torch.lerp(self.start, self.end, alpha))
                seeds = passes.seeds(read, first, last)
                for place, slope in enumerate(self._slopes(seeds, at, last - first)):
                    sums[:, place] += weight * self.codes.sums(slope)
        return sums

    def _slopes(
        self, seeds: Iterator[tuple[Tensor, Tensor | None]], at: Tensor, count: int
    ) -> Iterator[Tensor]:
        """(sample, position, channel): gradients of each pass."""
        for place, (value, seed) in enumerate(seeds, 1):
            if not value.requires_grad:
                raise independent(self.part.start)
            (slope,) = gradients(value, [at], seed, retain_graph=place < count)
            if slope is None:
                raise independent(self.part.start)
            yield by_position(self.layer, slope)


@dataclass(frozen=True)
class Found:
    """Contributions of the vectors of a layer, and of what they leave, to every target."""

    values: Tensor  # (sample, target, vector and residual)
    total: Tensor  # (sample, target): their sum
    target: Tensor
    change: Tensor  # of the target along the line
    steps: Tensor
    converged: Tensor


def contributions(
    line: Line, reading: Reading, *, steps: Steps, tolerance: float, most: int
) -> Found:
    """Integrate along the line; with more nodes where sums miss the change of a target."""
    target, before = reading.values(line.at(1.0)), reading.values(line.at(0.0))
    change = target.double() - before.double()
    shape = (*target.shape, line.codes.count + 1)
    values, total = target.new_zeros(shape), torch.zeros_like(change)
    taken = torch.zeros_like(change, dtype=torch.long)
    missing = torch.ones_like(change, dtype=torch.bool)
    count = min(FIRST_STEPS, most) if steps == "auto" else steps
    while True:
        index = missing.any(1).nonzero().flatten()
        some = target.new_zeros((len(index), *shape[1:]))
        passes = reading.take(index).passes(missing[index])
        line.take(index).integrals(passes, count, some)
        for place, new in zip(index.tolist(), some, strict=True):
            own = missing[place]
            values[place, own] = new[own]
            total[place] = values[place].sum(1, dtype=torch.float64)
            taken[place, own] = count
        size = torch.linalg.vector_norm(values, 1, dim=2) + target.abs() + before.abs()
        rounding = 10 * torch.finfo(values.dtype).eps * size
        missing = ~((total - change).abs() <= tolerance * change.abs() + rounding)
        if steps != "auto" or count >= most or not bool(missing.any()):
            return Found(values, total, target, change, taken, ~missing)
        count = min(2 * count, most)


def by_position(layer: Layer, activation: Tensor) -> Tensor:
    """(sample, position, channel) of an activation of a layer, which may have no positions."""
    maps = layer.channels_first(activation)
    return maps.flatten(2).mT if maps.ndim > 2 else maps[:, None]


def laid(layer: Layer, rows: Tensor, like: Tensor) -> Tensor:
    """An activation of a layer with these (sample, position, channel), else as it was."""
    made = like.clone()
    maps = layer.channels_first(made)
    maps.copy_(rows.mT.reshape(maps.shape))
    return made


@cache
def nodes(steps: int) -> tuple[tuple[float, float], ...]:
    """Weights and places of Gauss-Legendre nodes from 0 to 1."""
    if steps == END:
        return ((1.0, 1.0),)
    places, weights = np.polynomial.legendre.leggauss(steps)
    return tuple(zip((weights / 2).tolist(), (0.5 + places / 2).tolist(), strict=True))
