"""A video network as one that takes windows of frames, and returns one answer for each."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from neurocodec.arguments import is_whole
from neurocodec.errors import InputError, NeurocodecError
from neurocodec.nn.capture.borrowing import borrowed
from neurocodec.nn.capture.layer import Item, Layer, pick
from neurocodec.nn.video.answers import SIZES, Answer, found
from neurocodec.nn.video.arrangement import EXAMPLE, Arrangement, noise
from neurocodec.nn.video.trimmed import Trims, trimmed, trims_of

INSIDE: Final = "video"
"""Name of the video network within the windowed one."""


LONGER: Final = 2
"""Times as many frames, of windows that are shorter than the kernels over time."""
ROUNDINGS: Final = 64
"""Units of the last digit by which an answer may differ without padding along time."""


class Known:
    """The answer, once it is found; shared by all copies of a network."""

    def __init__(self, told: int | None) -> None:
        self.told = told
        self.answer: Answer | None = None
        self.trims: Trims = {}  # padding along time that the answer does without

    @property
    def step(self) -> int:
        """Output step of the answer; the last, where padding is left out."""
        return -1 if self.answer is None or self.trims else self.answer.step

    def __deepcopy__(self, _memo: Any) -> Self:
        """Itself: what one copy finds holds for all."""
        return self


class Windowed(nn.Module):
    """Windows (sample, time, y, x) or (sample, time, color, y, x) to answers (sample, cell)."""

    def __init__(
        self, video: nn.Module, arrangement: Arrangement, known: Known, select: Item = None
    ) -> None:
        super().__init__()
        self.video = video
        self.arrangement = arrangement
        self.known = known
        self.select = select
        self.training = video.training

    def forward(self, x: Tensor) -> Tensor:
        """One answer for each window."""
        return self.answered(self.steps(x))

    def answered(self, steps: Tensor) -> Tensor:
        """The answer among the output steps of windows."""
        return steps[:, self.known.step]

    def steps(self, x: Tensor) -> Tensor:
        """All output steps (sample, time, cell) of windows, or of longer pieces of a movie."""
        with trimmed(self.video, self.known.trims):
            returned = self.video(self.arrangement.put(x))
        picked = pick(returned, Layer(INSIDE, item=self.select))
        return self.arrangement.steps(picked, len(x))

    def settle(self, window: Tensor) -> Answer:
        """Find the answer for windows of this form, unless it is known."""
        if self.known.answer is None:
            with borrowed(self) as copy:
                answer = _settled(copy, window, self.known.told)
                self.known.trims = _unneeded(copy, window, answer)
                self.known.answer = answer
        return self.known.answer

    def extra_repr(self) -> str:
        """Axes and answer, which are part of what identifies a run."""
        told = f", answer={self.known.told}" if self.known.told is not None else ""
        item = f", select={self.select!r}" if self.select is not None else ""
        axes = self.arrangement
        return f"input={axes.input_text!r}, output={axes.output_text!r}{told}{item}"


def _settled(copy: Any, window: Tensor, told: int | None) -> Answer:
    try:
        return found(copy.steps, window, told)
    except (NeurocodecError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            came=f"windows of shape {tuple(window.shape[1:])} that the network refuses, as"
            f" input={copy.arrangement.input_text!r}: {error}",
            expected="the axes of its input in their order, and frames of the shape that it takes",
            hint=f"history={LONGER * window.shape[1]}, if its kernels need more frames than"
            f" {window.shape[1]}"
            if "Kernel size" in str(error)
            else EXAMPLE,
        ) from error


def _unneeded(copy: Any, window: Tensor, answer: Answer) -> Trims:
    """Padding along time without which the last step is the answer, the same to rounding."""
    trims = trims_of(copy.video)
    if not trims:
        return {}
    shape = (1, *window.shape[1:])
    x = torch.cat([size * noise(shape, window, i) for i, size in enumerate(SIZES)])
    with torch.no_grad(), suppress(Exception):
        expected = copy.steps(x)[:, answer.step]
        with trimmed(copy.video, trims):
            steps = copy.steps(x)
        difference = (steps[:, -1] - expected).abs().max()
        if difference <= ROUNDINGS * torch.finfo(x.dtype).eps * expected.abs().max():
            return trims
    return {}


def of_video(
    module: nn.Module,
    given: str | None,
    returned: str | None,
    step: object,
    select: Item,
    *,
    history: int | None,
) -> nn.Module:
    """A windowed network, where words say that the module takes video; else the module itself."""
    if given is None and returned is None:
        if step is not None and not isinstance(module, Windowed):
            raise InputError(
                came=f"answer={step!r} without input= and output=",
                expected="the axes of a module that takes video",
                hint=EXAMPLE,
            )
        return module
    if given is None or returned is None:
        raise InputError(
            came=f"input={given!r}, output={returned!r}", expected="both of them", hint=EXAMPLE
        )
    arrangement = Arrangement.of(given, returned)
    if history is None:
        raise InputError(
            came=f"input={given!r} without history=",
            expected="the number of frames that an answer may depend on",
            hint="history=40",
        )
    step = _step(step)
    if isinstance(module, Windowed):  # a network that is made anew with something else changed
        return module
    return Windowed(module, arrangement, Known(step), select)


def _step(step: object) -> int | None:
    if step is None or (is_whole(step) and step < 0):
        return step if step is None else int(step)
    raise InputError(
        came=f"answer={step!r}",
        expected="an output step from the end, -1 the last, or None to find it",
        hint="answer=-1",
    )


def laid(module: nn.Module, windows: Tensor) -> Tensor:
    """Windows as the network takes them in memory, where it takes video; else as they are."""
    return module.arrangement.laid(windows) if isinstance(module, Windowed) else windows


def within(name: str) -> str:
    """Name of a part of the video network in the windowed one."""
    return f"{INSIDE}.{name}" if name else INSIDE


def inside(module: nn.Module) -> nn.Module:
    """The video network in a windowed one; any other module itself."""
    return module.video if isinstance(module, Windowed) else module
