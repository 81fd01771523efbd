"""One call of `nc.receptive_fields`, checked, with the quick way back where that is exact."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from neurocodec import vocabulary as v
from neurocodec.engine.memory import Budget, require_memory
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import Session, hooked, some_of
from neurocodec.errors import CaptureError, InputError
from neurocodec.fields.choice import Axis, Choice
from neurocodec.labels import fingerprint, labelled, lag_coordinate, plain, stamp
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch, Prefix
from neurocodec.nn.capture.shortcuts import with_own_kernels
from neurocodec.nn.capture.tracing import close
from neurocodec.nn.fields.adjoint import Adjoint, local_gradients
from neurocodec.nn.fields.passes import FieldPasses

logger = logging.getLogger(__name__)

FIRST: Final = "(first convolution)"
"""Alias of the first convolution, where the call itself reads another layer or none."""
VARIABLES: Final = (v.IRF, v.TEMPORAL, v.SPATIAL, v.ENERGY_SHARE)


@dataclass(frozen=True)
class FieldPlan(Plan):
    """One call of `nc.receptive_fields`, checked."""

    what: ClassVar[str] = "receptive fields"
    budget: ClassVar[Budget] = Budget({"cpu": 2**28}, {"cpu": 64})
    chunked_by_batches: ClassVar[bool] = False  # a batch of whole fields would be a huge chunk

    movie: xr.DataArray
    whole: Samples  # at all times
    positions: NDArray[np.intp]  # of the samples, among all
    choice: Choice
    rank: int | None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        of_network = self.of_network
        known = ["model", "module_sha256", "weights_sha256", "state_sha256", "history"]
        known += [name for name in ("perturbation", "select") if of_network[name]]
        layer = self.choice.layer
        facts = {
            **{name: of_network[name] for name in known},
            **self.choice.facts,
            "layer": self.layers[layer] if layer else None,
            "rank": self.rank,
            "times_sha256": fingerprint(self.positions),
            "data_sha256": self.whole.sha256,
        }
        return plain(facts)

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the times: variables, dims, labels."""
        outputs = {self.net.output_dim, *self.net.output_coords, v.CHANNEL, v.MODE}
        return {*VARIABLES, *chain.from_iterable(self.dims.values()), *outputs}

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of one field, and of its components; space has colours where the movie has."""
        space = self.samples.dims
        return {
            v.IRF: (v.LAG, *space),
            v.TEMPORAL: (v.COMPONENT, v.LAG),
            v.SPATIAL: (v.COMPONENT, *space),
            v.ENERGY_SHARE: (v.COMPONENT,),
        }

    @property
    def asked(self) -> Mapping[str, Any]:
        """What is differentiated, and the labels of pixels and times."""
        labels = {d: c.values for d, c in self.movie.coords.items() if d in self.samples.dims}
        return {"fields": (self.choice, labels)}

    def captured(self) -> dict[str, Layer]:
        """Layers of the call, and the first convolution of the windows where there may be one."""
        for name, part in self.net.module.named_modules():
            if isinstance(part, nn.Conv2d):
                read = any(x.module == name for x in self.layers.values())
                return self.layers if read else {FIRST: Layer(name), **self.layers}
        return self.layers

    @contextmanager
    def opened(self) -> Iterator[Fields]:
        """Hook the network, and take the quick way back to the windows where that is exact."""
        few = self.samples.few(self.net.device)
        with ExitStack() as stack:
            session = self._hooked(stack, few)
            plainly = replace(self, known=session.known).bound(session)
            first, expected = plainly.probe()
            safe = with_own_kernels(session.traced.flow, session.capture.module)
            with local_gradients(safe), session.quickened():
                quick = plainly.quick(session)
                if close(quick.passes.fields(first), expected):
                    yield quick
                    return
            logger.info("the quick way back through the convolutions is not exact here: off")
            yield plainly

    def _hooked(self, stack: ExitStack, few: Tensor) -> Session:
        """Hook the first convolution too, where it can be: nobody asked for it."""
        captured = self.captured()
        try:
            return stack.enter_context(hooked(self.net, captured, few))
        except CaptureError:
            if FIRST not in captured:
                raise
            return stack.enter_context(hooked(self.net, self.layers, few))

    def bound(self, session: Session) -> Fields:
        """Bind what is differentiated to the network's outputs and layers."""
        layers = session.capture.layers
        values, cells = self.choice.values(self.net, layers, session.outputs)
        through, parts = self.choice.passing(layers, session.traced)
        if cells.dim is not None and cells.dim == parts.dim:
            raise InputError(
                came="of= modes through= modes, which would both be the dim 'mode'",
                expected="one of the two along a dim",
                hint="of=modes.dictionary.sel(mode=0)",
            )
        lags, *space = self.samples.window_shape
        kept = (lags if self.rank is None else self.rank) * math.prod(space)
        fields = self.itemsize * cells.size * parts.size * kept
        passes = FieldPasses(session.capture, values, through)
        size = max(fields, session.bytes_per_sample)
        return Fields(self.told(session), size, passes, cells, parts, session.traced.done)

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.samples.values.element_size()

    @property
    def units(self) -> str:
        """Units of what is differentiated."""
        if isinstance(self.choice.of, Target):
            return self.choice.of.units or "target"
        if self.choice.of is not None:
            return "activation"
        return v.HERTZ if self.net.output_dim == v.CELL else "response"


