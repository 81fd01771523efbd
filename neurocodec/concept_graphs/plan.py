"""One call of `nc.concept_contributions`, checked: what its numbers depend on, one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import (
    EXTRAS,
    bound_target,
    require_finite_target,
    require_finite_values,
)
from neurocodec.concept_graphs.checked import Vectors
from neurocodec.concept_graphs.settings import ACTGRAD, GIG, STRONGEST, SUM, At, Pair, Settings
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.session import Session, some_of
from neurocodec.errors import InputError, warn
from neurocodec.labels import labelled, plain, stamp
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.between_layers import Part
from neurocodec.nn.attribution.concepts import (
    END,
    Codes,
    Found,
    Line,
    Projections,
    Reading,
    Scalar,
    by_position,
    contributions,
    laid,
    strongest,
    summed,
)
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch

UNITLESS: Final = {*EXTRAS, v.ACTIVE, v.TARGET_MODE, v.TARGET_PLACE}
"""Variables that are not in units of the target."""


@dataclass(frozen=True)
class ConceptPlan(Plan):
    """One call of `nc.concept_contributions`, checked."""

    what: ClassVar[str] = "concepts"

    pair: Pair
    settings: Settings

    @property
    def source(self) -> Vectors:
        """Whose contributions are computed."""
        return self.pair.source

    @property
    def target(self) -> Vectors | Target:
        """What they contribute to."""
        return self.pair.target

    @property
    def read(self) -> str | None:
        """Alias of the layer that the target reads; None of the outputs."""
        return self.target.layer

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples."""
        own = {v.CONTRIBUTION, v.RESIDUAL_CONTRIBUTION, v.TARGET, v.COMPLETENESS_ERROR, v.ACTIVE}
        return {*own, *EXTRAS, v.MODE, v.TARGET_MODE, v.RANK, v.TARGET_PLACE}

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: the source, and the one that the target reads."""
        own = [] if self.read is None else [self.read]
        return {**self.layers, **self.net.select_layers(own)}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        return plain(self.asked_for)

    @property
    def asked_for(self) -> dict[str, Any]:
        """Network, concept vectors, settings and data."""
        target = self.target
        known = target.facts if isinstance(target, Vectors) else {"parameters": target}
        return {
            **self.of_network,
            "layers": self.layers,
            "source": self.source.facts,
            "target": {"kind": type(target).__name__, **known},
            "settings": self.settings,
            "data_sha256": self.samples.sha256,
        }

    @property
    def asked(self) -> Mapping[str, Any]:
        """What codes the source, and a target that may be of a user's own."""
        return {"source": self.source.coder, "target": self.target}

    def bound(self, session: Session) -> Concepts:
        """Find what comes between the layers; refuse a source that does not reach the target."""
        source, read = self.source.layer, self.read
        flow, done = session.traced.flow, session.traced.done
        if not flow.passes(source, read):
            raise InputError(
                came=f"layer {source!r} as the source of {read or 'the outputs'!r}, which it does"
                " not reach",
                expected="a source before its target",
                hint="source=target, target=source",
            )
        for vectors in (self.source, self.target):
            if isinstance(vectors, Vectors):
                channels = session.channels(vectors.layer)
                vectors.require_of(session.facts["weights_sha256"], channels)
        if flow.passes_by(source, read):
            warn(
                f"something goes around layer {source!r} to the target: contributions explain what"
                " passes the layer alone"
            )
        part = Part.of(session.capture, flow, source, read, session.few[:2])
        target = self.target
        if isinstance(target, Target):
            target = bound_target(session, target, self.samples)
        concepts = self.made(session, part, target)
        concepts.answers()  # a place that the layer does not have, before anything long
        size = session.bytes_per_sample + concepts.held(done.hidden[source][:1])
        return replace(concepts, bytes_per_sample=size)

    def made(self, session: Session, part: Part, target: Vectors | Target) -> Concepts:
        """What computes a batch."""
        return Concepts(self.told(session), 0, session.capture, part, target, session.traced.done)


