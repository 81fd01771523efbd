"""How many frames an answer of a video network depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import torch
from torch import nn

from neurocodec.nn.capture.borrowing import borrowed
from neurocodec.nn.video.arrangement import Arrangement
from neurocodec.nn.video.spans import INPUT
from neurocodec.nn.video.steps import TimeSteps
from neurocodec.nn.video.windowed import Known, Windowed


def frames_needed(
    module: nn.Module, arrangement: Arrangement, frame: Sequence[int], tried: Iterable[int]
) -> int | None:
    """Frames that an answer depends on; None where it may depend on all, or cannot be followed."""
    like = next(module.parameters())
    with borrowed(Windowed(module, arrangement, Known(None))) as copy, torch.no_grad():
        for frames in tried:
            steps = TimeSteps()
            movie = like.new_zeros((1, frames, *frame))
            with suppress(Exception), steps:  # a piece that is too short
                steps.start(copy, movie)
                steps.finish(copy.steps(movie))  # type: ignore[operator]
            found = steps.followed(frames)
            if found is not None and found.output.size > 0:
                first, last = found.output.reach[INPUT]
                return last - first + 1
    return None
