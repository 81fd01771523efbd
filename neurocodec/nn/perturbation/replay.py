"""The part of a network after one layer, run again and again with that layer's channels masked."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neurocodec.nn.capture.graph import bypassed
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import agree
from neurocodec.nn.fast.convolution import replaced_forward

logger = logging.getLogger(__name__)

Skipped = tuple[tuple[nn.Module, torch.Size], ...]
"""Modules, and the shape of what they return."""

START = "where a replay starts"
"""Alias of the input of the part around a layer from which it is resumed."""


@dataclass(frozen=True)
class Remainder:
    """What comes after a layer, or after the start of the part of the network around it."""

    capture: Capture  # hooks on the layer, and perhaps on `START`, attached and traced
    alias: str
    skipped: Skipped | None  # a replay lets them return zeros; None where it is a whole pass

    @classmethod
    def of(cls, capture: Capture, alias: str, x: Tensor) -> Remainder:
        """Find what can be skipped; checked by the graph of a pass, and by its numbers."""
        full = capture.look(x)
        if bypassed(capture, x):
            return cls(capture, alias, None)
        rest = cls(capture, alias, finished_before(capture, x))
        with rest.resumed():
            again = Pass(rest.answers(x, full.hidden), full.hidden)
        if agree(again, full):
            return rest
        logger.info("a replay from layer %r differs from the whole network", alias)
        return cls(capture, alias, None)

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.capture.layers[self.alias]

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Let what comes before return zeros, for the length of a ``with`` block."""
        with ExitStack() as stack:
            for module, shape in self.skipped or ():
                stack.enter_context(replaced_forward(module, partial(_zeros, shape[1:])))
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


@dataclass
class _Finished:
    """Modules that ran, and what those returned that finished before the layer was reached."""

    capture: Capture
    ran: Counter[nn.Module] = field(default_factory=Counter)
    shapes: dict[nn.Module, torch.Size] = field(default_factory=dict)

    def note(self, name: str, part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.ran[part] += 1
        first = self.capture.first_seen
        layer = None if first is None else self.capture.layers[first]
        itself = layer is not None and layer.module == name and layer.at == "output"
        if (itself or layer is None) and _one_tensor(args) and isinstance(output, Tensor):
            self.shapes[part] = output.shape


def finished_before(capture: Capture, x: Tensor) -> Skipped:
    """Find the largest modules that have finished when the first captured layer is reached."""
    hooked = {
        part
        for part in capture.module.modules()
        if part._forward_hooks or part._forward_pre_hooks  # noqa: SLF001
    }
    seen = _Finished(capture)
    with ExitStack() as stack:
        for name, part in capture.module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):  # which takes no hooks
                continue
            hook = part.register_forward_hook(
                lambda part, args, output, name=name: seen.note(name, part, args, output)
            )
            stack.callback(hook.remove)
        capture.look(x)
    # those that run once in a pass, with nothing hooked inside; the layer itself included
    inside = {part: {*part.modules()} - {part} for part in seen.shapes}
    whole = [p for p in seen.shapes if seen.ran[p] == 1 and not hooked & inside[p]]
    within = {inner for part in whole for inner in inside[part]}
    return tuple((part, seen.shapes[part]) for part in whole if part not in within)


def _one_tensor(args: tuple[Any, ...]) -> bool:
    return len(args) == 1 and isinstance(args[0], Tensor)


def _zeros(shape: torch.Size, x: Tensor) -> Tensor:
    # numbers of their own, where an expanded zero would do: what follows may work in place
    return x.new_zeros((len(x), *shape))
