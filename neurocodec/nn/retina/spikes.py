"""Spikes and the rates that a retina model predicts for them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from neurocodec.errors import InputError
from neurocodec.nn.retina.model import (
    GaussianNoise,
    RetinaCNN,
    RetinaConfig,
    respond_to_movie,
)
from neurocodec.nn.settings import usual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Recording = tuple[Tensor, Tensor]
"""Movie (time, y, x) and spike counts (time, cell)."""

TINY = 1e-6
"""Spikes per bin added inside the logarithm of the Poisson loss."""
PIECE = 512
"""Responses computed at once."""


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a module and its parts into training or evaluation, and back as each of them was."""
    before = [(part, part.training) for part in module.modules()]
    with ExitStack() as stack:
        for part, was in before:
            stack.callback(setattr, part, "training", was)
        module.train(training)
        yield


@contextmanager
def noise_from(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Draw the noise of training from a generator, and leave torch's own random state alone."""
    parts = [(p, p.generator) for p in module.modules() if isinstance(p, GaussianNoise)]
    with ExitStack() as stack:
        for part, before in parts:
            stack.callback(setattr, part, "generator", before)
            part.generator = generator
        yield


def poisson_loss(
    rates: Tensor,  # in Hz
    spike_counts: Tensor,  # of the same shape; means over repeats are taken as well
    bin_width: float,  # in seconds
    share: Tensor | None = None,  # weight of each cell; 1 where None
) -> Tensor:
    """Mean of r dt - n log(r dt): negative log likelihood less the part that no rate changes."""
    expected = rates * bin_width
    loss = expected - spike_counts * torch.log(expected + TINY)
    return (loss if share is None else loss * share).mean()


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of matching columns; NaN where one is constant."""
    a, b = (x.double() - x.double().mean(0) for x in (a, b))
    cosine: Tensor = (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))
    return cosine


@torch.no_grad()
def predict(module: RetinaCNN, frames: Tensor) -> Tensor:
    """Rates (time - history + 1, cell) in Hz, on the CPU, in evaluation and bounded memory."""
    device = module.first_convolution.weight.device
    overlap = module.config.history - 1
    starts = range(0, max(len(frames) - overlap, 1), PIECE)
    with usual(device), mode(module, training=False):
        pieces = [frames[s : s + PIECE + overlap].to(device) for s in starts]
        return torch.cat([respond_to_movie(module, piece).cpu() for piece in pieces])


def check_recording(what: str, model: RetinaConfig, data: Recording, *, least: int) -> None:
    """Refuse shapes that do not match, values that are not finite, and negative counts."""
    frames, counts = data
    wanted = [(len(frames), *model.size), (len(frames), model.cells)]
    if [tuple(x.shape) for x in data] != wanted or len(frames) < least:
        raise InputError(
            came=f"{what}: frames {tuple(frames.shape)} and spike counts {tuple(counts.shape)}",
            expected=f"(time, {model.size[0]}, {model.size[1]}) and (time, {model.cells}) "
            f"with at least {least} times",
            hint="one row of spike counts per frame: counts[t] answers the frames up to t",
        )
    if not all(x.isfinite().all() for x in data) or bool((counts < 0).any()):
        raise InputError(
            came=f"{what} with NaN or infinite values, or negative spike counts",
            expected="finite frames, and spike counts of at least 0",
        )


def hold_out(
    model: RetinaConfig,
    movie: Recording,
    validation: Recording | None,
    *,
    share: float,
    least: int,
) -> tuple[Recording, Recording]:
    """Check a recording and its held-out part, which is its end unless it is given."""
    if validation is None:
        frames, counts = movie
        cut = round(len(frames) * (1 - share))
        movie, validation = (frames[:cut], counts[:cut]), (frames[cut:], counts[cut:])
    check_recording("training movie", model, movie, least=least)
    check_recording("validation movie", model, validation, least=model.history + 1)
    return movie, validation


def cut_blocks(
    model: RetinaConfig, movie: Recording, blocks: Sequence[tuple[int, int]], *, least: int
) -> list[Recording]:
    """Cut parts out of a recording, as views, and check them."""
    if not blocks:
        raise InputError(came="no blocks of the movie", expected="at least one (start, stop)")
    parts = [(movie[0][start:stop], movie[1][start:stop]) for start, stop in blocks]
    for (start, stop), part in zip(blocks, parts, strict=True):
        check_recording(f"frames {start} to {stop} of the movie", model, part, least=least)
    return parts
