"""Gradients of responses with respect to windows of a movie: instantaneous receptive fields.

Where the first captured layer is one convolution of the windows, the backward passes stop there and
its adjoint does the rest; any other network is differentiated down to the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.capture.hooks import Capture, Pass, gradients
from neurocodec.nn.capture.prefix import Batch, Prefix
from neurocodec.nn.fields.adjoint import Adjoint, Separated, separate

Values = Callable[[Pass], Tensor]
"""What is differentiated: (sample, value), one column per cell or mode."""
Place = tuple[slice, int, int]


@dataclass(frozen=True)
class Through:
    """Channels of a layer that a field is restricted to."""

    alias: str
    weights: Tensor  # (part, channel); each part multiplies the gradient at the layer by its row


class _Forward(NamedTuple):
    """One forward pass: what it left, where gradients stop, and what is differentiated."""

    done: Pass
    base: Tensor
    values: Tensor


@dataclass(frozen=True)
class FieldPasses:
    """Gradients of several values with respect to the windows that they answer."""

    capture: Capture
    values: Values
    through: Through | None = None  # one part, of all channels, where None
    prefix: Prefix | None = None  # the first captured layer, where it is one convolution
    adjoint: Adjoint | None = None  # of that convolution

    def fields(self, batch: Batch, out: Tensor | None = None) -> Tensor:
        """Whole fields (time, value, part, lag, y, x); `out`, where given, is zeros."""
        start = self._forward(batch)
        shape = (*self._shape(start), *batch.x.shape[1:])
        found = start.base.new_zeros(shape) if out is None else out.view(shape)
        for place, gradient in self._gradients(start):
            if self.adjoint is None:
                found[place] = gradient
            else:
                self.adjoint.fields(gradient, found[place])
        return found

    def components(self, batch: Batch, rank: int) -> Separated:
        """Separable components of the fields: (time, value, part, component, ...)."""
        start = self._forward(batch)
        lags, *size = batch.x.shape[1:]
        lead = (*self._shape(start), rank)
        found = Separated(*(start.base.new_empty(*lead, *s) for s in ((lags,), size, ())))
        for place, gradient in self._gradients(start):
            separated = (
                separate(gradient, rank)
                if self.adjoint is None
                else self.adjoint.components(gradient, rank)
            )
            for whole, one in zip(found, separated, strict=True):
                whole[place] = one
        return found

    def _shape(self, start: _Forward) -> tuple[int, int, int]:
        parts = 1 if self.through is None else len(self.through.weights)
        return (*start.values.shape, parts)

    def _forward(self, batch: Batch) -> _Forward:
        with torch.enable_grad():
            done, base = self._run(batch)
            return _Forward(done, base, self.values(done))

    def _run(self, batch: Batch) -> tuple[Pass, Tensor]:
        if self.prefix is None:
            x = batch.x.detach().clone().requires_grad_()
            return self.capture.run(x), x
        hidden = self.prefix.convolve(batch)
        if hidden is None:
            done = self.capture.run(batch.x)
        else:
            with self.prefix.skipped():
                done = self.capture.run(batch.x, {self.prefix.layer: hidden})
        return done, done.hidden[self.prefix.layer]

    def _gradients(self, start: _Forward) -> Iterator[tuple[Place, Tensor]]:
        """Gradients at the first layer or the windows, with their place in the result."""
        for column in range(start.values.shape[1]):
            value = start.values[:, column].sum()
            for part, gradient in enumerate(self._parts(value, start)):
                yield (slice(None), column, part), gradient

    def _parts(self, value: Tensor, start: _Forward) -> Iterator[Tensor]:
        if self.through is None:
            yield _gradient(value, start.base)
            return
        layer = self.capture.layers[self.through.alias]
        hidden = start.done.hidden[self.through.alias]
        whole = _gradient(value, hidden)
        for weights in self.through.weights:
            part = torch.zeros_like(whole)
            channels = layer.channels_first(part)
            shape = (-1, *(1,) * (channels.ndim - 2))
            channels.copy_(layer.channels_first(whole) * weights.reshape(shape))
            yield part if hidden is start.base else _gradient(hidden, start.base, part)


def _gradient(value: Tensor, base: Tensor, given: Tensor | None = None) -> Tensor:
    found: tuple[Tensor | None, ...] = (None,)
    if value.requires_grad:
        found = gradients(value, base, given, retain_graph=True)
    if found[0] is None:
        raise CaptureError(
            came="a value that does not depend on the stimulus by way of the layer that was given",
            expected="layers between the stimulus and what is differentiated",
        )
    if not bool(found[0].sum().isfinite()):
        raise InputError(came="a gradient that is not finite", expected="finite numbers")
    return found[0]
