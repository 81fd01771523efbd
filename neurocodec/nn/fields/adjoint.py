"""From the gradient at a convolution's output back to its input, in the Fourier domain.

The gradient of a response with respect to a window of frames is the gradient at the first
convolution, convolved with that layer's kernels. For kernels of 15x15 pixels and 40 lags this is
nearly all of the work, and by Fourier transforms it is many times less of it than by torch's
backward routine (figures: benchmarks/fields.py). A cell that reads a part of a layer has a
gradient that is zero elsewhere, and only that part is transformed. For separable components the
whole field is never made: its lag-by-lag Gram matrix comes from the spectra (Parseval), and only
the maps that are kept are transformed back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional

from neurocodec.kernels.separable import leading
from neurocodec.nn.fast.convolution import LARGE_KERNEL, replaced_forward


class Separated(NamedTuple):
    """Components of fields: (n, component, lag), (n, component, y, x), (n, component)."""

    temporal: Tensor
    spatial: Tensor
    energy_share: Tensor


def separate(fields: Tensor, rank: int) -> Separated:
    """Split fields (n, lag, y, x) into `rank` separable components; see `kernels.separable`."""
    flat = fields.flatten(2)
    temporal, share = _courses(torch.bmm(flat, flat.mT), rank)
    maps = torch.bmm(temporal, flat).reshape(len(fields), rank, *fields.shape[2:])
    return Separated(temporal, maps, share)


def _courses(gram: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Time courses and energy shares; on the CPU, which is best at small symmetric matrices."""
    temporal, share = leading(gram.cpu().numpy(), rank)
    return torch.from_numpy(temporal).to(gram.device), torch.from_numpy(share).to(gram.device)


CHUNK = 16
"""Fields transformed together; more do not stay in the cache."""

MOST_KERNELS = 64
"""Transforms of kernels that are kept: one for each set of channels and size of a patch."""

Packing = Literal["interleaved", "weighted"]
"""Of spectra: (lag, part), as inverse transforms take them, or (part, lag), for Gram matrices."""


class _Patch(NamedTuple):
    """The part of the gradients that is not zero, where it lies, and what it becomes."""

    values: Tensor
    channels: Tensor
    place: tuple[slice, slice]
    shape: tuple[int, int]
    padded: tuple[int, int]


@dataclass(frozen=True)
class Adjoint:
    """Adjoint of a convolution of stride 1 without padding: it brings gradients back."""

    weight: Tensor  # (channel, lag, ky, kx); a lag is a channel of the convolution's input
    size: tuple[int, int]  # height and width of the input
    kernels: dict[tuple[object, ...], Tensor] = field(default_factory=dict, repr=False)  # by size

    def fields(self, gradients: Tensor, out: Tensor | None = None) -> Tensor:
        """Fields (n, lag, y, x) of gradients (n, channel, h, w); `out`, where given, is zeros."""
        if out is None:
            out = gradients.new_zeros(len(gradients), self.weight.shape[1], *self.size)
        patch = self._patch(gradients)
        if patch is not None:
            for values, place in zip(_chunks(patch.values), _chunks(out), strict=True):
                self._put(self._complex_spectra(values, patch), patch, place)
        return out

    def components(self, gradients: Tensor, rank: int) -> Separated:
        """Separable components of these fields, without making the fields."""
        patch = self._patch(gradients)
        if patch is None:
            return separate(self.fields(gradients), rank)
        chunks = [self._components(values, patch, rank) for values in _chunks(patch.values)]
        return Separated(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))

    def _components(self, values: Tensor, patch: _Patch, rank: int) -> Separated:
        spectra = self._spectra(values, patch, "weighted").reshape(-1, len(values), 2, self.lags)
        real, imaginary = spectra.permute(2, 1, 0, 3)
        gram = torch.bmm(real.mT, real).baddbmm_(imaginary.mT, imaginary)
        temporal, share = _courses(gram, rank)
        weights = _half_weights(patch.padded, values)
        maps = (torch.bmm(temporal, p.mT) / weights for p in (real, imaginary))
        spatial = values.new_zeros(len(values), rank, *self.size)
        self._put(torch.complex(*maps), patch, spatial)
        return Separated(temporal, spatial, share)

    @property
    def lags(self) -> int:
        """Lags of the window: channels of the convolution's input."""
        return self.weight.shape[1]

    def _patch(self, gradients: Tensor) -> _Patch | None:
        """Cut off channels and borders in which all gradients are zero; None where all are."""
        there = gradients.abs().sum(0) != 0
        if not bool(there.any()):
            return None
        channels = there.any(-1).any(-1).nonzero().flatten()
        maps = there.any(0)
        (top, bottom), (left, right) = _ends(maps.any(1)), _ends(maps.any(0))
        height, width = bottom - top + self.weight.shape[2], right - left + self.weight.shape[3]
        return _Patch(
            gradients[:, channels, top : bottom + 1, left : right + 1],
            channels,
            (slice(top, top + height), slice(left, left + width)),
            (height, width),
            (int(next_fast_len(height, real=True)), int(next_fast_len(width, real=True))),
        )

    def _complex_spectra(self, values: Tensor, patch: _Patch) -> Tensor:
        """Transforms of the fields, (n, lag, frequency)."""
        pairs = self._spectra(values, patch, "interleaved").reshape(-1, len(values), self.lags, 2)
        return torch.view_as_complex(pairs).permute(1, 2, 0)

    def _spectra(self, values: Tensor, patch: _Patch, packing: Packing) -> Tensor:
        """Transforms of the fields, (frequency, n, real and imaginary parts of lags)."""
        kernels = self._kernels(patch, packing)
        found = torch.view_as_real(torch.fft.rfft2(values, s=patch.padded))
        rows = found.permute(2, 3, 0, 1, 4).reshape(len(kernels), len(values), -1)
        return torch.bmm(rows, kernels)

    def _kernels(self, patch: _Patch, packing: Packing) -> Tensor:
        """Transforms of the kernels as real matrices: one way to multiply complex numbers."""
        key = (*patch.padded, *patch.channels.tolist(), packing)
        if key not in self.kernels:
            while len(self.kernels) >= MOST_KERNELS:
                self.kernels.pop(next(iter(self.kernels)))
            whole = torch.fft.rfft2(self.weight[patch.channels], s=patch.padded)
            self.kernels[key] = _as_real(whole.permute(2, 3, 0, 1).flatten(0, 1), patch, packing)
        return self.kernels[key]

    @staticmethod
    def _put(spectra: Tensor, patch: _Patch, out: Tensor) -> None:
        """Transform (n, map, frequency) back, to the place of the patch."""
        height, width = patch.padded
        packed = spectra.contiguous().reshape(*spectra.shape[:2], height, width // 2 + 1)
        maps = torch.fft.irfft2(packed, s=patch.padded)
        out[(..., *patch.place)] = maps[..., : patch.shape[0], : patch.shape[1]]


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, CHUNK)


