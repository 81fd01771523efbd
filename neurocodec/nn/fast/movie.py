"""A movie as windows of frames, and the first convolution over all of them at once.

Neighbouring windows share all frames but one, so the convolution of the windows is one
cross-correlation over (time, y, x). It is computed block by block in time (overlap-save) with real
Fourier transforms, and is differentiable any number of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from neurocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

BRIGHT = 100.0
"""Largest number of a movie, by that of its median frame, up to which float32 does."""
BLOCK = 64
"""Responses computed by one Fourier transform; at 64 to 128 the time per response is lowest."""


def windows(frames: Tensor, history: int, axis: int = -3) -> Tensor:
    """Cut a movie (..., T, H, W) into windows (..., T - history + 1, history, H, W): a view."""
    if axis == -3:
        _check_movie(frames, history)
    time = axis % frames.ndim
    return frames.unfold(time, history, 1).movedim(-1, time + 1)


def convolve_movie(
    frames: Tensor,  # (..., T, H, W); leading dims are separate movies of one length
    weight: Tensor,  # (channel, history, kh, kw), the oldest frame first
    bias: Tensor | None = None,
    *,
    block: int = BLOCK,  # responses per Fourier transform, at least
    spectra: dict[tuple[int, ...], Tensor] | None = None,  # of this weight, kept between calls
) -> Tensor:
    """`conv2d(windows(frames, history), weight, bias)`, faster; differentiable in both modes."""
    history, *kernel = weight.shape[1:]
    _check_movie(frames, history, kernel)
    size = _transform_size(frames.shape[-3:], history, block)
    spectra = {} if spectra is None else spectra
    if tuple(size) not in spectra:
        spectra[tuple(size)] = torch.fft.rfftn(weight, s=size, dim=(-3, -2, -1)).conj()
    spectrum = spectra[tuple(size)]
    height, width = (n - k + 1 for n, k in zip(frames.shape[-2:], kernel, strict=True))
    parts = [
        _correlate(part, spectrum, size, history)[..., :height, :width]
        for part in _blocks(frames, history, size[0])
    ]
    result = torch.cat(parts, dim=-3).transpose(-4, -3)  # (..., time, channel, y, x)
    return result if bias is None else result + bias[:, None, None]


def is_even(frames: Tensor) -> bool:
    """Whether no frame is so bright that its rounding errors are seen beside the others.

    A transform spreads the rounding of its largest number over the whole block.
    """
    if frames.dtype == torch.float64:
        return True
    size = frames.detach().flatten(1).abs().amax(1)
    size = size[size > 0]
    return not len(size) or bool(size.amax() <= BRIGHT * size.median())


def _transform_size(shape: torch.Size, history: int, block: int) -> list[int]:
    # Circular wrap-around reaches only outputs whose window leaves the block, which are dropped.
    wanted = [min(block + history - 1, shape[0]), *shape[1:]]
    return [int(next_fast_len(n, real=True)) for n in wanted]


def _blocks(frames: Tensor, history: int, length: int) -> Iterator[Tensor]:
    count = frames.shape[-3]
    for start in range(0, count - history + 1, length - history + 1):
        yield frames.narrow(-3, start, min(length, count - start))


def _correlate(frames: Tensor, spectrum: Tensor, size: list[int], history: int) -> Tensor:
    product = torch.fft.rfftn(frames, s=size, dim=(-3, -2, -1)).unsqueeze(-4) * spectrum
    # Back in time first: only the frames that are outputs are transformed back in space.
    in_time = torch.fft.ifft(product, dim=-3).narrow(-3, 0, frames.shape[-3] - history + 1)
    outputs: Tensor = torch.fft.irfft2(in_time, s=size[1:])
    return outputs


def _check_movie(frames: Tensor, history: int, kernel: list[int] | None = None) -> None:
    shape = tuple(frames.shape)
    if frames.ndim < 3 or shape[-3] < history:
        raise InputError(
            came=f"a movie of shape {shape}",
            expected=f"(time, y, x) with at least {history} frames (the history of the model)",
            hint="a longer movie, or a model with a shorter history",
        )
    if kernel and (shape[-2] < kernel[0] or shape[-1] < kernel[1]):
        raise InputError(
            came=f"frames of {shape[-2]} by {shape[-1]} pixels",
            expected=f"at least {kernel[0]} by {kernel[1]} (the kernel)",
        )