@dataclass(frozen=True)
class Concepts(Bound):
    """A plan with the network that it runs on."""

    plan: ConceptPlan
    capture: Capture
    part: Part
    target: Vectors | Target
    few: Pass

    def answers(self) -> list[list[float]]:
        """Target of the few samples that were traced."""
        read = self._read(self.few)
        if isinstance(self.target, Target):
            few = self.target.at_samples(torch.tensor(self.plan.samples.few_places))
            return [some_of(few.fixed_at(read)(read))]
        return [some_of(self._projected(self.target, read)[0])]

    def held(self, hidden: Tensor) -> int:
        """Bytes of the parts of a sample's codes, of sums and of the result."""
        positions = by_position(self._source, hidden)
        settings, size = self.plan.settings, self.plan.net.dtype.itemsize
        asked = settings.targets
        count = 1 if isinstance(self.target, Target) else len(self.target)
        count = asked if isinstance(asked, int) else count if asked is None else len(asked)
        slots = 1 + min(settings.active, len(self.plan.source))
        return positions.numel() * slots * size + 3 * count * len(self.plan.source) * size

    @property
    def _source(self) -> Layer:
        return self.capture.layers[self.plan.source.layer]

    def _read(self, done: Pass) -> Tensor:
        """What the target reads: outputs, or (sample, channel, positions...) of its layer."""
        read = self.plan.read
        if read is None:
            return done.outputs
        return self.capture.layers[read].channels_first(done.hidden[read])

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch; of every vector only its sum over positions leaves the device."""
        del into
        line, reading, told = self.prepared(batch)
        own = self.plan.settings
        nodes = END if own.method == ACTGRAD else own.steps
        found = contributions(line, reading, steps=nodes, tolerance=own.tolerance, most=own.most)
        self.require_finite(found, batch.first)
        return {**self._named(found, line.codes.active), **told}

    def prepared(self, batch: Batch) -> tuple[Line, Reading, Arrays]:
        """Lines of a batch, what is read along them, and what the result tells of that."""
        with torch.no_grad():
            done = self._reach(batch.x)
            reading, told = self._reading(self._read(done), batch)
            return self._line(batch.x, done.hidden[self.plan.source.layer]), reading, told

    def require_finite(self, found: Found, first: int) -> None:
        """Refuse numbers that are none, naming the sample."""
        require_finite_target(found.target, first)
        require_finite_values(found.values, self.plan.source.layer, first)

    def _reach(self, x: Tensor) -> Pass:
        if self.plan.read is None:
            return self.capture.run(x)
        return Pass(x.new_empty(len(x), 0), self.capture.reach(x, self.capture.layers))

    def _line(self, x: Tensor, hidden: Tensor) -> Line:
        source, own = self.plan.source, self.plan.settings
        vectors = tensor_of(source.rows, hidden.dtype, hidden.device)
        offset = tensor_of(source.offset, hidden.dtype, hidden.device)
        rows = by_position(self._source, hidden)
        loadings, modes = _codes(source, rows, own.active, own.solver)
        codes = Codes.of(rows - offset, loadings, modes, vectors, residual=own.residual)
        start = laid(self._source, offset.expand_as(rows), hidden)
        end = hidden if own.residual else laid(self._source, offset + codes.total, hidden)
        return Line(self.part, self._source, x, start, end, codes)

    def _projected(self, target: Vectors, read: Tensor) -> tuple[Tensor, Tensor | None]:
        """(sample, vector): projections of all vectors, and at which place."""
        vectors = tensor_of(target.rows, read.dtype, read.device)
        at = self.plan.settings.at
        if at == STRONGEST:
            return strongest(read, vectors)
        place = None if at == SUM else _place(at, tuple(read.shape[2:]), target.layer)
        values = summed(read, vectors, place)
        places = None if place is None else torch.full_like(values, place, dtype=torch.long)
        return values, places

    def _reading(self, read: Tensor, batch: Batch) -> tuple[Reading, Arrays]:
        """What is read of each sample, and what the result tells of it."""
        if isinstance(self.target, Target):
            own = torch.arange(batch.first, batch.first + len(batch.x))
            return Scalar(self.target.at_samples(own), read), {}
        values, places = self._projected(self.target, read)
        asked, count = self.plan.settings.targets, len(self.target)
        if isinstance(asked, int):
            offset = tensor_of(self.target.rows @ self.target.offset, read.dtype, read.device)
            # a sum over positions has the offset once for each of them
            many = read[0, 0].numel() if self.plan.settings.at == SUM else 1
            wanted = (values - many * offset).argsort(dim=1, descending=True, stable=True)[
                :, :asked
            ]
        else:
            every = torch.arange(count) if asked is None else torch.tensor(asked)
            wanted = every.to(read.device).expand(len(read), -1)
        at = None if places is None else places.gather(1, wanted)
        vectors, offset = (
            tensor_of(x, read.dtype, read.device) for x in (self.target.rows, self.target.offset)
        )
        told = {v.TARGET_MODE: wanted.cpu().numpy()} if isinstance(asked, int) else {}
        if at is not None and read.ndim > 2:
            told[v.TARGET_PLACE] = at.cpu().numpy()
        return Projections(vectors, offset, wanted, at), told

    def _named(self, found: Found, active: Tensor) -> Arrays:
        kind = found.target.dtype
        named = {
            v.CONTRIBUTION: found.values[..., :-1].movedim(1, 2),
            v.TARGET: found.target,
            v.COMPLETENESS_ERROR: (found.total - found.change).to(kind),
        }
        if self.plan.settings.method == GIG:
            named |= zip(EXTRAS, (found.steps, found.converged), strict=True)
        if self.plan.settings.residual:
            named[v.RESIDUAL_CONTRIBUTION] = found.values[..., -1]
        if isinstance(self.target, Target):
            named = {name: x[..., 0] for name, x in named.items()}
        named[v.ACTIVE] = active
        return {name: np.ascontiguousarray(x.cpu().numpy()) for name, x in named.items()}

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        arrays = {**arrays}
        data = {name: self._labelled(name, values) for name, values in arrays.items()}
        tree = xr.DataTree(xr.Dataset(data).assign_coords(coords))
        return stamp(tree, "nc.concept_contributions", **self.plan.facts)

    def _labelled(self, name: str, values: NDArray[Any]) -> xr.DataArray:
        dims: dict[str, Any] = {}
        if name in (v.CONTRIBUTION, v.ACTIVE):
            dims[v.MODE] = list(self.plan.source.modes)
        if name != v.ACTIVE:
            dims |= self.target_dims(values)
        if name == v.TARGET_MODE:
            values = self.target_labels[values]
        units = None if name in UNITLESS else self.units
        return labelled(values, (self.plan.samples.dim, *dims), dims, name=name, units=units)

    @property
    def units(self) -> str | None:
        """Of the target."""
        return self.target.units if isinstance(self.target, Target) else None

    @property
    def target_labels(self) -> NDArray[Any]:
        """Modes of the target."""
        return np.asarray(self.target.modes if isinstance(self.target, Vectors) else ())

    def target_dims(self, values: NDArray[Any]) -> dict[str, Any]:
        """The last dim of values of several targets."""
        asked = self.plan.settings.targets
        if isinstance(self.target, Target):
            return {}
        if isinstance(asked, int):
            return {v.RANK: np.arange(values.shape[-1])}
        labels = self.target_labels
        return {v.TARGET_MODE: labels if asked is None else labels[list(asked)]}


def _codes(source: Vectors, rows: Tensor, active: int, solver: str) -> tuple[Tensor, Tensor]:
    """(sample, position, slot): loadings, and of which vectors."""
    flat = rows.flatten(0, 1).cpu().numpy()
    values, modes = source.coder.codes(flat, active, solver)
    shape = (*rows.shape[:2], -1)
    empty = modes < 0
    loadings = tensor_of(np.where(empty, 0, values), rows.dtype, rows.device).view(shape)
    return loadings, tensor_of(np.where(empty, 0, modes), torch.long, rows.device).view(shape)


def _place(at: At, sizes: tuple[int, ...], layer: str) -> int:
    """Where a position lies in the flattened maps."""
    where = at if isinstance(at, tuple) else ()
    if len(where) != len(sizes) or not all(0 <= i < n for i, n in zip(where, sizes, strict=True)):
        raise InputError(
            came=f"at={at!r} in {layer!r}",
            expected=f"a position inside of {sizes}" if sizes else "'sum': it has no positions",
            hint=f"at={tuple(n // 2 for n in sizes)}" if sizes else "at='sum'",
        )
    return int(np.ravel_multi_index(where, sizes)) if sizes else 0