def _as_real(kernels: Tensor, patch: _Patch, packing: Packing) -> Tensor:
    """Matrices that multiply rows of (real, imaginary) pairs as complex (channel, lag) do."""
    if packing == "weighted":
        kernels = kernels * _half_weights(patch.padded, kernels.real)[:, None, None]
    last = 2 if packing == "weighted" else 3
    of_real = torch.stack((kernels.real, kernels.imag), last)
    of_imaginary = torch.stack((-kernels.imag, kernels.real), last)
    return torch.stack((of_real, of_imaginary), 2).flatten(3).flatten(1, 2).contiguous()


def _ends(there: Tensor) -> tuple[int, int]:
    found = there.nonzero()
    return int(found[0]), int(found[-1])


def _half_weights(size: tuple[int, int], like: Tensor) -> Tensor:
    """Square roots of the weights of a half spectrum: what it leaves out are conjugates."""
    height, width = size
    columns = like.new_full((width // 2 + 1,), 2.0)
    columns[0] = 1.0
    if width % 2 == 0:
        columns[-1] = 1.0
    return (columns.repeat(height) / (height * width)).sqrt()


@contextmanager
def local_gradients(convolutions: Iterable[nn.Module]) -> Iterator[None]:
    """Take gradients through large frozen convolutions back by `Adjoint`, inside of a ``with``."""
    with ExitStack() as stack:
        for part in convolutions:
            if isinstance(part, nn.Conv2d) and _is_large(part):
                stack.enter_context(replaced_forward(part, partial(_Convolution.apply, part, {})))
        yield


def _is_large(module: nn.Conv2d) -> bool:
    plain = (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
    unpadded = module.padding in ((0, 0), "valid")
    large = min(module.kernel_size) >= LARGE_KERNEL and module.weight.device.type == "cpu"
    return type(module) is nn.Conv2d and plain and unpadded and large


class _Convolution(torch.autograd.Function):
    """Convolution whose gradient is taken back by its adjoint."""

    @staticmethod
    def forward(ctx: Any, module: nn.Conv2d, kernels: dict[Any, Tensor], x: Tensor) -> Tensor:
        """Convolve."""
        ctx.adjoint = Adjoint(module.weight.detach(), (x.shape[2], x.shape[3]), kernels)
        return functional.conv2d(x, module.weight, module.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[None, None, Tensor]:
        """Take the gradient back."""
        return None, None, ctx.adjoint.fields(gradients[0])
