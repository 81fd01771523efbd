"""One pass over a movie in place of one for each window, where steps of time are kept apart.

Neighbouring windows share all frames but one, and with them nearly everything that a convolution
over time makes of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.capture.tracing import close
from neurocodec.nn.video.arrangement import noise
from neurocodec.nn.video.spans import INPUT
from neurocodec.nn.video.steps import Followed, TimeSteps
from neurocodec.nn.video.windowed import Windowed

logger = logging.getLogger(__name__)

FURTHER: Final = (5, 9)
"""Frames beyond a window in the two passes that are followed: what counts from the end moves."""
_NEVER: Final = ("",)
"""No layer: a pass that goes on to its end."""


@dataclass(frozen=True)
class OnePass:
    """A network whose answers to a movie are steps of one pass over it."""

    capture: Capture  # attached
    followed: Followed | None  # None where a state is carried, and nothing is proved
    history: int
    place: int  # of the first answer among the steps
    lengths: dict[tuple[int, torch.dtype], bool] = field(default_factory=dict)

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

    def takes(self, batch: Batch) -> bool:
        """Whether so many windows of noise at once, and some of them alone, are the same."""
        # what Python makes of a length is no operation that could be followed, and a movie may
        # begin with grey, of which any two answers agree
        key = len(batch.x), batch.x.dtype
        if self.followed is not None and key not in self.lengths:
            try:
                self.lengths[key] = self._takes(batch)
            except (RuntimeError, IndexError):  # steps that are not there
                self.lengths[key] = False
            if not self.lengths[key]:
                logger.info("window by window: a pass over %d frames gives other numbers", key[0])
        return self.lengths.get(key, True)

    def _takes(self, batch: Batch) -> bool:
        count, history = batch.x.shape[:2]
        frames = noise((count + history - 1, *batch.x.shape[2:]), batch.x)
        windows = frames.unfold(0, history, 1).movedim(-1, 1)
        places = sorted({0, 1 % count, count // 2, max(count - 2, 0), count - 1})
        whole = Batch(windows, frames)
        with torch.no_grad():
            expected = self.capture.look(windows[places])
            same = close(self.answers(whole)[places], expected.outputs)
            covered = [alias for alias in expected.hidden if self.covers(alias)]
            return same and all(
                close(self._hidden(alias, whole)[places], expected.hidden[alias])
                for alias in covered
            )

    def answers(self, batch: Batch) -> Tensor:
        """Answers to consecutive windows."""
        found = list[Tensor]()
        with _answered(self.capture.module, found.append):
            self._pass(batch)
        return found[0][0, self.place : self.place + len(batch.x)]

    def seen(self, batch: Batch) -> Pass | None:
        """Answers to consecutive windows, and their layers; None where a layer is not covered."""
        if batch.frames is None or not all(map(self.covers, self.capture.layers)):
            return None
        if not self.takes(batch):
            return None
        steps = list[Tensor]()
        with torch.no_grad(), _answered(self.capture.module, steps.append):
            hidden = self.capture.reach(_movie(batch), _NEVER)
        answers = steps[0][0, self.place : self.place + len(batch.x)]
        return Pass(answers, {alias: self._windows(alias, h) for alias, h in hidden.items()})

    def covers(self, alias: str) -> bool:
        """Whether all steps of a layer in a window are those that a pass over the movie makes."""
        span = None if self.followed is None else self.followed.layers.get(alias)
        return span is not None and span.axis > 0 and span.clean and span.reach[INPUT][0] == 0

    def hidden(self, alias: str, batch: Batch) -> Tensor | None:
        """Activation, for consecutive windows, of a layer that is covered."""
        return self._hidden(alias, batch) if self.takes(batch) else None

    def _hidden(self, alias: str, batch: Batch) -> Tensor:
        return self._windows(alias, self.capture.reach(_movie(batch), [alias])[alias])

    def _windows(self, alias: str, whole: Tensor) -> Tensor:
        """Steps of a layer that are in each window, from those of a whole movie."""
        if self.followed is None:
            raise CaptureError(came=f"layer {alias!r} of a network that carries a state")
        span = self.followed.layers[alias]
        size = span.size - self.followed.frames + self.history
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
    """Follow steps of time through passes over noise; what mixed them, where anything did."""
    first, second = (_followed(capture, x, x.shape[1] + more) for more in FURTHER)
    if first[0] is None or second[0] is None:
        return (None, first[1]) if first[0] is None else second
    if first[0].is_alike(second[0]):
        return first
    return None, "what counts from the end of a movie"


def _followed(capture: Capture, x: Tensor, frames: int) -> tuple[Followed | None, str]:
    """Follow steps of time through one pass."""
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
