"""Crops and noise, drawn for every picture by itself: its seed decides, not its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Transforms:
    """What a picture goes through before every step."""

    crop: tuple[float, float] | None  # least and largest part of the side that is seen
    noise: float  # standard deviation, half of it uniform
    seeds: Sequence[Sequence[int]]  # one of each picture
    _draws: list[np.random.Generator] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._draws.extend(np.random.default_rng(list(s)) for s in self.seeds)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Crop every picture anew, and add noise."""
        if self.crop is not None:
            pictures = self._cropped(pictures, self.crop)
        return pictures + self._noise(pictures) if self.noise else pictures

    def white(
        self, shape: Sequence[int], dtype: torch.dtype, which: Tensor | None = None
    ) -> Tensor:
        """White noise (picture, ...), on the CPU; of some of the pictures."""
        chosen = self._draws if which is None else [self._draws[i] for i in which.tolist()]
        drawn = [d.standard_normal(tuple(shape), dtype=np.float32) for d in chosen]
        return torch.from_numpy(np.stack(drawn)).to(dtype)

    def _cropped(self, pictures: Tensor, crop: tuple[float, float]) -> Tensor:
        side = np.array([d.uniform(*crop) for d in self._draws])
        shift = np.array([d.uniform(-1, 1, 2) for d in self._draws]) * (1 - side[:, None])
        view = np.zeros((len(side), 2, 3))
        view[:, 0, 0] = view[:, 1, 1] = side
        view[:, :, 2] = shift
        theta = torch.from_numpy(view).to(pictures)
        grid = nn.functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        return nn.functional.grid_sample(
            pictures, grid, padding_mode="reflection", align_corners=False
        )

    def _noise(self, pictures: Tensor) -> Tensor:
        shape = pictures.shape[1:]
        size = self.noise / np.sqrt(2)
        drawn = [
            size * d.standard_normal(shape, dtype=np.float32)
            + (size * np.sqrt(12)) * (d.random(shape, dtype=np.float32) - 0.5)
            for d in self._draws
        ]
        return torch.from_numpy(np.stack(drawn)).to(pictures)
