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


START = "where a replay starts"
"""Alias of the input of the part around a layer from which it is resumed."""


@dataclass(frozen=True)
class Remainder:
    """What comes after a layer, or after the start of the part of the network around it.

    Parameters
    ----------
    capture
        Hooks on the layer, and perhaps on where a replay starts, attached; a network of which a
        pass was seen (`tracing.trace`).
    alias
        The layer.
    skipped
        The largest modules that have finished where a replay starts, and the shape of what they
        return: a replay lets them return zeros. None where the answer depends on the input in
        another way; then every replay is a whole pass.

    Examples
    --------
    >>> module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    >>> x = torch.ones(3, 2)
    >>> with Capture(module, {"a": Layer("0")}).attached() as capture:
    ...     rest = Remainder.of(capture, "a", x)
    ...     with rest.resumed():
    ...         rest.answers(x[:1], {"a": torch.tensor([[-1.0, 2.0]])})
    tensor([[0., 2.]])
    """

    capture: Capture
    alias: str
    skipped: Skipped | None

    @classmethod
    def of(cls, capture: Capture, alias: str, x: Tensor) -> Remainder:
        """Find what can be skipped; checked by the graph of a pass, and by its numbers.

        Parameters
        ----------
        capture
            With the layer, and with `START` where a replay shall start there.
        alias
            The layer.
        x
            A few samples.
        """
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
        """Outputs (sample, output) for activations.

        Parameters
        ----------
        x
            Inputs; their values count only where whole passes are needed.
        hidden
            Activations of the captured layers, one per sample.
        """
        with torch.no_grad():
            return self.capture.run(x, hidden).outputs

    def perturbed(
        self,
        x: Tensor,
        hidden: Mapping[str, Tensor],
        row: Tensor,
        keep: Tensor,
        fill: Tensor | None = None,
    ) -> Tensor:
        """Outputs with channels of the layer replaced, each row in a way of its own.

        Parameters
        ----------
        x
            Inputs (sample, ...).
        hidden
            Activations (sample, ...) of the captured layers at these; not changed.
        row
            (row,), the sample that each row is made from.
        keep
            (row, channel), 1 where a channel stays as it is and 0 where it is replaced.
        fill
            (channel,), what channels are replaced by; zeros where None.

        Returns
        -------
        torch.Tensor
            (row, output).
        """
        changed = {self.alias: mask_rows(self.layer, hidden[self.alias][row], keep, fill)}
        if self.skipped is None:
            return self.answers(x[row], changed)
        if START in hidden:
            changed[START] = hidden[START][row]
        return self.answers(x[:1].expand(len(row), *x.shape[1:]), changed)


def starts(layer: Layer) -> Iterator[Layer]:
    """Inputs of the parts of a network around a layer, the smallest part first.

    A way around the layer inside such a part (a residual connection) is then computed again.

    Parameters
    ----------
    layer
        The layer.

    Examples
    --------
    >>> [start.module for start in starts(Layer("blocks.3.attn.proj"))]
    ['blocks.3.attn', 'blocks.3', 'blocks']
    """
    name = layer.module
    while name := name.rpartition(".")[0]:
        yield Layer(name, at="input")


def mask_rows(layer: Layer, rows: Tensor, keep: Tensor, fill: Tensor | None = None) -> Tensor:
    """Replace channels, in place: `rows` is a copy that nobody else has.

    Parameters
    ----------
    layer
        Says where the channels are.
    rows
        (row, ...), in the layer's own layout.
    keep
        (row, channel), 1 or 0.
    fill
        (channel,).

    Examples
    --------
    >>> mask_rows(Layer("0"), torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([[0., 2.]])
    """
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
    """Find the largest modules that have finished when the first captured layer is reached.

    Parameters
    ----------
    capture
        Hooks, attached.
    x
        A few samples.

    Returns
    -------
    tuple of (Module, Size)
        The layer itself included. Each runs once in a pass, takes one tensor and returns one, and
        nobody has hooked what is inside of it; the size is that of what it returns.
    """
    hooked = {
        part
        for part in capture.module.modules()
        if part._forward_hooks or part._forward_pre_hooks  # noqa: SLF001
    }
    seen = _Finished(capture)
    with ExitStack() as stack:
        for name, part in capture.module.named_modules():
            hook = part.register_forward_hook(
                lambda part, args, output, name=name: seen.note(name, part, args, output)
            )
            stack.callback(hook.remove)
        capture.look(x)
    inside = {part: {*part.modules()} - {part} for part in seen.shapes}
    whole = [p for p in seen.shapes if seen.ran[p] == 1 and not hooked & inside[p]]
    within = {inner for part in whole for inner in inside[part]}
    return tuple((part, seen.shapes[part]) for part in whole if part not in within)


def _one_tensor(args: tuple[Any, ...]) -> bool:
    return len(args) == 1 and isinstance(args[0], Tensor)


def _zeros(shape: torch.Size, x: Tensor) -> Tensor:
    # numbers of their own, where an expanded zero would do: what follows may work in place
    return x.new_zeros((len(x), *shape))
