"""The part of a layer's maps that one position of a later layer can see, by the flow of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from torch import Tensor

from neurocodec.nn.capture.flow import Flow, Seen, Step
from neurocodec.nn.capture.shortcuts import BATCH_NORMS

Range: TypeAlias = tuple[int, int]
"""First position along an axis, and the one after the last."""

POINTWISE: Final = {
    "add",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clone",
    "div",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "mul",
    "neg",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "sub",
    "tanh",
    "threshold",
}
"""Operations by which a position depends on that position alone, also in place."""
POOLS: Final = {"avg_pool1d", "avg_pool2d", "avg_pool3d"}
POOLS_BY_WINNER: Final = {"max_pool2d_with_indices", "max_pool3d_with_indices"}


@dataclass(frozen=True)
class Window:
    """A box in the maps of a layer, and where a position lies in what is made of that box alone."""

    box: tuple[Range, ...]
    position: tuple[int, ...]  # in the later layer
    place: tuple[int, ...]  # the same, where that is made of the box

    def cut(self, maps: Tensor) -> Tensor:
        """Take the box out of (sample, channel, positions...)."""
        inside: tuple[Any, ...] = (..., *(slice(*sides) for sides in self.box))
        return maps[inside]

    def laid(self, values: Tensor, maps: Tensor) -> Tensor:
        """Put values of the box where it lies in maps that are zero elsewhere."""
        found = maps.new_zeros((*values.shape[:2], *maps.shape[2:]))
        self.cut(found).copy_(values)
        return found

    def read(self, maps: Tensor) -> Tensor:
        """(sample, channel) at the position, of the later layer as it is made of the box."""
        return at(maps, self.place)


def at(maps: Tensor, position: tuple[int, ...]) -> Tensor:
    """(sample, channel) of maps at a position."""
    index: tuple[Any, ...] = (..., *position)
    return maps[index]


def window_of(flow: Flow, start: str, end: str, position: Sequence[int]) -> Window | None:
    """Find the box of a layer beyond which nothing reaches a position of a later one.

    None where that is not proved, and where it is not much less than the whole.
    """
    seen, first = flow.layers[end], flow.layers[start]
    if not flow.proves or flow.passes_by(start, end) or len(seen.shape) != 2 + len(position):
        return None
    search = _Search(flow, start)
    try:
        search.need(seen.value, tuple(_Axis(p, p + 1) for p in position))
        for index in sorted(flow.live((start,), [seen])[0], reverse=True):
            search.go_through(flow.steps[index])
    except _UnprovedError:
        return None
    found = search.start
    if found is None or len(first.shape) != len(seen.shape) or not _is_dense(first):
        return None
    pairs = [(axis.aligned(n), n) for axis, n in zip(found, first.shape[2:], strict=True)]
    box = tuple(sides for sides, _ in pairs)
    inside, whole = 1, 1
    for (low, high), size in pairs:
        inside, whole = inside * (high - low), whole * size
    if inside > LARGEST * whole:
        return None
    shifts = (low // axis.step for (low, _), axis in zip(box, found, strict=True))
    place = tuple(p - s for p, s in zip(position, shifts, strict=True))
    return Window(box, (*position,), place)


LARGEST: Final = 0.7
"""Share of a map from which on cutting it is not worth the trouble."""


class _UnprovedError(Exception):
    """Something on the way is not known to depend on a box."""


@dataclass(frozen=True)
class _Axis:
    """What is needed along an axis, and how many of its positions make one of the end's."""

    low: int
    high: int
    step: int = 1

    def before(self, size: int, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
        """The same of what a convolution or pool with these settings reads."""
        low = self.low * stride - padding
        high = (self.high - 1) * stride - padding + dilation * (kernel - 1) + 1
        return _Axis(max(low, 0), min(high, size), self.step * stride)

    def together(self, other: _Axis) -> _Axis:
        if self.step != other.step:
            raise _UnprovedError
        return _Axis(min(self.low, other.low), max(self.high, other.high), self.step)

    def aligned(self, size: int) -> Range:
        """The range, from a multiple of the step on, so that positions of the end keep theirs."""
        return self.low // self.step * self.step, min(self.high, size)


@dataclass
class _Search:
    """Goes back from an end to a layer, and gathers what is needed of every value between."""

    flow: Flow
    layer: str
    start: tuple[_Axis, ...] | None = None
    needed: dict[int, tuple[_Axis, ...]] = field(default_factory=dict)

    def need(self, value: int, axes: tuple[_Axis, ...]) -> None:
        """Note what is needed of a value; one that a captured layer hands on is that layer's."""
        while (alias := self.flow.handed.get(value)) not in (None, self.layer):
            value = self.flow.layers[str(alias)].value
        known = self.start if alias == self.layer else self.needed.get(value)
        if known is not None:
            axes = tuple(a.together(b) for a, b in zip(axes, known, strict=True))
        if alias == self.layer:
            self.start = axes
        else:
            self.needed[value] = axes

    def go_through(self, step: Step) -> None:
        """Note what a step needs for what is needed of it."""
        made = [seen for seen in step.makes if seen.value in self.needed]
        if not made:
            return
        if made != [step.makes[0]] or not _is_dense(made[0]):
            raise _UnprovedError
        axes = self.needed[made[0].value]
        for name, read in step.reads:
            if not self.flow.sources[read.value]:
                self._require_same_everywhere(step, name, read, len(axes))
            else:
                self._require_all(read)
                self.need(read.value, _before(step, name, read, made[0], axes))

    def _require_all(self, read: Seen) -> None:
        """Refuse to go on behind a view: a part, or other axes, of the numbers that were made."""
        alias = self.flow.handed.get(read.value)
        if alias is not None:
            whole = self.flow.layers[alias]
        else:
            made = self.flow.steps[self.flow.maker[read.value]].makes
            whole = next(seen for seen in made if seen.value == read.value)
        if (read.shape, read.stride) != (whole.shape, whole.stride) or read.offset:
            raise _UnprovedError

    def _require_same_everywhere(self, step: Step, name: str, read: Seen, axes: int) -> None:
        """Refuse numbers that are not of the input but differ from position to position."""
        if _is_convolution(step) and name != "input":
            return
        normal = step.name in BATCH_NORMS and name != "input"
        if not normal and any(n > 1 for n in read.shape[-axes:]):
            raise _UnprovedError


def _before(
    step: Step, name: str, read: Seen, made: Seen, axes: tuple[_Axis, ...]
) -> tuple[_Axis, ...]:
    base = step.name.partition(".")[0]
    pool = base in POOLS or base in POOLS_BY_WINNER
    if pool or _is_convolution(step):
        if name not in ("input", "self") or len(read.shape) != 2 + len(axes):
            raise _UnprovedError
        settings = [_settings(step, key, len(axes)) for key in ("stride", "padding", "dilation")]
        kernel = _kernel(step, len(axes))
        stride = settings[0] or kernel  # a pool's default
        padding, dilation = settings[1] or (0,) * len(axes), settings[2] or (1,) * len(axes)
        given = zip(axes, read.shape[2:], kernel, stride, padding, dilation, strict=True)
        return tuple(axis.before(*numbers) for axis, *numbers in given)
    normal = step.name in BATCH_NORMS and name == "input"
    if not normal and base.removesuffix("_") not in POINTWISE:
        raise _UnprovedError
    if read.shape[1:] != made.shape[1:]:
        raise _UnprovedError
    return axes


def _is_convolution(step: Step) -> bool:
    return step.name == "convolution.default" and not step.settings.get("transposed", True)


def _kernel(step: Step, axes: int) -> tuple[int, ...]:
    if _is_convolution(step):
        return dict(step.reads)["weight"].shape[2:]
    return _settings(step, "kernel_size", axes)


def _settings(step: Step, name: str, axes: int) -> tuple[int, ...]:
    """A setting of an operation along every axis; empty where it is left to its default."""
    value: Any = step.settings.get(name) or ()
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    return found * axes if len(found) == 1 else found


def _is_dense(seen: Seen) -> bool:
    """Whether a tensor is all of its numbers, with channels or positions last in memory."""
    sizes, strides = seen.shape, seen.stride
    last = [*range(len(sizes))]
    for order in (last, [0, *last[2:], 1]):
        expected, right = 1, True
        for axis in reversed(order):
            right &= sizes[axis] == 1 or strides[axis] == expected
            expected *= sizes[axis]
        if right:
            return not seen.offset
    return False
