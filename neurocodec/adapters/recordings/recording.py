"""`nc.recording`: a stimulus, spike times and when the frames were on, as a recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from neurocodec.adapters.recordings.account import READING, accounting, tell
from neurocodec.adapters.recordings.checks import report_silent, report_slow, select_cells
from neurocodec.adapters.recordings.frames.axes import scheduled
from neurocodec.adapters.recordings.frames.movies import movie
from neurocodec.adapters.recordings.frames.schedule import Gaps, Timing, with_own_times
from neurocodec.adapters.recordings.frames.triggers import Missing
from neurocodec.adapters.recordings.making import made
from neurocodec.adapters.recordings.spikes.cells import Quality
from neurocodec.adapters.recordings.spikes.remedies import of_times
from neurocodec.adapters.recordings.spikes.sources import cells_of
from neurocodec.labels import stamp


def recording(
    stimulus: Any,
    spike_times: Any,
    *,
    frame_times: Any = None,
    triggers: Any = None,
    trials: Any = None,
    frame_rate: float | None = None,
    frames_per_trigger: int = 1,
    shown: Any = None,
    gaps: Gaps = "cut",
    missing: Missing = "refuse",
    cells: str | Iterable[str | int] | None = None,
    quality: Quality = None,
    sample_rate: float | None = None,
    units: str = "1",
) -> xr.Dataset:
    """Put a stimulus, spike times and the times of its frames together, as a recording.

    Spikes are counted while each frame was on. Give one of `frame_times`, `triggers`, and
    `frame_rate` (with `trials`, or where spike times count from the first frame), or a stimulus
    with a coordinate `time` in seconds.

    Parameters
    ----------
    stimulus
        Frames (time, y, x), frames in colour (time, color, y, x), or full-field light (time,),
        which becomes a movie of one pixel: an array, a DataArray (whose `segment` is kept), a
        pynapple `TsdTensor` or `Tsd` (with its times), or a `.npy` file.
    spike_times
        ``{cell: times in seconds}``, a list of times a cell, a `pynapple.TsGroup` (or what it
        saved), a sorting of spikeinterface, a segment of neo (whose units count); or a folder of
        Kilosort, phy, spikeinterface or ALF, a folder of text files (one a cell), a text file,
        JSON ``{cell: times}``, a MAT file, an `.npz` or HDF5 with `spike_times` (and
        `spike_cell`).
    frame_times
        Onset of each frame in seconds; NaN for a frame that never came on. With `trials`, onsets
        since the start of a trial, or of all frames of all trials; or (trial, frame) without.
    triggers
        Times of trigger pulses: one a frame, or one every `frames_per_trigger`.
    trials
        Where all of the stimulus was repeated: how many times, the starts of the trials, (start,
        stop) of each, or a `pynapple.IntervalSet`.
    frame_rate
        Frames per second from the start of each trial.
    frames_per_trigger
        How many frames follow each trigger.
    shown
        Row of the stimulus that each shown frame is, where not all were shown, or in this order.
    gaps
        Where frames came late: "cut" leaves a gap of time, over which no window of frames reaches
        and whose spikes are dropped; "hold" repeats the frame before, which was still on.
    missing
        Where there are fewer triggers than frames: "refuse"; "skipped" where frames were never
        shown, "unseen" where they were, without a trigger. Long intervals tell which.
    cells
        Names or positions of the cells that are kept; None keeps all.
    quality
        Labels of the units that are kept, "all", or None: "good" ones of Kilosort's and phy's
        folders, elsewhere all that are not labelled "noise".
    sample_rate
        Samples per second, where spike times are samples; None takes it from the folder.
    units
        Of the stimulus.

    Returns
    -------
    xarray.Dataset
        `stimulus` (time, [color,] y, x), `spike_count` (repeat, time, cell) and `firing_rate`
        (time, cell) in Hz. With trials, time counts from the first frame of a trial. The attribute
        `reading` says what was taken and what was left, as the log does.

    Raises
    ------
    InputError
        Where times and frames do not fit each other, or a source lacks something.
    StorageError
        Where there is no such file, or it is damaged.

    Warns
    -----
    NeurocodecWarning
        Where most spikes are outside of the stimulus, or some in a gap between its frames.

    Examples
    --------
    >>> import numpy as np
    >>> light = [0.0, 1.0, 0.0]
    >>> found = recording(light, {"ON 1": [0.12, 5.11, 5.25]}, trials=[0.0, 5.0], frame_rate=10.0)
    >>> found.spike_count[:, :, 0].values.tolist(), dict(found.stimulus.sizes)
    ([[0, 1, 0], [0, 1, 1]], {'time': 3, 'y': 1, 'x': 1})
    """
    timing = Timing(
        frame_times, triggers, trials, frame_rate, frames_per_trigger, shown, gaps, missing
    )
    with accounting() as left:
        frames = movie(stimulus, units)
        plan = scheduled(with_own_times(timing, frames), frames)
        sorted_cells = cells_of(spike_times, quality=quality, sample_rate=sample_rate)
        told = "triggers" if triggers is not None else "frame_times"
        part = made(frames, sorted_cells, plan, of_times(told, sample_rate))
        part = select_cells({"": part}, cells)[""]
        report_silent({"recording": part})
        report_slow({"recording": part})
    line = tell("nc.recording", {"recording": part}, left)
    facts = {"frame_rate": frame_rate, "gaps": gaps, "missing": missing, "quality": quality}
    return stamp(part.assign_attrs({READING: line}), "nc.recording", **facts, cells=cells)
