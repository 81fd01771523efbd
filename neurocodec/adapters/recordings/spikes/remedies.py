"""What to type where spike times or frame times are in other units than seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import xarray as xr

DURATIONS: Final = ("time", "trial_start", "bin_width", "trigger")
"""Coordinates of a recording that are in seconds."""


@dataclass(frozen=True)
class Remedies:
    """Calls that put right what is in samples or in milliseconds, as they are typed."""

    samples: str = "sample_rate=30000.0, the samples per second, where spike times are samples"
    spikes_in_ms: str = "sample_rate=1000.0, where spike times are in ms"
    frames_in_ms: str = "frame_times=frame_times / 1000, where they are in ms"
    start: str = (
        "trials=[start], where the first frame came on at start, on the clock of the spikes"
    )


IN_MEMORY: Final = Remedies()


def of_times(given: str, sample_rate: float | None = None) -> Remedies:
    """Remedies of `nc.recording`, which was told times of frames by an argument of this name."""
    if sample_rate is not None:
        samples = f"{given}={given} / {sample_rate}, where they are samples as the spikes are"
        return Remedies(frames_in_ms=samples)
    return Remedies(frames_in_ms=f"{given}={given} / 1000, where they are in ms")


def of_npz(part: str, names: Mapping[str, str]) -> Remedies:
    """Remedies for a part of an `.npz`, with its arrays by what they are."""
    prefix = f"{part}/" if part else ""

    def again(what: str) -> str:
        key = prefix + names.get(what, what)
        change = f"np.load(path)[{key!r}] / 1000"
        return f"np.savez(path, **{{**np.load(path), {key!r}: {change}}}), where they are in ms"

    rate = f"{{**np.load(path), {prefix + 'sample_rate'!r}: 30000.0}}"
    frames = next((n for n in ("frame_times", "triggers") if n in names), "frame_times")
    return Remedies(
        f"np.savez(path, **{rate}), where spike times are samples",
        again("spike_times"),
        again(frames),
        "frame_times in the file, on the clock of the spikes",
    )


def of_matlab(part: str) -> Remedies:
    """Remedies for a MAT file, or for a struct in it."""
    where = f"{part}." if part else ""
    return Remedies(
        f"{where}sample_rate = 30000 in MATLAB, where spike times are samples",
        f"the spike times of {part} / 1000 in MATLAB, where they are in ms"
        if part
        else "nc.recording(stimulus, spike_times=path, sample_rate=1000.0, frame_times=times),"
        " where they are in ms",
        f"{where}frame_times = {where}frame_times / 1000 in MATLAB, where they are in ms",
        f"{where}frame_times in the file, on the clock of the spikes",
    )


OF_STORED: Final = Remedies(
    "nc.recording(stimulus, {cell: samples / 30000.0}, frame_times=times), where they are samples",
    "nc.recording(stimulus, {cell: times / 1000}, frame_times=times), where they are in ms",
    "nc.recording(stimulus, {cell: times}, frame_times=times / 1000), where these are in ms",
    "nc.recording(stimulus, {cell: times}, frame_times=times), on one clock",
)
"""Of a file whose format says that its times are seconds."""


def of_units(times: str) -> Remedies:
    """Remedies for an HDF5 file, in which an attribute of the frame times tells their units."""
    units = f"h5py.File(path, 'r+')[{times!r}].attrs['units'] = 'ms'"
    return replace(OF_STORED, frames_in_ms=f"{units}, where the times of the frames are in ms")


def in_seconds_again(part: xr.Dataset, what: str) -> str:
    """Call that makes seconds of all times of a recording in ms, and rates of those counted so."""
    found = [c for c in DURATIONS if c in part.coords]
    times = ", ".join(f"{c}=lambda part: part.{c} / 1000" for c in found)
    rate = ".assign(firing_rate=lambda part: 1000 * part.firing_rate)"
    return f"{what}.assign_coords({times})" + (rate if _is_counted_here(part) else "")


def _is_counted_here(part: xr.Dataset) -> bool:
    """Whether the rates are those of the counts, on the same clock."""
    data: Mapping[Any, Any] = part
    if not {"firing_rate", "spike_count", "bin_width"} <= {*data, *part.coords}:
        return False
    counted = float(part["spike_count"].mean()) / float(part["bin_width"])
    return abs(counted - float(part["firing_rate"].mean())) <= 0.1 * counted
