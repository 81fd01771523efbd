"""What pictures have in common: mean, principal colours, amplitude spectrum, range, contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.fft
import torch
from torch import Tensor

RGB = 3


@dataclass(frozen=True)
class Natural:
    """Statistics of pictures (picture, color, axes...): of one size, in the network's units."""

    size: tuple[int, ...]  # of the axes
    mean: Tensor  # (color)
    colors: Tensor  # (color, component): orthonormal; the colours themselves unless there are three
    amplitude: Tensor  # (component, frequencies...), root of the mean power
    cosines: Tensor  # (component, axes...), the same of cosines, for which no border wraps around
    low: Tensor  # (color)
    high: Tensor  # (color)
    contrast: float  # standard deviation about the mean

    @classmethod
    def of(cls, pictures: Tensor) -> Self:
        """Measure pictures, each about the mean of its colours."""
        axes = tuple(range(2, pictures.ndim))
        count = pictures.shape[1]
        mean = pictures.mean(dim=(0, *axes))
        centred = pictures - _along(mean, pictures.ndim - 2)
        flat = centred.transpose(0, 1).reshape(count, -1).double()
        colors = torch.eye(count, dtype=torch.float64, device=pictures.device)
        if count == RGB:
            colors = torch.linalg.eigh(flat @ flat.T / flat.shape[1])[1]
        rotated = torch.einsum("dc,nd...->nc...", colors.to(pictures.dtype), centred)
        power = torch.fft.rfftn(rotated, dim=axes, norm="ortho").abs().square().mean(0)
        return cls(
            size=tuple(pictures.shape[2:]),
            mean=mean,
            colors=colors.to(pictures.dtype),
            amplitude=power.sqrt(),
            cosines=in_cosines(rotated, axes).square().mean(0).sqrt(),
            low=pictures.amin(dim=(0, *axes)),
            high=pictures.amax(dim=(0, *axes)),
            contrast=float(flat.square().mean().sqrt()),
        )

    def to(self, device: torch.device) -> Natural:
        """The same on a device."""
        moved = {k: x.to(device) for k, x in vars(self).items() if isinstance(x, Tensor)}
        return Natural(**{**vars(self), **moved})

    def about_mean(self, components: Tensor) -> Tensor:
        """Picture of principal colours (picture, component, axes...)."""
        colored = torch.einsum("dc,nc...->nd...", self.colors, components)
        return colored + _along(self.mean, len(self.size))

    def components(self, pictures: Tensor) -> Tensor:
        """Principal colours of pictures, about the mean."""
        centred = pictures - _along(self.mean, len(self.size))
        return torch.einsum("dc,nd...->nc...", self.colors, centred)

    def within(self, pictures: Tensor) -> Tensor:
        """Pictures, kept to the range of each colour."""
        low, high = (_along(x, len(self.size)) for x in (self.low, self.high))
        return pictures.clamp(low, high)


def in_cosines(values: Tensor, axes: tuple[int, ...], *, back: bool = False) -> Tensor:
    """Orthonormal cosine transform (DCT-II) along axes, or back from it."""
    for axis in axes:
        size = values.shape[axis]
        basis = torch.from_numpy(scipy.fft.dct(np.eye(size), axis=0, norm="ortho")).to(values)
        values = torch.tensordot(values, basis if back else basis.T, dims=([axis], [0]))
        values = values.movedim(-1, axis)
    return values


def _along(values: Tensor, axes: int) -> Tensor:
    return values.reshape(-1, *(1,) * axes)
