"""One pass over a movie in place of one for each window, where steps of time are kept apart.

Neighbouring windows share all frames but one, and with them nearly everything that a convolution
over time makes of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.capture.tracing import close
from neurocodec.nn.video.arrangement import noise
from neurocodec.nn.video.spans import INPUT
from neurocodec.nn.video.steps import Followed, TimeSteps
from neurocodec.nn.video.windowed import Windowed

logger = logging.getLogger(__name__)

FURTHER: Final = 5
"""Frames beyond a window in the pass that is followed."""
_NEVER: Final = ("",)
"""No layer: a pass that goes on to its end."""


@dataclass(frozen=True)
class OnePass:
    """A network whose answers to a movie are steps of one pass over it."""

    capture: Capture  # attached
    followed: Followed | None  # None where a state is carried, and nothing is proved
    history: int
    place: int  # of the first answer among the steps

    @classmethod
    def of(cls, capture: Capture, batch: Batch) -> OnePass | None:
        """What the flow of one pass proves, and some windows confirm; None where it does not."""
        module = capture.module
        if not isinstance(module, Windowed) or batch.frames is None or module.known.answer is None:
            return None
        followed, why = follow(capture, batch.x)
        history = batch.x.shape[1]
        place = None if followed is None else followed.whole(history, module.known.step)
        if followed is None or place is None:
            why = why or "the padding of a window, on which its answer depends,"
            logger.info("window by window: %s does not keep steps of time apart", why)
            return None
        found = cls(capture, followed, history, place)
        if found.holds(batch):
            logger.info("one pass over the movie in place of one for each window")
            return found
        logger.info("window by window: one pass over the movie gives other numbers")
        return None

    @classmethod
    def carrying(cls, capture: Capture, batch: Batch) -> OnePass:
        """A state goes through the movie: answers are the steps of their frames."""
        with torch.no_grad():
            count = capture.module.steps(batch.x).shape[1]  # type: ignore[operator]
        step = capture.module.known.step  # type: ignore[union-attr]
        return cls(capture, None, batch.x.shape[1], count + int(step))  # type: ignore[arg-type]

    def holds(self, batch: Batch) -> bool:
        """Whether the answers to some windows are the same, by rounding."""
        with torch.no_grad():
            return close(self.answers(batch), self.capture.look(batch.x).outputs)

    def answers(self, batch: Batch) -> Tensor:
        """Answers to consecutive windows."""
        found = list[Tensor]()
        with _answered(self.capture.module, found.append):
            self._pass(batch)
        return found[0][0, self.place : self.place + len(batch.x)]

    def covers(self, alias: str) -> bool:
        """Whether all steps of a layer in a window are those that a pass over the movie makes."""
        span = None if self.followed is None else self.followed.layers.get(alias)
        return span is not None and span.axis > 0 and span.clean and span.reach[INPUT][0] == 0

    def hidden(self, alias: str, batch: Batch) -> Tensor:
        """Activation, for consecutive windows, of a layer that is covered."""
        if self.followed is None:
            raise CaptureError(came=f"layer {alias!r} of a network that carries a state")
        span = self.followed.layers[alias]
        size = span.size - self.followed.frames + self.history
        whole = self.capture.reach(_movie(batch), [alias])[alias]
        windows = whole[0].unfold(span.axis - 1, size, 1)
        return windows.movedim(span.axis - 1, 0).movedim(-1, span.axis).contiguous()

    def _pass(self, batch: Batch) -> None:
        self.capture.reach(_movie(batch), _NEVER)


def _movie(batch: Batch) -> Tensor:
    """Frames of consecutive windows as one sample."""
    return batch.x[:1] if batch.frames is None else batch.frames[None]


@contextmanager
def _answered(module: object, see: Callable[[Tensor], None]) -> Iterator[None]:
    """Let all output steps be seen, for the length of a ``with`` block."""

    def keep(steps: Tensor) -> Tensor:
        see(steps)
        return steps[:, -1]

    vars(module)["answered"] = keep
    try:
        yield
    finally:
        del vars(module)["answered"]


def follow(capture: Capture, x: Tensor) -> tuple[Followed | None, str]:
    """Follow steps of time through one pass over noise; what mixed them, where anything did."""
    frames = x.shape[1] + FURTHER
    steps = TimeSteps()
    movie = noise((1, frames, *x.shape[2:]), x)
    before, capture.recorder = capture.recorder, steps  # type: ignore[assignment]
    try:
        with torch.no_grad(), steps, _answered(capture.module, steps.finish):
            steps.start(capture.module, movie)
            capture.reach(movie, _NEVER)
    except Exception as error:  # noqa: BLE001 - of whatever kind: longer pieces may be refused
        return None, f"a network that takes windows alone ({error})"
    finally:
        capture.recorder = before
    return steps.followed(frames), steps.mixed