@dataclass(frozen=True)
class Fields(Bound):
    """A plan of fields with the network that it runs on."""

    plan: FieldPlan
    passes: FieldPasses
    values: Axis
    parts: Axis
    few: Pass

    def answers(self) -> list[list[float]]:
        """What is differentiated, at the few samples that were traced."""
        with torch.no_grad():
            return [some_of(self.passes.values(self.few))]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what there is of one sample, by name; (value, part) in front where these are."""
        lags, *space = self.plan.samples.window_shape
        rank = self.plan.rank
        lead = tuple(a.size for a in (self.values, self.parts) if a.dim is not None)
        if rank is None:
            return {v.IRF: (*lead, lags, *space)}
        inner = {v.TEMPORAL: (rank, lags), v.SPATIAL: (rank, *space), v.ENERGY_SHARE: (rank,)}
        return {name: lead + shape for name, shape in inner.items()}

    def require_memory(self) -> None:
        """Refuse a result that does not fit into memory, before anything is computed."""
        times = len(self.plan.samples)
        numbers = times * sum(math.prod(shape) for shape in self.shapes.values())
        require_memory(
            f"{times * self.values.size * self.parts.size} fields",
            numbers * self.plan.itemsize,
            hint="rank=1, fewer times=, or out='fields.zarr'",
        )

    def zeros(self, size: int) -> Arrays:
        """Arrays that whole fields are written into without a copy; none on a GPU."""
        if self.plan.rank is not None or self.plan.net.device.type != "cpu":
            return {}
        kind = self.plan.samples.values.numpy().dtype
        return {name: np.zeros((size, *shape), kind) for name, shape in self.shapes.items()}

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Fields of a batch, or their components."""
        if self.plan.rank is not None:
            found: Mapping[str, Tensor] = self.passes.components(batch, self.plan.rank)._asdict()
        elif into:
            found = {v.IRF: self.passes.fields(batch, torch.from_numpy(into[v.IRF]))}
        else:
            found = {v.IRF: self.passes.fields(batch)}
        alone = tuple(i for i, a in ((1, self.values), (2, self.parts)) if a.dim is None)
        return {name: np.squeeze(x.cpu().numpy(), axis=alone) for name, x in found.items()}

    def probe(self) -> tuple[Batch, Tensor]:
        """Fields at one of the wanted times, the first of three at which they are not all zero."""
        samples = self.plan.samples
        last = len(samples) - 1
        for place in sorted({0, last // 2, last}):
            batch = samples.batch(place, place + 1, self.plan.net.device)
            fields = self.passes.fields(batch)
            if bool(fields.any()):
                break
        return batch, fields

    def quick(self, session: Session) -> Fields:
        """Take the quick way through the first convolution, where one makes the first layer."""
        prefix = Prefix.of(session.capture, session.traced)
        if prefix is None or prefix.convolution is None or len(self.plan.samples.dims) > 2:
            return self
        weight = prefix.convolution.weight.detach()
        if prefix.standardisation is not None:
            weight = weight / prefix.standardisation.deviation
        height, width = self.plan.samples.values.shape[1:]
        adjoint = Adjoint(weight, (height, width))
        return replace(self, passes=replace(self.passes, prefix=prefix, adjoint=adjoint))

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the fields."""
        outer = (v.TIME, *(str(a.dim) for a in (self.values, self.parts) if a.dim is not None))
        units = f"{self.plan.units} per unit of stimulus"
        variables = {
            name: labelled(
                values,
                outer + self.plan.dims[name],
                name=name,
                units=units if name in (v.IRF, v.SPATIAL) else None,
            )
            for name, values in arrays.items()
        }
        result = xr.Dataset(variables).assign_coords(self._coords(coords))
        return stamp(xr.DataTree(result), "nc.receptive_fields", **self.plan.facts)

    def _coords(self, of_samples: Mapping[str, xr.Variable]) -> dict[str, Any]:
        movie, net = self.plan.movie, self.plan.net
        coords: dict[str, Any] = {**self.values.coords, **self.parts.coords, **of_samples}
        samples = self.plan.samples
        coords |= {d: samples.pixels[d] for d in samples.dims if d in samples.pixels}
        coords[v.LAG] = lag_coordinate(net.history or 1, movie, net.frame_rate, samples.own)
        if self.plan.rank is not None:
            coords[v.COMPONENT] = np.arange(self.plan.rank)
        return coords
