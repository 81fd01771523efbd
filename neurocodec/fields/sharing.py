"""One call of `nc.effective_fields`, checked: which vectors, one batch, labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.session import Session
from neurocodec.errors import InputError
from neurocodec.kernels.boxes import field_boxes, with_context
from neurocodec.labels import fingerprint, labelled, plain, stamp
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.fields.sharing import Shared, Sharing, input_gradients

Way: TypeAlias = Literal["sharing", "input_gradient"]
WAYS: Final = ("sharing", "input_gradient")
SHARE: Final = 0.9
"""Part of a field's size, along each axis, that its box holds."""
EDGES: Final = ("top", "bottom", "left", "right")
Fields: TypeAlias = Callable[[Tensor, Sequence[tuple[int, ...]]], Shared]


@dataclass(frozen=True)
class SharingPlan(Plan):
    """One call of `nc.effective_fields`, checked."""

    what: ClassVar[str] = "effective fields"

    positions: NDArray[np.intp] | None  # (sample, axis) in the layer; None for the middle
    method: Way
    colors: bool  # whether colours are told apart
    context: float

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        where = None if self.positions is None else fingerprint(self.positions)
        facts = {
            **self.of_network,
            "layer": self.alias,
            "layers": self.layers,
            "positions_sha256": where,
            "method": self.method,
            "colors": self.colors,
            "context": self.context,
            "data_sha256": self.samples.sha256,
        }
        return plain(facts)

    @property
    def alias(self) -> str:
        """The layer."""
        return next(iter(self.layers))

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables and dims."""
        return {v.EFFECTIVE_FIELD, v.FIELD_BOX, v.COMPLETENESS_ERROR, v.EDGE, v.COLOR, v.Y, v.X}

    @property
    def asked(self) -> Mapping[str, Any]:
        """Labels of the pixels."""
        return {"fields": {d: c.values for d, c in self.samples.pixels.items()}}

    def bound(self, session: Session) -> EffectiveFields:
        """Find the ways back, and refuse positions that the layer does not have."""
        capture, alias = session.capture, self.alias
        maps = capture.layers[alias].channels_first(session.traced.done.hidden[alias])
        sizes = tuple(maps.shape[2:])
        self._require_positions(sizes)
        fields: Fields = partial(input_gradients, capture, alias)
        if self.method == "sharing":
            fields = Sharing.of(capture, session.traced.flow, alias, session.few).fields
        size = 2 * session.bytes_per_sample  # what activation functions read, and what they return
        return EffectiveFields(self.told(session), size, fields, sizes)

    def _require_positions(self, sizes: tuple[int, ...]) -> None:
        if not sizes:
            raise InputError(
                came=f"layer {self.alias!r}, which has no positions",
                expected="a layer of maps or tokens",
                hint="a layer before the pooling",
            )
        if self.positions is None:
            return
        if self.positions.shape[1] != len(sizes):
            raise InputError(
                came=f"positions of {self.positions.shape[1]} numbers in layer {self.alias!r},"
                f" whose maps are {sizes}",
                expected=f"{len(sizes)} numbers, " + "(y, x)" * (len(sizes) == 2),
                hint=f"positions={tuple(n // 2 for n in sizes)}",
            )
        outside = ((self.positions < 0) | (self.positions >= sizes)).any(1)
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            raise InputError(
                came=f"position {tuple(self.positions[first].tolist())} in layer {self.alias!r},"
                f" whose maps are {sizes}",
                expected="positions from 0 on, inside of the maps",
                hint=f"positions={tuple(n // 2 for n in sizes)}",
            )


@dataclass(frozen=True)
class EffectiveFields(Bound):
    """A plan of effective fields with the network that it runs on."""

    plan: SharingPlan
    fields: Fields
    sizes: tuple[int, ...]  # of the layer's maps

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Fields of one batch."""
        del into
        places = self._places(slice(batch.first, batch.first + len(batch.x)))
        found = self.fields(batch.x, [tuple(map(int, place)) for place in places])
        values, shared = found.shares, self.plan.method == "sharing"
        several = v.COLOR in self.plan.samples.dims
        whole = values
        if several:
            color = 1 + self.plan.samples.dims.index(v.COLOR)
            whole = values.sum(color) if shared else torch.linalg.vector_norm(values, dim=color)
        elif not shared:
            whole = values.abs()
        if not bool(whole.isfinite().all()):
            raise InputError(
                came=f"a field that is not finite, of image {batch.first} or one after it",
                expected="finite numbers from the network",
            )
        maps = whole.cpu().numpy()
        boxes = with_context(field_boxes(maps, SHARE), self.plan.context, maps.shape[1:])
        field = values.cpu().numpy() if self.plan.colors else maps
        rows: Arrays = {v.EFFECTIVE_FIELD: field, v.FIELD_BOX: boxes}
        if shared:
            total = values.flatten(1).sum(1, dtype=torch.float64)
            error = (total - found.alive.to(total)).to(values.dtype)
            rows[v.COMPLETENESS_ERROR] = error.cpu().numpy()
        return rows

    def _places(self, rows: slice) -> NDArray[np.intp]:
        if self.plan.positions is not None:
            return self.plan.positions[rows]
        middle = np.array([n // 2 for n in self.sizes], np.intp)
        return np.broadcast_to(middle, (rows.stop - rows.start, len(middle)))

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        samples = self.plan.samples
        pixels = tuple(d for d in samples.dims if self.plan.colors or d != v.COLOR)
        dims = {v.EFFECTIVE_FIELD: pixels, v.FIELD_BOX: (v.EDGE,), v.COMPLETENESS_ERROR: ()}
        shared = self.plan.method == "sharing"
        units = {v.EFFECTIVE_FIELD: v.DIMENSIONLESS if shared else v.ARBITRARY}
        variables = {
            name: labelled(values, (samples.dim, *dims[name]), name=name, units=units.get(name))
            for name, values in arrays.items()
        }
        known = {d: c for d, c in samples.pixels.items() if d in pixels}
        result = xr.Dataset(variables).assign_coords({**coords, **known, v.EDGE: [*EDGES]})
        return stamp(xr.DataTree(result), "nc.effective_fields", **self.plan.facts)
