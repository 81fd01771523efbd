"""What is read of a later layer, sample by sample, and the backward passes that this takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from neurocodec.nn.attribution.target import Target


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
        return replace(self, at=self.at[index])

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
        at, counts = places[targets].unique(return_counts=True)
        many = at[counts > size]
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
    flat = _flat(read)
    found = [torch.einsum("cp,vc->vp", one, vectors) for one in flat]
    # of equal ones the first, as `max` does not promise
    places = torch.stack([one.argsort(dim=1, descending=True, stable=True)[:, 0] for one in found])
    values = torch.stack(
        [o.gather(1, p[:, None])[:, 0] for o, p in zip(found, places, strict=True)]
    )
    return values, places


def summed(read: Tensor, vectors: Tensor, place: int | None) -> Tensor:
    """(sample, vector): projections at a place, or summed over all."""
    flat = _flat(read)
    rows = flat.sum(2) if place is None else flat[..., place]
    return rows @ vectors.T
