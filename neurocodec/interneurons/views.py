"""Ways to look at the units of a layer: with the stimulus moved, and with neighbours pooled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurocodec.engine.samples import Samples

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """One way to look at the units of a layer."""

    dy: int = 0  # shift of the stimulus in pixels
    dx: int = 0
    pooling: float = 0.0  # standard deviation, in positions, of the Gaussian that pools a channel

    def pool(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled units (time, unit) of activations (time, channel, positions...)."""
        if self.pooling and maps.ndim == 4:
            down, across = (torch.from_numpy(self._pooled(n)) for n in maps.shape[2:])
            given = torch.from_numpy(np.require(maps, requirements="W"))
            rows = given.reshape(-1, maps.shape[-1]) @ across  # einsum would copy it transposed
            # NumPy would work on the stack with one thread
            maps = (down.T @ rows.reshape(-1, maps.shape[2], across.shape[1])).numpy()
            return maps.reshape(len(given), -1)
        return maps.reshape(len(maps), -1)

    def _pooled(self, size: int) -> NDArray[np.float32]:
        """Weights (position, kept position) along one axis; each column sums to 1."""
        weights = gaussian_filter1d(np.eye(size), self.pooling, axis=0, mode="constant")
        weights = weights[:, self._line(size)]
        return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)

    def kept(self, shape: Shape) -> NDArray[np.intp]:
        """Places in the flattened map (channel, positions...) that are looked at."""
        every: NDArray[Any] = np.arange(math.prod(shape)).reshape(shape)
        if len(shape) == 3:
            rows, columns = (self._line(n) for n in shape[1:])
            every = every[:, rows[:, None], columns]
        return np.asarray(every.ravel())

    def nearest(self, shape: Shape) -> NDArray[np.intp]:
        """For every place in the flattened map, which of those that are kept is nearest."""
        if len(shape) != 3:
            return np.arange(math.prod(shape))
        lines = [self._line(n) for n in shape[1:]]
        rows, columns = (
            np.abs(np.arange(n)[:, None] - line).argmin(axis=1)
            for n, line in zip(shape[1:], lines, strict=True)
        )
        numbers = np.arange(shape[0] * len(lines[0]) * len(lines[1]))
        grid = numbers.reshape((shape[0], len(lines[0]), len(lines[1])))
        return np.asarray(grid[:, rows[:, None], columns].ravel())

    def _line(self, size: int) -> NDArray[np.intp]:
        """Positions along one axis that are looked at, of `size`."""
        # what is pooled is alike at neighbouring positions: every second one from a width of 2 on,
        # every third from 3 on
        step = max(1, int(self.pooling))
        return np.arange((size - 1) % step // 2, size, step)


def move_stimulus(samples: Samples, dy: int, dx: int) -> Samples:
    """Move a movie down and right by whole pixels; at the edge comes in the mean intensity."""
    if not dy and not dx:
        return samples
    frames = samples.values
    moved = torch.full_like(frames, float(frames.mean()))
    (to_y, from_y), (to_x, from_x) = (_overlap(d) for d in (dy, dx))
    moved[:, to_y, to_x] = frames[:, from_y, from_x]
    return replace(samples, values=moved)


def _overlap(step: int) -> tuple[slice, slice]:
    """Where pixels go to, and where they come from."""
    if step >= 0:
        return slice(step, None), slice(None, -step or None)
    return slice(None, step), slice(-step, None)
