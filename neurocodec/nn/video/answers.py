"""Which output step of a window is its answer, and for which frame: one run and one gradient."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.video.arrangement import noise

LOOKS: Final = 12
"""Windows of noise that are looked at, at least: a unit that is silent in one is not in all."""
MOST_LOOKS: Final = 60
"""At most, for each step."""
SIZES: Final = (1.0, 10.0, 100.0)
"""Deviations of the noise: a network may take light in any unit, and bring it to its own."""


@dataclass(frozen=True)
class Answer:
    """One output step of a window, and the frames that it depends on; 0 is the newest frame."""

    step: int  # from the end, -1 the last
    frame: int  # that it is the answer for, at most 0
    first: int  # oldest frame that it depends on
    last: int  # newest frame that it depends on
    steps: int  # of the output
    each: bool  # whether there is one step a frame
    told: bool = False  # by the user

    @property
    def later(self) -> int:
        """Frames after its own that it depends on."""
        return max(self.last - self.frame, 0)

    def __str__(self) -> str:
        """Say it in one line."""
        text = f"output step {self.step} of {self.steps} is the answer for "
        text += "the newest frame" if self.frame == 0 else f"frame t{self.frame}"
        text += f"; it depends on frames t{self.first} to t{self.last:+d}".replace("t+0", "t")
        if self.later:
            text += f", so on {self.later} frames after its own"
        return text


def found(run: Callable[[Tensor], Tensor], window: Tensor, step: int | None) -> Answer:
    """Find the answer of `run`, from windows to (sample, time, cell); `window` is one of its form.

    The answer is the first step that depends on the newest frame: later ones see, in its place and
    after it, what the network pads with. `step` is one that a user has told.
    """
    with torch.no_grad():
        _, count, cells = run(noise((1, *window.shape[1:]), window)).shape
    _require_cells(run, window, cells)
    if step is not None and not -count <= step < count:
        raise InputError(
            came=f"answer={step} of {count} output steps",
            expected=f"a step from {-count} (the first) to -1 (the last)",
            hint="answer=None finds it",
        )
    seen, newest = _seen(run, window, count)
    chosen = _first_whole(newest) if step is None else step % count
    if newest[chosen] < 0:
        raise CaptureError(
            came=f"output step {chosen - count} of {count}, which depends on no frame",
            expected="answers that depend on the movie, with gradients",
            hint="answer=-1, or another step",
        )
    frames = window.shape[1]
    even = _by_frame(newest)
    own = chosen - count + 1 if even else newest[chosen] - frames + 1
    first = int(seen[chosen].nonzero()[0]) - frames + 1
    last = newest[chosen] - frames + 1
    return Answer(chosen - count, own, first, last, count, even, step is not None)


def _require_cells(run: Callable[[Tensor], Tensor], window: Tensor, cells: int) -> None:
    """Refuse an axis of cells that grows with the frames, where a network takes more of them."""
    frames = window.shape[1] + 1
    with suppress(Exception), torch.no_grad():
        now = run(noise((1, frames, *window.shape[2:]), window)).shape[2]
        cells, frames = (now, 0) if now != cells else (cells, frames)
    if not frames:
        raise InputError(
            came=f"an axis 'cell' of {cells} numbers, and other numbers of them for more frames",
            expected="the axes of the output in their order",
            hint='output="(sample, cell, time)"',
        )


def _seen(run: Callable[[Tensor], Tensor], window: Tensor, count: int) -> tuple[Tensor, list[int]]:
    """(step, frame): whether a step depends on a frame; and the newest frame of each, or -1.

    More noise is looked at where steps seem to depend on nothing, or on older frames than those
    before them.
    """
    seen = torch.zeros(count, window.shape[1], dtype=torch.bool, device=window.device)
    for look in range(MOST_LOOKS):
        seen |= _dependence(run, window, count, look)
        newest = [int(row.nonzero()[-1]) if bool(row.any()) else -1 for row in seen]
        whole = min(newest) >= 0 and newest == sorted(newest)
        if whole and look + 1 >= max(len(SIZES), LOOKS // count):
            break
    return seen, newest


def _dependence(run: Callable[[Tensor], Tensor], window: Tensor, count: int, look: int) -> Tensor:
    """(step, frame): whether a step depends on a frame, by one window of noise for each step."""
    shape = (count, *window.shape[1:])
    x = (noise(shape, window, look) * SIZES[look % len(SIZES)]).requires_grad_()
    with torch.enable_grad():
        steps = run(x)
        rows = torch.arange(count, device=x.device)
        cells = torch.arange(1, 1 + steps.shape[2], device=x.device).to(steps).cos()
        total = (steps[rows, rows] * cells).sum()
    slopes = torch.autograd.grad(total, x)[0] if total.requires_grad else torch.zeros_like(x)
    return (slopes.flatten(2) != 0).any(2)


def _first_whole(newest: list[int]) -> int:
    """First step that depends on the newest frame of all; the last, where all steps do."""
    place = newest.index(max(newest))
    return place or len(newest) - 1


def _by_frame(newest: list[int]) -> bool:
    """Whether there is one step a frame, up to where the newest frame is reached."""
    rising = newest[: newest.index(max(newest)) + 1]
    even = all(b - a == 1 for a, b in pairwise(rising))
    return even and (len(rising) > 1 or len(newest) == 1)
