"""Spike times into counts at the frames of a stimulus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError, warn


def frame_edges(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Onsets of frames and the end of the last one, which lasts as long as the median one."""
    return np.append(frames, frames[-1] + np.median(np.diff(frames)))


def count_spikes(spikes: Mapping[str, ArrayLike], frames: NDArray[np.float64]) -> NDArray[np.int32]:
    """Counts (time, cell) of spikes at `s` with `frames[t] <= s < frames[t + 1]`, in seconds."""
    # Others are not counted, see `report_outside`.
    edges = frame_edges(frames)
    counts = np.zeros((len(frames), len(spikes)), np.int32)
    for column, times in enumerate(spikes.values()):
        places = np.searchsorted(edges, np.asarray(times, dtype=np.float64), side="right") - 1
        inside = places[(places >= 0) & (places < len(frames))]
        counts[:, column] = np.bincount(inside, minlength=len(frames))
    return counts


def report_outside(spikes: Mapping[str, ArrayLike], stimuli: Sequence[NDArray[np.float64]]) -> None:
    """Refuse spikes most of which are outside of all stimuli (frame edges); warn of fewer."""
    for name, times in spikes.items():
        _require_times(name, np.asarray(times, dtype=np.float64))
    found = np.concatenate([*(np.ravel(times) for times in spikes.values()), np.empty(0)])
    inside = np.zeros(len(found), bool)
    for edges in stimuli:
        inside |= (found >= edges[0]) & (found < edges[-1])
    outside = int((~inside).sum())
    spans = ", ".join(f"{edges[0]:g} to {edges[-1]:g} s" for edges in stimuli)
    if outside > len(found) / 2:
        raise InputError(
            came=f"{outside} of {len(found)} spikes outside of the stimulus ({spans})",
            expected="spikes and frames on one clock, in seconds",
            hint=f"check units and start: spikes are at {found.min():g} to {found.max():g}",
        )
    if outside:
        warn(
            f"{outside} of {len(found)} spikes are outside of the stimulus ({spans});"
            " they are dropped"
        )


def _require_times(name: str, times: NDArray[np.float64]) -> None:
    bad = int((~np.isfinite(times)).sum())
    if bad:
        raise InputError(
            came=f"{bad} of {times.size} spike times of {name!r} that are NaN or infinite",
            expected="spike times in seconds",
            hint="spikes[np.isfinite(spikes)] before saving them",
        )
