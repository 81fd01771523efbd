"""The order of a network's axes, in words such as "(sample, color, time, y, x)"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.errors import CaptureError, InputError, unknown_name

SAMPLE: Final = "sample"
TAKEN: Final = (SAMPLE, v.COLOR, v.TIME, v.Y, v.X)
"""Axes of what a video network may take."""
RETURNED: Final = (SAMPLE, v.TIME, v.CELL, v.CATEGORY)
"""Axes of what it may return."""
EXAMPLE: Final = 'input="(sample, color, time, y, x)", output="(sample, time, cell)"'


@dataclass(frozen=True)
class Arrangement:
    """Axes of a video network's input and output, in its own order."""

    input: tuple[str, ...]
    output: tuple[str, ...]

    @classmethod
    def of(cls, given: object, returned: object) -> Arrangement:
        """Read the words, and refuse what they leave open."""
        taken = words("input", given, TAKEN)
        _require("input", taken, (SAMPLE, v.TIME))
        if (v.Y in taken) != (v.X in taken):
            raise InputError(
                came=f"input={_text(taken)!r}", expected="both of y and x, or none", hint=EXAMPLE
            )
        answers = words("output", returned, RETURNED)
        if not {v.CELL, v.CATEGORY} & {*answers} or {v.CELL, v.CATEGORY} <= {*answers}:
            raise InputError(
                came=f"output={_text(answers)!r}", expected="one axis of cells", hint=EXAMPLE
            )
        _require("output", answers, (SAMPLE,))
        return cls(taken, answers)

    @property
    def input_text(self) -> str:
        """The axes that it takes, as they are typed."""
        return _text(self.input)

    @property
    def output_text(self) -> str:
        """The axes that it returns, as they are typed."""
        return _text(self.output)

    def put(self, windows: Tensor) -> Tensor:
        """Windows (sample, time, y, x) or (sample, time, color, y, x) in the network's order."""
        own = [SAMPLE, v.TIME, v.COLOR, v.Y, v.X]
        if windows.ndim == 4:
            windows = windows.unsqueeze(2)
        gone = [place for place, axis in enumerate(own) if axis not in self.input]
        if any(windows.shape[place] != 1 for place in gone):
            raise CaptureError(
                came=f"frames of shape {tuple(windows.shape[2:])} (color, y, x)",
                expected=f"one number a frame, as input={self.input_text!r} says"
                if v.COLOR in self.input
                else f"frames without colour, as input={self.input_text!r} says",
                hint="movie.isel(color=0)",
            )
        kept = [axis for axis in own if axis in self.input]
        order = [kept.index(axis) for axis in self.input]
        return windows.squeeze(gone).permute(order).contiguous()

    def laid(self, windows: Tensor) -> Tensor:
        """The same windows, in memory as `put` returns them, which then copies nothing."""
        put = self.put(windows)
        own = [axis for axis in (SAMPLE, v.TIME, v.COLOR, v.Y, v.X) if axis in self.input]
        back = put.permute([self.input.index(axis) for axis in own])
        return back.view_as(windows)

    def steps(self, returned: object, samples: int) -> Tensor:
        """What the network returned as (sample, time, cell); time is 1 where it has none."""
        if not isinstance(returned, Tensor) or returned.ndim != len(self.output):
            shape = tuple(returned.shape) if isinstance(returned, Tensor) else type(returned)
            raise CaptureError(
                came=f"a network that returns {shape}",
                expected=f"a tensor with the axes {self.output_text}",
                hint='output="(sample, cell)", without time, or select= for an item of several',
            )
        if returned.shape[self.output.index(SAMPLE)] != samples:
            raise CaptureError(
                came=f"a network that returns {tuple(returned.shape)} for {samples} samples",
                expected=f"axes in the order {self.output_text}",
                hint='output="(time, sample, cell)" where these go otherwise',
            )
        cells = v.CELL if v.CELL in self.output else v.CATEGORY
        order = [SAMPLE, *([v.TIME] if v.TIME in self.output else []), cells]
        moved = returned.permute([self.output.index(axis) for axis in order])
        return moved if v.TIME in self.output else moved.unsqueeze(1)


def words(name: str, given: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of axes in a text such as "(sample, time, cell)", each of them once."""
    if not isinstance(given, str):
        raise InputError(
            came=f"{name}={given!r:.60}", expected="names of axes in one text", hint=EXAMPLE
        )
    found = tuple(given.replace(",", " ").strip().strip("()").split())
    for axis in found:
        if axis not in known:
            raise unknown_name(f"axis in {name}={given!r}", axis, known)
        if found.count(axis) > 1:
            raise InputError(
                came=f"{name}={given!r}, with {axis!r} more than once",
                expected="every axis once",
                hint=EXAMPLE,
            )
    return found


def _require(name: str, found: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    for axis in wanted:
        if axis not in found:
            raise InputError(
                came=f"{name}={_text(found)!r}", expected=f"an axis {axis!r}", hint=EXAMPLE
            )


def _text(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)})"


def noise(shape: tuple[int, ...], like: Tensor, seed: int = 0) -> Tensor:
    """Standard normal numbers, the same each time, that leave the global random state alone."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator).to(like)
