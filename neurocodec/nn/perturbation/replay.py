"""The part of a network after one layer, run again and again with that layer's channels masked."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from neurocodec.nn.capture.flow import Flow
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.shortcuts import Skipped, skippable, zeroed
from neurocodec.nn.capture.tracing import agree, inspect

logger = logging.getLogger(__name__)

START = "where a replay starts"
"""Alias of the input of the part around a layer from which it is resumed."""


@dataclass(frozen=True)
class Remainder:
    """What comes after a layer, or after the start of the part of the network around it."""

    capture: Capture  # hooks on the layer, and perhaps on `START`, attached and traced
    alias: str
    skipped: Skipped | None  # a replay lets them return zeros; None where it is a whole pass

    @classmethod
    def of(cls, capture: Capture, alias: str, x: Tensor, flow: Flow | None = None) -> Remainder:
        """Find what can be skipped; proved by the flow of a plain pass, checked by its numbers."""
        flow = inspect(capture, x)[0] if flow is None else flow
        if flow.goes_round():
            return cls(capture, alias, None)
        full = capture.look(x)
        rest = cls(capture, alias, skippable(flow, capture.module, {*capture.layers}))
        try:
            with rest.resumed():
                same = agree(Pass(rest.answers(x, full.hidden), full.hidden), full)
        except Exception:  # noqa: BLE001 - of whatever kind: then all of it is computed
            same = False
        if not same:
            logger.info("a replay from layer %r differs from the whole network", alias)
        return rest if same else cls(capture, alias, None)

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.capture.layers[self.alias]

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Let what comes before return zeros, for the length of a ``with`` block."""
        with zeroed(self.skipped or ()):
            yield

    def answers(self, x: Tensor, hidden: Mapping[str, Tensor]) -> Tensor:
        """Outputs (sample, output) for activations; values of `x` count in whole passes only."""
        with torch.no_grad():
            return self.capture.run(x, hidden).outputs

    def perturbed(
        self,
        x: Tensor,
        hidden: Mapping[str, Tensor],
        row: Tensor,  # (row,), the sample that each row is made from
        keep: Tensor,  # (row, channel), 1 where a channel stays and 0 where it is replaced
        fill: Tensor | None = None,  # (channel,), zeros where None
    ) -> Tensor:
        """Outputs (row, output), with channels of the layer replaced row by row."""
        changed = {self.alias: mask_rows(self.layer, hidden[self.alias][row], keep, fill)}
        if self.skipped is None:
            return self.answers(x[row], changed)
        if START in hidden:
            changed[START] = hidden[START][row]
        return self.answers(x[:1].expand(len(row), *x.shape[1:]), changed)


def starts(layer: Layer) -> Iterator[Layer]:
    """Inputs of the parts of a network around a layer, the smallest part first."""
    # a way around the layer inside such a part (a residual connection) is then computed again
    name = layer.module
    while name := name.rpartition(".")[0]:
        yield Layer(name, at="input")


def mask_rows(layer: Layer, rows: Tensor, keep: Tensor, fill: Tensor | None = None) -> Tensor:
    """Replace channels, in place: `rows` is a copy that nobody else has; `keep` (row, channel)."""
    view = layer.channels_first(rows)
    inner = [1] * (view.ndim - 2)
    factor = keep.to(view.dtype).reshape(*keep.shape, *inner)
    view.mul_(factor)
    if fill is not None:
        view.add_((1 - factor) * fill.to(view.dtype).reshape(1, -1, *inner))
    return rows
