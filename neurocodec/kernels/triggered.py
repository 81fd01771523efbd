"""Sums of windows of frames weighted by responses, block by block: what triggered averages are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


@dataclass
class TriggeredSums:
    """Running sums over time of response times window, over a stimulus that comes in blocks."""

    history: int  # frames in a window
    reference: float = 0.0  # taken off all frames, so that sums of large numbers lose no digits
    weighted: Any = (
        0.0  # (cell, lag, ..., y, x): sum of r(t) (s(t + lag) - reference), oldest first
    )
    plain: Any = 0.0  # (lag, ..., y, x): the same for r = 1
    responses: Any = 0.0  # (cell,): sum of r(t)
    squares: Any = 0.0  # (...): of s - reference, over newest frames and pixels
    count: int = 0  # windows

    def add(self, frames: NDArray[Any], responses: NDArray[Any]) -> None:
        """Add windows of frames (n + history - 1, ..., y, x), and responses (n, cell)."""
        # response t answers the window that ends with frame t + history - 1
        count, *size = len(responses), *frames.shape[1:]
        flat = frames.reshape(len(frames), -1).astype(np.float32) - np.float32(self.reference)
        rows = np.column_stack([responses, np.ones(count)]).astype(np.float32).T
        padded = np.pad(rows, ((0, 0), (self.history - 1, self.history - 1)))
        # row (cell, lag) of this matrix is the cell's response, shifted against the frames
        shifted = sliding_window_view(padded, len(frames), axis=1)[:, ::-1]
        found = (shifted.reshape(-1, len(frames)) @ flat).astype(np.float64)
        sums = found.reshape(len(rows), self.history, *size)
        self.weighted = self.weighted + sums[:-1]
        self.plain = self.plain + sums[-1]
        self.responses = self.responses + rows[:-1].sum(1, dtype=np.float64)
        newest = (flat[self.history - 1 :] ** 2).reshape(count, *size[:-2], -1)
        self.squares = self.squares + newest.sum((0, -1), dtype=np.float64)
        self.count += count

    def averages(self) -> NDArray[np.floating]:
        """Mean window weighted by responses, minus the mean window; NaN for cells without any."""
        total = self._by_cell(self.responses)
        mean = np.divide(
            self.weighted, total, out=np.full_like(self.weighted, np.nan), where=total != 0
        )
        found: NDArray[np.floating] = mean - self.plain / self.count
        return found

    def filters(self) -> NDArray[np.floating]:
        """Covariance of response and window over the variance in time, mean of pixels."""
        mean = self.plain / self.count
        covariance = self.weighted / self.count - self._by_cell(self.responses / self.count) * mean
        newest = mean[-1]
        pixels = newest.shape[-2] * newest.shape[-1]
        # over time: that pixels differ in their mean is no variance of the stimulus
        variance = self.squares / (self.count * pixels) - (newest**2).mean((-2, -1))
        variance = np.where(variance > 0, variance, np.nan)[..., None, None]
        found: NDArray[np.floating] = covariance / variance
        return found

    def _by_cell(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        return values.reshape(-1, *[1] * (self.weighted.ndim - 1))
