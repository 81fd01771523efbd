"""A request for receptive fields with the network hooked for it: the quick way, batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurocodec import vocabulary as v
from neurocodec.engine.memory import available_memory
from neurocodec.errors import InputError
from neurocodec.fields.plan import Axis, Request
from neurocodec.nn.attribution.passes import Batch, Prefix
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import AGREEMENT, Trace, quickened, trace
from neurocodec.nn.fields.adjoint import Adjoint, local_gradients
from neurocodec.nn.fields.passes import FieldPasses

logger = logging.getLogger(__name__)

Rows = dict[str, NDArray[Any]]

BATCH_BYTES = 2**28
"""What the fields and the passes of one batch may take, which sets the automatic batch size."""
LARGEST_BATCH = 64
FIRST = "(first convolution)"
"""Alias of the first convolution, where the request itself reads another layer or none."""


@dataclass(frozen=True)
class FieldRun:
    """A request with the network hooked for it."""

    request: Request
    passes: FieldPasses
    values: Axis
    parts: Axis
    batch_size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one field: lag, y, x."""
        samples = self.request.samples
        return (samples.history or 1, *samples.values.shape[1:])

    def compute(self, start: int, stop: int, into: Rows | None = None) -> Rows:
        """Fields, or their components, at the chosen times from `start` to `stop`.

        Parameters
        ----------
        start, stop
            Places among the chosen times.
        into
            Arrays of zeros over all times, which whole fields are written into without a copy.
        """
        net = self.request.net
        batch = self.request.batch(start, stop, net.device)
        if self.request.rank is not None:
            rows = self.passes.components(batch, self.request.rank)._asdict()
        elif into and net.device.type == "cpu":
            rows = {v.IRF: self.passes.fields(batch, torch.from_numpy(into[v.IRF][start:stop]))}
        else:
            rows = {v.IRF: self.passes.fields(batch)}
        return {name: self._without_single(x.cpu().numpy()) for name, x in rows.items()}

    def _without_single(self, values: NDArray[Any]) -> NDArray[Any]:
        axes = tuple(i for i, a in ((1, self.values), (2, self.parts)) if a.dim is None)
        return np.squeeze(values, axis=axes)

    def empty(self) -> Rows:
        """Zeros for all fields of the request."""
        return {name: np.zeros(x.shape, x.dtype) for name, x in self.template().items()}

    def template(self) -> Rows:
        """Shape and dtype of what all fields take, in arrays that take no memory."""
        count, rank = self.request.positions.size, self.request.rank
        lead = (count, *(a.size for a in (self.values, self.parts) if a.dim is not None))
        lag, *space = self.shape
        shapes: dict[str, tuple[int, ...]] = {v.IRF: (lag, *space)}
        if rank is not None:
            shapes = {v.TEMPORAL: (rank, lag), v.SPATIAL: (rank, *space), v.ENERGY_SHARE: (rank,)}
        zero = np.zeros((), self.request.samples.values.numpy().dtype)
        return {name: np.broadcast_to(zero, lead + shape) for name, shape in shapes.items()}


@contextmanager
def prepared(request: Request, batch_size: int | None) -> Iterator[FieldRun]:
    """Hook the network, find the quick way where there is one, and bind what is asked for."""
    net = request.net
    with Capture(net.module, _captured(request), net.select).attached() as capture:
        few = request.samples.few(net.device)
        traced = trace(capture, few)
        values, cells = request.values(net.output_names(traced.done.outputs.shape[1]))
        through, parts = request.passing(traced)
        if cells.dim is not None and cells.dim == parts.dim:
            raise InputError(
                came="of= modes through= modes, which would both be the dim 'mode'",
                expected="one of the two along a dim",
                hint="of=modes.dictionary.sel(mode=0)",
            )
        size = batch_size or _batch_size(request, cells, parts, traced)
        plain = FieldPasses(capture, values, through)
        first, expected = _probe(request, plain)
        with local_gradients(net.module), quickened(capture, traced, few):
            quick = _with_adjoint(request, plain, traced)
            if _agree(quick.fields(first), expected):
                yield FieldRun(request, quick, cells, parts, size)
                return
        logger.info("the quick way back through the convolutions is not exact here: off")
        yield FieldRun(request, plain, cells, parts, size)


def _captured(request: Request) -> dict[str, Layer]:
    """Layers of the request, and the first convolution of the windows where there may be one."""
    known = request.layers
    for name, part in request.net.module.named_modules():
        if isinstance(part, nn.Conv2d):
            read = any(x.module == name for x in known.values())
            return known if read else {FIRST: Layer(name), **known}
    return known


def _with_adjoint(request: Request, passes: FieldPasses, traced: Trace) -> FieldPasses:
    """Take the quick way through the first convolution, where one makes the first layer."""
    prefix = Prefix.of(traced)
    if prefix is None or prefix.convolution is None:
        return passes
    weight = prefix.convolution.weight.detach()
    if prefix.standardisation is not None:
        weight = weight / prefix.standardisation.deviation
    height, width = request.samples.values.shape[1:]
    return replace(passes, prefix=prefix, adjoint=Adjoint(weight, (height, width)))


def _probe(request: Request, passes: FieldPasses) -> tuple[Batch, Tensor]:
    """Fields at one of the wanted times, the first of three at which they are not all zero."""
    last = request.positions.size - 1
    for place in sorted({0, last // 2, last}):
        batch = request.batch(place, place + 1, request.net.device)
        fields = passes.fields(batch)
        if bool(fields.any()):
            break
    return batch, fields


def _agree(quick: Tensor, plain: Tensor) -> bool:
    return bool((quick - plain).abs().max() <= AGREEMENT * plain.abs().max())


def _batch_size(request: Request, values: Axis, parts: Axis, traced: Trace) -> int:
    pixels = int(np.prod(request.samples.values.shape[1:]))
    each = _bytes(request) * values.size * parts.size * pixels
    lags = request.samples.history or 1
    size = max(each * (lags if request.rank is None else request.rank), traced.bytes_per_sample)
    return int(np.clip(BATCH_BYTES // max(1, size), 1, LARGEST_BATCH))


def require_memory(run: FieldRun) -> None:
    """Refuse a result that does not fit into free memory, before anything is computed."""
    lag, y, x = run.shape
    rank = run.request.rank
    each = lag * y * x if rank is None else rank * (lag + y * x + 1)
    count = run.request.positions.size * run.values.size * run.parts.size
    needed, free = _bytes(run.request) * each * count, available_memory()
    if free is not None and needed > 0.8 * free:
        raise InputError(
            came=f"{count} fields, which take {needed / 2**30:.3g} GiB",
            expected=f"at most the memory that is free, {free / 2**30:.3g} GiB",
            hint="rank=1, fewer times=, or out='fields.zarr'",
        )


def _bytes(request: Request) -> int:
    return request.samples.values.element_size()
