"""One call of `nc.concept_curve`, checked: orders of concept vectors, one batch, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import require_finite_values
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.concept_graphs.plan import ConceptPlan, Concepts
from neurocodec.engine.plan import Arrays
from neurocodec.engine.session import Session
from neurocodec.errors import InputError
from neurocodec.labels import labelled, plain, stamp
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.concepts import (
    END,
    Line,
    Projections,
    Reading,
    contributions,
    strongest,
)
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Output, Probability
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.perturbation.vectors import Written, places, sizes

Ranking: TypeAlias = Literal["gig", "sum", "actgrad", "size", "cosine", "random", "unrelated"]
Kind: TypeAlias = Literal["insert", "delete"]
RANKINGS: Final = ("gig", "sum", "actgrad", "size", "cosine", "random", "unrelated")
OF_LAYERS: Final = ("sum", "cosine", "unrelated")
"""Rankings that a single output does not have."""
KINDS: Final = ("insert", "delete")
OUTCOMES: Final = ("accuracy", "probability")
PROJECTION: Final = "projection"
RESPONSE: Final = "response"
"""Of a cell: cells are no classes, of which one alone is right."""
UNRELATED: Final = 0.1
"""Size of the cosine with a target that an unrelated one has at most, where there is one."""
UNRELATED_STEPS: Final = 16
"""Nodes at most for an unrelated target: it hardly changes along the line, so that a part of its
change is met late or never, and its order is a control."""


@dataclass(frozen=True)
class Curve:
    """What is put in or taken out, in which order."""

    kinds: tuple[Kind, ...]
    rankings: tuple[Ranking, ...]
    active: bool  # whether vectors that an image does not have are left out of the count
    points: int
    seed: int

    @property
    def shares(self) -> NDArray[np.float64]:
        """Parts of the vectors, from none to all."""
        return np.linspace(0.0, 1.0, self.points + 1)


@dataclass(frozen=True)
class CurvePlan(ConceptPlan):
    """One call of `nc.concept_curve`, checked."""

    curve: Curve

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        return plain({**super().facts, "curve": self.curve})

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What is followed."""
        if not isinstance(self.target, Target):
            return (PROJECTION,)
        return (RESPONSE,) if self.net.output_dim == v.CELL else OUTCOMES

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples."""
        own = {v.CONCEPT_CURVE, v.ACTIVE_COUNT, v.RANKING, v.KIND, v.FRACTION, v.OUTCOME}
        return {*own, v.TARGET_MODE, v.RANK}

    def bound(self, session: Session) -> Curves:
        """Bind the concept vectors; refuse cosines of vectors of different layers' channels."""
        base = super().bound(session)
        own = {f.name: getattr(base, f.name) for f in fields(base)}
        found = Curves(**own)
        if isinstance(self.target, Vectors) and "cosine" in self.curve.rankings:
            own, other = self.source.rows.shape[1], self.target.rows.shape[1]
            if own != other:
                raise InputError(
                    came=f"ranking 'cosine' of vectors of {own} and of {other} channels",
                    expected="layers of as many channels",
                    hint="rankings=('gig', 'actgrad', 'size', 'random')",
                )
        return found


