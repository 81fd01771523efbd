"""Sums of windows of frames weighted by responses, block by block: what triggered averages are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass
class TriggeredSums:
    """Running sums over time of response times window, over a stimulus that comes in blocks.

    Parameters
    ----------
    history
        Frames in a window.
    reference
        Intensity that is taken off all frames, so that sums of large numbers lose no digits.

    Attributes
    ----------
    weighted : numpy.ndarray
        (cell, lag, y, x): sum over t of r(t) (s(t + lag) - reference), the oldest lag first.
    plain : numpy.ndarray
        (lag, y, x): the same for r = 1.
    responses : numpy.ndarray
        (cell,): sum over t of r(t).
    squares : float
        Sum of (s - reference)^2 over the newest frames of all windows and pixels.
    count : int
        Number of windows.

    Examples
    --------
    >>> sums = TriggeredSums(history=2)
    >>> frames = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> sums.add(frames, np.array([[1.0], [3.0]]))
    >>> sums.weighted.ravel().tolist(), sums.plain.ravel().tolist()
    ([7.0, 14.0], [3.0, 6.0])
    """

    history: int
    reference: float = 0.0
    weighted: Any = 0.0
    plain: Any = 0.0
    responses: Any = 0.0
    squares: float = 0.0
    count: int = 0

    def add(self, frames: NDArray[Any], responses: NDArray[Any]) -> None:
        """Add consecutive windows.

        Parameters
        ----------
        frames
            Shape (n + history - 1, y, x).
        responses
            Shape (n, cell); row t answers the window that ends with frame t + history - 1.
        """
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
        self.squares += float((flat[self.history - 1 :] ** 2).sum(dtype=np.float64))
        self.count += count

    def averages(self) -> Floats:
        """Mean window weighted by responses, minus the mean window; NaN for cells without any."""
        total = self.responses[:, None, None, None]
        mean = np.divide(
            self.weighted, total, out=np.full_like(self.weighted, np.nan), where=total != 0
        )
        found: Floats = mean - self.plain / self.count
        return found

    def filters(self) -> Floats:
        """Covariance of response and window over the stimulus' variance in time, mean of pixels."""
        mean = self.plain / self.count
        covariance = (
            self.weighted / self.count - (self.responses / self.count)[:, None, None, None] * mean
        )
        newest = mean[-1]
        # over time: that pixels differ in their mean is no variance of the stimulus
        variance = self.squares / (self.count * newest.size) - (newest**2).mean()
        found: Floats = covariance / variance if variance > 0 else covariance * np.nan
        return found
