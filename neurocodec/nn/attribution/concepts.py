"""What concept vectors of a layer contribute to what comes later, on a line from their offset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from neurocodec.nn.attribution.between_layers import Part, independent
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import gradients
from neurocodec.nn.capture.layer import Layer

FIRST_STEPS: Final = 8
"""Nodes of a line that ``steps="auto"`` starts with."""
HELD: Final = 2**26
"""Bytes of sums that are held at once while a line is gone along, about."""
END: Final = 0
"""Steps of a line of which its end alone is looked at: loadings times the gradient there."""
Steps: TypeAlias = int | Literal["auto"]


class Reading(ABC):
    """One or many numbers of every sample, of what comes after a layer."""

    @abstractmethod
    def values(self, read: Tensor) -> Tensor:
        """(sample, target) of (sample, channel, positions...), or of outputs."""

    @abstractmethod
    def take(self, index: Tensor) -> Self:
        """Read the same of some of the samples."""

    @abstractmethod
    def passes(self, wanted: Tensor) -> Passes:
        """Backward passes for those (sample, target) that are wanted."""


@dataclass(frozen=True)
class Segment:
    """Passes of one sample that are of its targets, or of the channels that make these."""

    sample: int
    first: int  # pass
    targets: Tensor  # of the sample
    mixing: Tensor | None = None  # (target, pass) of what the passes make; None: one for each

    def mix(self, sums: Tensor, start: int, into: Tensor) -> None:
        """Add sums (sample, pass, ...), the first of which is pass `start`, to (sample, target)."""
        count = len(self.targets) if self.mixing is None else self.mixing.shape[1]
        low, high = max(self.first, start), min(self.first + count, start + sums.shape[1])
        if low >= high:
            return
        own = sums[self.sample, low - start : high - start]
        inside = slice(low - self.first, high - self.first)
        if self.mixing is None:
            into[self.sample, self.targets[inside]] += own.to(into.dtype)
        else:
            made = self.mixing[:, inside].to(own.dtype) @ own
            into[self.sample, self.targets] += made.to(into.dtype)


@dataclass(frozen=True)
class Passes:
    """Backward passes that all samples make together; the shorter ones of a sample are padded."""

    count: int
    segments: tuple[Segment, ...]

    def seeds(self, read: Tensor, first: int, last: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """What to differentiate in each of some passes, and the gradient of it."""
        raise NotImplementedError


@dataclass(frozen=True)
class _OnePass(Passes):
    target: Target

    def seeds(self, read: Tensor, first: int, last: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        if first < self.count <= last:
            yield self.target(read).sum(), None


@dataclass(frozen=True)
class Scalar(Reading):
    """One number of every sample: a logit, a probability."""

    target: Target  # bound to the outputs
    at: Tensor  # what it reads at the samples themselves

    def values(self, read: Tensor) -> Tensor:
        """(sample, 1)."""
        return self.target.fixed_at(self.at)(read)[:, None]

    def take(self, index: Tensor) -> Scalar:
        """Read the same of some of the samples."""
        return replace(self, target=self.target.at_samples(index), at=self.at[index])

    def passes(self, wanted: Tensor) -> Passes:
        """One pass."""
        zero = torch.zeros(1, dtype=torch.long, device=wanted.device)
        segments = tuple(Segment(i, 0, zero) for i in range(len(wanted)))
        return _OnePass(1, segments, self.target.fixed_at(self.at))


@dataclass(frozen=True)
class _DirectedPasses(Passes):
    directions: Tensor  # (direction, channel), the last of which is 0
    which: Tensor  # (sample, pass)
    places: Tensor | None  # (sample, pass); None: summed over all

    def seeds(self, read: Tensor, first: int, last: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        flat = _flat(read)
        for place in range(first, last):
            rows = self.directions[self.which[:, place]][..., None]
            if self.places is None:
                yield flat, rows.expand_as(flat)
                continue
            index = self.places[:, place, None, None].expand_as(rows)
            yield flat, torch.zeros_like(flat).scatter_(2, index, rows)


@dataclass(frozen=True)
class Projections(Reading):
    """Projections of a layer, from an offset, on some of many vectors, at one place or summed."""

    vectors: Tensor  # (vector, channel)
    offset: Tensor  # (channel,)
    wanted: Tensor  # (sample, target), of the vectors
    places: Tensor | None  # (sample, target), in the flattened maps; None: summed over all

    def values(self, read: Tensor) -> Tensor:
        """(sample, target)."""
        flat = _flat(read) - self.offset[:, None]
        rows = self.vectors[self.wanted]
        if self.places is None:
            return torch.einsum("stc,sc->st", rows, flat.sum(2))
        index = self.places[:, None].expand(-1, flat.shape[1], -1)
        return torch.einsum("stc,sct->st", rows, flat.gather(2, index))

    def take(self, index: Tensor) -> Projections:
        """Read the same of some of the samples."""
        places = None if self.places is None else self.places[index]
        return replace(self, wanted=self.wanted[index], places=places)

    def passes(self, wanted: Tensor) -> Passes:
        """One pass a target, or one a channel where more targets than channels are at a place."""
        rows = [self._passes_of(i, row.nonzero().flatten()) for i, row in enumerate(wanted)]
        count = max(len(which) for _, which, _ in rows)
        which = torch.full((len(rows), count), -1, device=self.wanted.device)
        places = torch.zeros_like(which)
        for i, (_, own, where) in enumerate(rows):
            which[i, : len(own)], places[i, : len(own)] = own, where
        size = self.vectors.shape[1]
        zero, every = self.vectors.new_zeros(1, size), torch.eye(size).to(self.vectors)
        directions = torch.cat([self.vectors, every, zero])
        segments = tuple(segment for own, _, _ in rows for segment in own)
        at = None if self.places is None else places
        return _DirectedPasses(count, segments, directions, which, at)

    def _passes_of(self, sample: int, targets: Tensor) -> tuple[list[Segment], Tensor, Tensor]:
        """Segments, directions and places of a sample's passes."""
        rows, size = self.wanted[sample], self.vectors.shape[1]
        places = torch.zeros_like(rows) if self.places is None else self.places[sample]
        counts = places[targets].bincount()
        many = (counts > size).nonzero().flatten()
        single = targets[~torch.isin(places[targets], many)]
        segments = [Segment(sample, 0, single)] if len(single) else []
        which, where, first = [rows[single]], [places[single]], len(single)
        every = torch.arange(len(self.vectors), len(self.vectors) + size, device=rows.device)
        for place in many:
            own = targets[places[targets] == place]
            segments.append(Segment(sample, first, own, self.vectors[rows[own]]))
            which.append(every)
            where.append(place.expand(size))
            first += size
        return segments, torch.cat(which), torch.cat(where)


def _flat(read: Tensor) -> Tensor:
    """(sample, channel, position) of an activation, which may have no positions."""
    return read.flatten(2) if read.ndim > 2 else read[..., None]


def strongest(read: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(sample, vector) of each sample: the largest projection over positions, and its place."""
    values, places = [], []
    for one in _flat(read):
        found = vectors @ one
        largest = found.amax(1, keepdim=True)
        # of equal ones the first, as `max` does not promise
        every = torch.arange(found.shape[1], device=found.device)
        places.append(torch.where(found == largest, every, len(every) - 1).amin(1))
        values.append(largest[:, 0])
    return torch.stack(values), torch.stack(places)


def summed(read: Tensor, vectors: Tensor, place: int | None) -> Tensor:
    """(sample, vector): projections at a place, or summed over all."""
    flat = _flat(read)
    rows = flat.sum(2) if place is None else flat[..., place]
    return rows @ vectors.T


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
