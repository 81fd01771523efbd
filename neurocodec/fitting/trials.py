"""Spikes of single trials, where a recording has them, and what a GLM says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.cells.recording import bin_width_of
from neurocodec.fitting.parts import SPIKE_COUNT, checked, frame_rate_of, is_counted
from neurocodec.fitting.segments import Stretch
from neurocodec.nn.retina.spike_history import SpikeHistory


@dataclass(frozen=True)
class Trials:
    """Counts of single trials in bins of one width."""

    counts: NDArray[np.float64]  # (repeat, time, cell), of all frames of the training part
    test_counts: NDArray[np.float64]  # (repeat, time, cell), of what is judged on
    bin_width: float  # in seconds


@dataclass(frozen=True)
class Given:
    """What a GLM predicts of the test part."""

    mean: NDArray[np.float64]  # rates (time, cell) in Hz, over simulated trials
    rates: NDArray[np.float64]  # (time * repeat, cell) in Hz, given the spikes before
    spikes: NDArray[np.float64]  # (time * repeat, cell) in Hz


def trials_of(
    training: xr.Dataset, judged: xr.Dataset, cells: NDArray[Any], ends: list[Stretch]
) -> Trials | str:
    """Single trials of both parts, or why there are none."""
    for part, what in ((training, "fitted to"), (judged, "judged on")):
        if not is_counted(part):
            return f"what is {what} are firing rates, not spike counts of single trials"
    widths = [_width_of(part) for part in (training, judged)]
    if not np.isclose(widths[0], widths[1]):
        return f"bins are of {widths[0]:g} and {widths[1]:g} s"
    counts, others = (
        checked(part[SPIKE_COUNT], "the spike counts").sel({v.CELL: cells}).values.astype(float)
        for part in (training, judged)
    )
    if any((np.mod(x, 1) != 0).any() for x in (counts, others)):
        return "spike counts are not whole numbers, as those of single trials are"
    kept = np.concatenate([others[:, a:b] for a, b, _ in ends], axis=1)
    return Trials(counts, kept, widths[0])


def given(
    glm: SpikeHistory,
    trials: Trials,
    frames: NDArray[Any],
    stretches: tuple[tuple[int, int], ...],
) -> Given:
    """Mean rates of a GLM for the test movie, and rates of single trials given their spikes."""
    parts, history = [], glm.linear.filters.shape[1]
    for a, b in stretches:
        known = trials.test_counts[:, a:b]
        spikes = known[:, history - 1 :] / trials.bin_width
        rates = glm.rates(frames[a:b], known)
        parts.append((glm.mean_rates(frames[a:b]), _by_time(rates), _by_time(spikes)))
    return Given(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def _by_time(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (repeat, time, cell) as rows: all trials of a time, then those of the next."""
    return values.swapaxes(0, 1).reshape(-1, values.shape[-1])


def _width_of(part: xr.Dataset) -> float:
    return bin_width_of(part) if "bin_width" in part.coords else 1 / frame_rate_of(part)