@dataclass(frozen=True)
class Curves(Concepts):
    """A plan of curves with the network that it runs on."""

    plan: CurvePlan

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Curves of one batch."""
        del into
        with torch.no_grad():
            done = self._reach(batch.x)
            read = self._read(done)
            line = self._line(batch.x, done.hidden[self.plan.source.layer])
            reading, told = self._reading(read, batch)
        active = _active(line)
        aims = [_Aim.of(self, reading, read, t) for t in range(self._count(reading))]
        curves = [self._curves(line, aim, active, batch.first) for aim in aims]
        values = torch.stack(curves, 1)  # (sample, target, ranking, kind, share, outcome)
        values = values[:, 0] if isinstance(self.target, Target) else values
        told = {name: x for name, x in told.items() if name == v.TARGET_MODE}
        count = active.sum(1)
        return {v.CONCEPT_CURVE: values.cpu().numpy(), v.ACTIVE_COUNT: count.cpu().numpy(), **told}

    @staticmethod
    def _count(reading: Reading) -> int:
        return reading.wanted.shape[1] if isinstance(reading, Projections) else 1

    def _curves(self, line: Line, aim: _Aim, active: Tensor, first: int) -> Tensor:
        """(sample, ranking, kind, share, outcome) of one target."""
        own, written = self.plan.curve, Written(line)
        none, every = (aim.outcome(read) for read in written.ends())
        among = active if own.active else torch.ones_like(active)
        total = among.sum(1)
        found = []
        for ranking in own.rankings:
            scores = self._scores(ranking, line, aim, first)
            require_finite_values(scores, self.plan.source.layer, first)
            order = places(scores, among)
            between = [
                tuple(aim.outcome(read) for read in pair)
                for pair in written.between(order, total, own.shares[1:-1].tolist())
            ]
            ways = {
                "insert": [none, *(one for one, _ in between), every],
                "delete": [every, *(other for _, other in between), none],
            }
            found.append(torch.stack([torch.stack(ways[kind], 1) for kind in own.kinds], 1))
        values = torch.stack(found, 1)
        if isinstance(self.target, Target):
            return values
        return values / torch.where(every > 0, every, torch.nan)[:, None, None, None]

    def _scores(self, ranking: str, line: Line, aim: _Aim, first: int) -> Tensor:
        """Scores (sample, vector) by one ranking."""
        if ranking == "random":
            return self._drawn(line, aim, first)
        if ranking == "size":
            return sizes(line)
        if ranking == "cosine":
            source = tensor_of(self.plan.source.rows, line.end.dtype, line.end.device)
            return aim.direction @ source.T
        reading = aim.reading
        if isinstance(reading, Projections) and ranking == "sum":
            reading = replace(reading, places=None)
        elif isinstance(reading, Projections) and ranking == "unrelated":
            reading = self._unrelated(reading, aim.read)
        own = self.plan.settings
        nodes = END if ranking == "actgrad" else own.steps
        most = min(own.most, UNRELATED_STEPS) if ranking == "unrelated" else own.most
        found = contributions(line, reading, steps=nodes, tolerance=own.tolerance, most=most)
        return found.values[:, 0, :-1]

    def _drawn(self, line: Line, aim: _Aim, first: int) -> Tensor:
        """Random scores, of each sample and target from its own number."""
        seed = self.plan.curve.seed
        rows = [
            np.random.default_rng([seed, first + i, aim.place]).random(line.codes.count)
            for i in range(len(line.x))
        ]
        return tensor_of(np.stack(rows), line.end.dtype, line.end.device)

    def _unrelated(self, reading: Projections, read: Tensor) -> Projections:
        """For each sample the reading of another target, nearly at right angles to its own."""
        rows = reading.vectors
        cosine = (rows[reading.wanted[:, 0]] @ rows.T).abs()
        drawn = np.random.default_rng(self.plan.curve.seed).random(len(rows))
        # of those that are unrelated the first by chance; where there is none the least related
        order = torch.where(
            cosine <= UNRELATED, tensor_of(drawn, cosine.dtype, cosine.device), 1 + cosine
        )
        other = order.argmin(1, keepdim=True)
        _, found = strongest(read, rows)
        return replace(reading, wanted=other, places=found.gather(1, other))

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        plan, own = self.plan, self.plan.curve
        outer: dict[str, Any] = {}
        if isinstance(self.target, Vectors):
            outer[v.RANK] = np.arange(arrays[v.CONCEPT_CURVE].shape[1])
        inner = {
            v.RANKING: [*own.rankings],
            v.KIND: [*own.kinds],
            v.FRACTION: own.shares,
            v.OUTCOME: [*plan.outcomes],
        }
        dims = {
            v.CONCEPT_CURVE: {**outer, **inner},
            v.TARGET_MODE: outer,
            v.ACTIVE_COUNT: dict[str, Any](),
        }
        values = {**arrays}
        if v.TARGET_MODE in values and isinstance(self.target, Vectors):
            values[v.TARGET_MODE] = np.asarray(self.target.modes)[values[v.TARGET_MODE]]
        data = {
            name: labelled(x, (plan.samples.dim, *dims[name]), dims[name], name=name)
            for name, x in values.items()
        }
        tree = xr.DataTree(xr.Dataset(data).assign_coords(coords))
        return stamp(tree, "nc.concept_curve", **plan.facts)


def _active(line: Line) -> Tensor:
    """Whether (sample, vector) is at some position with a loading that is not 0."""
    there = line.codes.parts.ne(0).any(3).flatten(1)
    found = there.new_zeros(len(there), line.codes.count, dtype=torch.int32)
    return found.scatter_add_(1, line.codes.modes, there.int()) > 0


@dataclass(frozen=True)
class _Aim:
    """One target of every sample: what is read for its contributions, and what is followed."""

    curves: Curves
    reading: Reading
    read: Tensor  # of the samples themselves
    place: int  # among the targets of a sample

    @classmethod
    def of(cls, curves: Curves, reading: Reading, read: Tensor, place: int) -> _Aim:
        if isinstance(reading, Projections):
            some = slice(place, place + 1)
            at = None if reading.places is None else reading.places[:, some]
            reading = replace(reading, wanted=reading.wanted[:, some], places=at)
        return cls(curves, reading, read, place)

    @property
    def direction(self) -> Tensor:
        """(sample, channel) of the target, of a layer."""
        if not isinstance(self.reading, Projections):
            raise TypeError(self.reading)
        return self.reading.vectors[self.reading.wanted[:, 0]]

    def outcome(self, read: Tensor) -> Tensor:
        """(sample, outcome): of a class or cell, or the largest projection over positions."""
        if isinstance(self.reading, Projections):
            flat = read.flatten(2) if read.ndim > 2 else read[..., None]
            flat = flat - self.reading.offset[:, None]
            return torch.einsum("scp,sc->sp", flat, self.direction).amax(1, keepdim=True)
        own = classes(self.curves.target, self.read)
        if self.curves.plan.outcomes == (RESPONSE,):
            return read.gather(1, own[:, None])
        right = read.argmax(1) == own
        probability = read.softmax(1).gather(1, own[:, None])[:, 0]
        return torch.stack([right.to(read.dtype), probability], 1)


def classes(target: Target | Vectors, outputs: Tensor) -> Tensor:
    """Class of every sample that a target is of: its output, or the largest."""
    if isinstance(target, Output | Probability):
        return torch.full_like(outputs[:, 0], int(target.which), dtype=torch.long) % len(outputs[0])
    return outputs.argmax(1)
