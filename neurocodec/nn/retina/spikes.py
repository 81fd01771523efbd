"""Spikes and the rates that a retina model predicts for them."""

from __future__ import annotations

from contextlib import contextmanager
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
    """Put a module and its parts into training or evaluation, and back as each of them was.

    Examples
    --------
    >>> part = nn.Dropout()
    >>> with mode(part, training=False):
    ...     part.training
    False
    >>> part.training
    True
    """
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, was in before:
            part.training = was


@contextmanager
def noise_from(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Draw the noise of training from a generator, and leave torch's own random state alone.

    Examples
    --------
    >>> module = RetinaCNN(RetinaConfig(cells=1, size=(9, 9), kernels=(3, 3)))
    >>> with noise_from(module, torch.Generator()):
    ...     module.layer1.noise.generator is None
    False
    """
    parts = [(p, p.generator) for p in module.modules() if isinstance(p, GaussianNoise)]
    for part, _ in parts:
        part.generator = generator
    try:
        yield
    finally:
        for part, before in parts:
            part.generator = before


def poisson_loss(
    rates: Tensor, spike_counts: Tensor, bin_width: float, share: Tensor | None = None
) -> Tensor:
    """Negative log likelihood of spike counts, without the part that no rate changes.

    `mean(r dt - n log(r dt))` over cells and bins.

    Parameters
    ----------
    rates
        Predicted rates in Hz.
    spike_counts
        Counts, or means of counts over repeats, of the same shape.
    bin_width
        In seconds.
    share
        Weight of each cell; 1 where None.

    Examples
    --------
    >>> round(poisson_loss(torch.tensor([100.0]), torch.tensor([2.0]), bin_width=0.01).item(), 4)
    1.0
    """
    expected = rates * bin_width
    loss = expected - spike_counts * torch.log(expected + TINY)
    return (loss if share is None else loss * share).mean()


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of matching columns; NaN where one is constant.

    Examples
    --------
    >>> correlation(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [5.0]])).round().tolist()
    [1.0]
    """
    a, b = (x.double() - x.double().mean(0) for x in (a, b))
    cosine: Tensor = (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))
    return cosine


@torch.no_grad()
def predict(module: RetinaCNN, frames: Tensor) -> Tensor:
    """Firing rates for a movie of any length, in evaluation mode and in bounded memory.

    Parameters
    ----------
    module
        Left in the mode it was in.
    frames
        Movie (time, y, x) in units of contrast.

    Returns
    -------
    torch.Tensor
        Shape (time - history + 1, cell) in Hz, on the CPU.

    Examples
    --------
    >>> from neurocodec.nn.retina.model import RetinaConfig
    >>> config = RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3))
    >>> predict(RetinaCNN(config), torch.zeros(8, 9, 9)).shape
    torch.Size([6, 2])
    """
    device = module.first_convolution.weight.device
    overlap = module.config.history - 1
    starts = range(0, max(len(frames) - overlap, 1), PIECE)
    with mode(module, training=False):
        pieces = [frames[s : s + PIECE + overlap].to(device) for s in starts]
        return torch.cat([respond_to_movie(module, piece).cpu() for piece in pieces])


def check_recording(what: str, model: RetinaConfig, data: Recording, *, least: int) -> None:
    """Refuse a recording that a model cannot be trained on.

    Parameters
    ----------
    what
        Name of the recording, for the message.
    model
        Architecture that the shapes must match.
    data
        Movie and spike counts.
    least
        Frames that are needed.

    Raises
    ------
    InputError
        Where shapes do not match, a value is not finite, or a count is negative.

    Examples
    --------
    >>> model = RetinaConfig(cells=2, size=(9, 9))
    >>> check_recording("movie", model, (torch.zeros(50, 9, 9), torch.zeros(50, 2)), least=41)
    """
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
    """Check a recording and its held-out part, which is its end unless it is given.

    Parameters
    ----------
    model
        Architecture that the shapes must match.
    movie
        Movie and spike counts.
    validation
        The held-out recording; None takes the last `share` of the movie.
    share
        Between 0 and 1.
    least
        Frames that training needs.

    Returns
    -------
    training, validation
        Two recordings that share no frame.

    Raises
    ------
    InputError
        As `check_recording`.

    Examples
    --------
    >>> model = RetinaConfig(cells=2, size=(9, 9))
    >>> movie = torch.zeros(500, 9, 9), torch.zeros(500, 2)
    >>> parts = hold_out(model, movie, None, share=0.2, least=100)
    >>> [len(frames) for frames, _ in parts]
    [400, 100]
    """
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
    """Cut parts out of a recording, as views, and check them.

    Parameters
    ----------
    model
        Architecture that the shapes must match.
    movie
        Movie and spike counts.
    blocks
        First frame, and frame after the last, of every part.
    least
        Frames that every part needs.

    Raises
    ------
    InputError
        As `check_recording`, and where there is no block.

    Examples
    --------
    >>> model = RetinaConfig(cells=2, size=(9, 9))
    >>> movie = torch.zeros(500, 9, 9), torch.zeros(500, 2)
    >>> parts = cut_blocks(model, movie, [(0, 200), (300, 500)], least=100)
    >>> [len(frames) for frames, _ in parts]
    [200, 200]
    """
    if not blocks:
        raise InputError(came="no blocks of the movie", expected="at least one (start, stop)")
    parts = [(movie[0][start:stop], movie[1][start:stop]) for start, stop in blocks]
    for (start, stop), part in zip(blocks, parts, strict=True):
        check_recording(f"frames {start} to {stop} of the movie", model, part, least=least)
    return parts
