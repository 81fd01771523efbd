"""One call of `nc.concept_interventions`, checked: nodes of a graph scaled in the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.concept_graphs.plan import UNITLESS, ConceptPlan, Concepts
from neurocodec.concept_graphs.settings import METHODS
from neurocodec.engine.plan import Arrays
from neurocodec.engine.session import Session
from neurocodec.labels import labelled, plain, stamp
from neurocodec.nn.attribution.between_layers import Part
from neurocodec.nn.attribution.concepts import END, Found, Line, Reading, contributions
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.prefix import Batch

RANDOM: Final = "random"
"""The contributions of a sample's vectors, each given to another one of them."""
PREDICTIONS: Final = (*METHODS, RANDOM)
ROWS: Final = 64
"""Changed samples that are computed together, at most."""


@dataclass(frozen=True)
class Drawn:
    """Which nodes of a sample's graph are scaled together, and by what."""

    fractions: tuple[float, ...]  # of the active ones; 0: one alone
    draws: int
    factors: tuple[float, ...]
    seed: int

    def chosen(self, active: NDArray[np.bool_], sample: int) -> NDArray[np.bool_]:
        """(fraction, draw, vector), from the number of the sample; none where there are no more."""
        modes = np.flatnonzero(active)
        found = np.zeros((len(self.fractions), self.draws, len(active)), bool)
        for place, fraction in enumerate(self.fractions):
            random = np.random.default_rng([self.seed, sample, place])
            if not fraction:
                alone = random.permutation(modes)[: self.draws]
                found[place, np.arange(len(alone)), alone] = True
                continue
            size = max(1, round(fraction * len(modes)))
            for draw in range(self.draws if len(modes) else 0):
                found[place, draw, random.permutation(modes)[:size]] = True
        return found

    def shuffled(self, active: NDArray[np.bool_], sample: int) -> NDArray[np.intp]:
        """For each vector another one, active ones among themselves."""
        found, modes = np.arange(len(active)), np.flatnonzero(active)
        found[modes] = np.random.default_rng([self.seed, sample]).permutation(modes)
        return found


@dataclass(frozen=True)
class InterventionPlan(ConceptPlan):
    """One call of `nc.concept_interventions`, checked."""

    what: ClassVar[str] = "interventions"

    drawn: Drawn

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples."""
        own = {v.MEASURED_CHANGE, v.PREDICTED_CHANGE, v.NODE, v.N_NODES, v.CORRELATION}
        own |= {v.MEDIAN_CORRELATION, v.FRACTION, v.DRAW, v.FACTOR}
        return {*super().names, *own, v.GRAPH, v.BOUND}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        return plain({**self.asked_for, "drawn": self.drawn})

    def made(self, session: Session, part: Part, target: Any) -> Interventions:
        """What computes a batch."""
        return Interventions(
            self.told(session), 0, session.capture, part, target, session.traced.done
        )


@dataclass(frozen=True)
class Interventions(Concepts):
    """A plan of interventions with the network that it runs on."""

    plan: InterventionPlan

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch: contributions, then the network with some of the vectors scaled."""
        del into
        line, reading, told = self.prepared(batch)
        own, drawn = self.plan.settings, self.plan.drawn
        found = [
            contributions(line, reading, steps=nodes, tolerance=own.tolerance, most=own.most)
            for nodes in (own.steps, END)
        ]
        for one in found:
            self.require_finite(one, batch.first)
        active = line.codes.active.cpu().numpy()
        chosen = np.stack([drawn.chosen(row, batch.first + i) for i, row in enumerate(active)])
        named = {
            v.MEASURED_CHANGE: self._measured(line, reading, found[0].target, chosen),
            v.PREDICTED_CHANGE: self._predicted(found, active, chosen, batch.first),
            v.TARGET: found[0].target.cpu().numpy(),
            v.N_NODES: active.sum(1),
        }
        if isinstance(self.target, Target):
            named = {n: x if n == v.N_NODES else x[..., 0] for n, x in named.items()}
        if 0 in drawn.fractions:
            alone = chosen[:, drawn.fractions.index(0)]
            named[v.NODE] = np.where(alone.any(2), alone.argmax(2), -1)
        return {**named, **told}

    def _measured(
        self, line: Line, reading: Reading, before: Tensor, chosen: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """(sample, fraction, draw, factor, target): NaN where nothing was chosen."""
        drawn = self.plan.drawn
        shape = (*chosen.shape[:3], len(drawn.factors), before.shape[1])
        found = np.full(shape, np.nan, np.float32)
        where = np.argwhere(chosen.any(3))
        for first in range(0, len(where), ROWS):
            some = tuple(where[first : first + ROWS].T)
            sample = torch.from_numpy(some[0]).to(before.device)
            which = torch.from_numpy(chosen[some]).to(before.device)
            for place, factor in enumerate(drawn.factors):
                change = line.scaled(reading, sample, which, factor) - before[sample]
                found[(*some, place)] = change.cpu().numpy()
        return found

    def _predicted(
        self, found: list[Found], active: NDArray[np.bool_], chosen: NDArray[np.bool_], first: int
    ) -> NDArray[Any]:
        """(sample, graph, fraction, draw, factor, target): sums of contributions."""
        drawn = self.plan.drawn
        steps = np.asarray(drawn.factors) - 1
        made = []
        for i, (alive, which) in enumerate(zip(active, chosen, strict=True)):
            values = [one.values[i, :, :-1].double().cpu().numpy() for one in found]
            values.append(values[0][:, drawn.shuffled(alive, first + i)])
            sums = np.einsum("mtq,fdq->mfdt", np.stack(values), which.astype(float))
            sums[:, ~which.any(2)] = np.nan
            made.append(sums[..., None, :] * steps[:, None])
        return np.stack(made).astype(np.float32)

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        data = {name: self._drawn_labelled(name, values) for name, values in arrays.items()}
        tree = xr.DataTree(xr.Dataset(data).assign_coords(coords))
        return stamp(tree, "nc.concept_interventions", **self.plan.facts)

    def _drawn_labelled(self, name: str, values: NDArray[Any]) -> xr.DataArray:
        drawn = self.plan.drawn
        every = {
            v.GRAPH: [*PREDICTIONS],
            v.FRACTION: [*drawn.fractions],
            v.DRAW: np.arange(drawn.draws),
            v.FACTOR: [*drawn.factors],
        }
        wanted: dict[str, tuple[str, ...]] = {
            v.MEASURED_CHANGE: (v.FRACTION, v.DRAW, v.FACTOR),
            v.PREDICTED_CHANGE: (v.GRAPH, v.FRACTION, v.DRAW, v.FACTOR),
            v.NODE: (v.DRAW,),
        }
        if name == v.NODE:
            labels = np.asarray(self.plan.source.modes)
            values = np.where(values < 0, -1, labels[values])
        dims = {dim: every[dim] for dim in wanted.get(name, ())}
        if name not in (v.NODE, v.N_NODES):
            dims |= self.target_dims(values)
        if name == v.TARGET_MODE:
            values = self.target_labels[values]
        units = None if name in {*UNITLESS, v.NODE, v.N_NODES} else self.units
        return labelled(values, (self.plan.samples.dim, *dims), dims, name=name, units=units)
