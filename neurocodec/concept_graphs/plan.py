"""One call of `nc.concept_contributions`, checked: what its numbers depend on, one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import EXTRAS, require_finite_target, require_finite_values
from neurocodec.concept_graphs.checked import Vectors
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
    Steps,
    by_position,
    contributions,
    laid,
)
from neurocodec.nn.attribution.readings import Projections, Reading, Scalar, strongest, summed
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch

At: TypeAlias = str | tuple[int, ...]
STRONGEST: Final = "strongest"
SUM: Final = "sum"
GIG: Final = "gig"
ACTGRAD: Final = "actgrad"
METHODS: Final = (GIG, ACTGRAD)


@dataclass(frozen=True)
class Settings:
    """How contributions are computed."""

    method: str
    at: At
    steps: Steps
    tolerance: float
    most: int  # steps
    residual: bool
    active: int
    solver: str
    targets: int | tuple[int, ...] | None  # the strongest so many of a sample; places; all


@dataclass(frozen=True)
class ConceptPlan(Plan):
    """One call of `nc.concept_contributions`, checked."""

    what: ClassVar[str] = "concepts"

    source: Vectors
    target: Vectors | Target
    settings: Settings

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
        target = self.target
        known = target.facts if isinstance(target, Vectors) else {"parameters": target}
        facts = {
            **self.of_network,
            "layers": self.layers,
            "source": self.source.facts,
            "target": {"kind": type(target).__name__, **known},
            "settings": self.settings,
            "data_sha256": self.samples.sha256,
        }
        return plain(facts)

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
                hint="nc.concept_contributions(net, images, source=target, target=source)",
            )
        self.source.require_channels("source", session.channels(source))
        if isinstance(self.target, Vectors):
            self.target.require_channels("target", session.channels(self.target.layer))
        if flow.passes_by(source, read):
            warn(
                f"something goes around layer {source!r} to the target: contributions explain what"
                " passes the layer alone"
            )
        part = Part.of(session.capture, flow, source, read, session.few[:2])
        target = self.target
        if isinstance(target, Target):
            target = target.bind(session.outputs)
        concepts = Concepts(self.told(session), 0, session.capture, part, target, done)
        concepts.answers()  # a place that the layer does not have, before anything long
        size = session.bytes_per_sample + concepts.held(done.hidden[source][:1])
        return Concepts(concepts.plan, size, session.capture, part, target, done)


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
            return [some_of(self.target.fixed_at(read)(read))]
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
        with torch.no_grad():
            done = self._reach(batch.x)
            hidden, read = done.hidden[self.plan.source.layer], self._read(done)
            reading, told = self._reading(read)
            line = self._line(batch.x, hidden)
        own = self.plan.settings
        nodes = END if own.method == ACTGRAD else own.steps
        found = contributions(line, reading, steps=nodes, tolerance=own.tolerance, most=own.most)
        require_finite_target(found.target, batch.first)
        require_finite_values(found.values, self.plan.source.layer, batch.first)
        active = torch.zeros(len(hidden), line.codes.count, dtype=torch.bool, device=hidden.device)
        active.scatter_(1, line.codes.modes, True)  # noqa: FBT003 - what is written
        return {**self._named(found, active), **told}

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

    def _reading(self, read: Tensor) -> tuple[Reading, Arrays]:
        """What is read of each sample, and what the result tells of it."""
        if isinstance(self.target, Target):
            return Scalar(self.target, read), {}
        values, places = self._projected(self.target, read)
        asked, count = self.plan.settings.targets, len(self.target)
        if isinstance(asked, int):
            offset = tensor_of(self.target.rows @ self.target.offset, read.dtype, read.device)
            wanted = (values - offset).argsort(dim=1, descending=True, stable=True)[:, :asked]
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
            **dict(zip(EXTRAS, (found.steps, found.converged), strict=True)),
        }
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
        asked = self.plan.settings.targets
        if isinstance(self.target, Vectors) and name != v.ACTIVE:
            labels = np.asarray(self.target.modes)
            if name == v.TARGET_MODE:
                values = labels[values]
            if isinstance(asked, int):
                dims[v.RANK] = np.arange(values.shape[-1])
            else:
                dims[v.TARGET_MODE] = labels if asked is None else labels[list(asked)]
        units = self.target.units if isinstance(self.target, Target) else None
        told = units if name in (v.CONTRIBUTION, v.RESIDUAL_CONTRIBUTION, v.TARGET) else None
        return labelled(values, (self.plan.samples.dim, *dims), dims, name=name, units=told)


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
