"""Rows of a stimulus and their onsets in every trial, from what a laboratory has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.trials import Trials, trials_of
from neurocodec.adapters.recordings.frames.triggers import Missing, Of, as_array, matched, rising
from neurocodec.errors import InputError

Gaps = Literal["cut", "hold"]
TIMING: Final = (
    "when the frames were on: frame_times= (one a frame), triggers=, or frame_rate= with trials="
)


@dataclass(frozen=True)
class Schedule:
    """Rows of the stimulus as they were shown, and onsets (trial, frame) in seconds."""

    rows: NDArray[np.intp]
    onsets: NDArray[np.float64]
    starts: NDArray[np.float64] | None = None  # of the trials; None without repeats

    @property
    def times(self) -> NDArray[np.float64]:
        """Times of the frames: of the only trial, or since the first frame, over the trials."""
        if self.starts is None:
            return np.asarray(self.onsets[0])
        return np.asarray((self.onsets - self.onsets[:, :1]).mean(0))

    @property
    def widths(self) -> NDArray[np.float64]:
        """How long each frame lasted in all trials together."""
        return np.asarray(np.sum([clock.frame_ends(row) - row for row in self.onsets], axis=0))


@dataclass(frozen=True)
class Timing:
    """What `nc.recording` was told about times."""

    frame_times: Any = None
    triggers: Any = None
    trials: Any = None
    frame_rate: float | None = None
    frames_per_trigger: int = 1
    shown: Any = None
    gaps: Gaps = "cut"
    missing: Missing = "refuse"

    def schedule(self, frames: int) -> Schedule:
        """Rows and onsets of a stimulus of so many frames."""
        arguments.one_of("way to treat gaps", self.gaps, get_args(Gaps))
        arguments.one_of("way to treat missing triggers", self.missing, get_args(Missing))
        if self.triggers is None and (self.frames_per_trigger, self.missing) != (1, "refuse"):
            raise InputError(
                came="frames_per_trigger= or missing= without triggers=",
                expected="triggers=, of which they tell something",
                hint="frame_times=times, with NaN for a frame that never came on",
            )
        rows = _rows(self.shown, frames)
        made = self._onsets(len(rows))
        onsets = np.atleast_2d(made[0] if isinstance(made, tuple) else made)
        starts = made[1] if isinstance(made, tuple) else None
        plan = _without_lost(Schedule(rows, onsets, starts))
        return _held(_aligned(plan, self._without), self.gaps)

    def _without(self, trial: int) -> str:
        """What to type to leave a trial out."""
        trials = trials_of(self.trials)
        if trials is None:
            return f"frame_times=np.delete(frame_times, {trial}, axis=0), without the trial"
        if trials.count is None:
            return trials.without(trial)
        name = "frame_times" if self.triggers is None else "triggers"
        rows = f"np.reshape({name}, ({trials.count}, -1))"
        return (
            f"{name}=np.ravel(np.delete({rows}, {trial}, axis=0)), trials={trials.count - 1},"
            " without the trial"
        )

    def _onsets(self, frames: int) -> Any:
        """Onsets (trial, frame), and starts of the trials where there are any."""
        given = [n for n in ("frame_times", "triggers") if getattr(self, n) is not None]
        if len(given) > 1 or (not given and self.frame_rate is None):
            raise InputError(
                came="both frame_times= and triggers=" if given else "a stimulus without times",
                expected=TIMING,
                hint="frame_rate=60.0, where spike times count from the first frame",
            )
        if given and self.frame_rate is not None:
            raise InputError(
                came=f"{given[0]}= and frame_rate=",
                expected="one of them; nc.stimuli.resample brings a recording to another rate",
            )
        trials = trials_of(self.trials)
        if self.triggers is not None:
            return self._by_triggers(frames, trials)
        if self.frame_times is not None:
            return _by_times(self.frame_times, frames, trials)
        relative = np.arange(frames) / arguments.frame_rate(self.frame_rate)
        return relative if trials is None else trials.shifted(relative)

    def _by_triggers(self, frames: int, trials: Trials | None) -> Any:
        triggers = rising(self.triggers, "triggers")
        per = arguments.whole("frames_per_trigger", self.frames_per_trigger)
        if trials is None:
            return matched(triggers, frames, per, self.missing)
        split = trials.split(triggers, -(-frames // per), "triggers")
        rows = [
            matched(part, frames, per, self.missing, Of(f" in trial {k}", trials.without(k)))
            for k, part in split.items()
        ]
        return np.stack(rows), np.array([part[0] for part in split.values()])


def with_own_times(timing: Timing, movie: xr.DataArray) -> Timing:
    """Take the times of a labelled movie where no others were told; refuse another frame rate."""
    if v.TIME not in movie.coords:
        return timing
    own = np.asarray(clock.seconds(movie[v.TIME].variable).values, np.float64)
    if (own == np.arange(own.size)).all():
        own = own if timing.frame_rate is None else own / arguments.frame_rate(timing.frame_rate)
    if timing.frame_rate is not None:
        _require_rate(own, arguments.frame_rate(timing.frame_rate))
        return timing
    told = timing.frame_times if timing.frame_times is not None else timing.triggers
    if told is None and timing.shown is None:
        return replace(timing, frame_times=own)
    if told is not None and not np.array_equal(as_array(told, "times", "seconds"), own):
        leave("the times of the stimulus, as others were told")
    return timing


def _require_rate(own: NDArray[np.float64], rate: float) -> None:
    """Refuse times of a movie that are not those of a frame rate, within half of a frame."""
    off = np.abs(own - own[0] - np.arange(own.size) / rate)
    if not off.max() <= clock.JUMP / rate:
        step = clock.step_of(own)
        raise InputError(
            came=f"frame_rate={rate:g} of a stimulus whose times are {step:g} s apart, and whose"
            f" frame {int(off.argmax())} is {off.max():.3g} s off",
            expected="a rate or times, or both that agree",
            hint="stimulus.drop_vars('time'), where the rate is right; without frame_rate=, where"
            " the times are",
        )
    if own[0]:
        leave(f"the start of the times of the stimulus, {own[0]:g} s")


def _rows(shown: Any, frames: int) -> NDArray[np.intp]:
    """Row of the stimulus that each shown frame is."""
    if shown is None:
        return np.arange(frames)
    found = as_array(shown, "shown=", "the row of the stimulus that each shown frame is")
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
        raise InputError(
            came=f"shown= of {found.dtype} and shape {found.shape}",
            expected="the row of the stimulus that each shown frame is, whole numbers",
            hint="np.flatnonzero(shown), where it says whether a row was shown",
        )
    if found.min() < 0 or found.max() >= frames:
        raise InputError(
            came=f"shown= with rows {found.min()} to {found.max()} of a stimulus of {frames}",
            expected=f"rows 0 to {frames - 1}",
            hint="shown - 1, where rows are counted from 1",
        )
    never = np.setdiff1d(np.arange(frames), found)
    leave("rows of the stimulus that were never shown:", never)
    return found.astype(np.intp)


def _by_times(frame_times: Any, frames: int, trials: Trials | None) -> Any:
    times = as_array(frame_times, "frame_times", "seconds")
    if times.dtype.kind not in "fiu":
        raise InputError(came=f"frame_times of {times.dtype}", expected="seconds")
    times = times.astype(np.float64)
    if times.ndim == 2 and times.shape == (frames, 1):
        times = times.ravel()  # a column of a table, or of MATLAB
    if times.ndim == 2 and trials is None:
        _require_one_onset(times.shape, frames)
        _require_one_a_frame(times.shape[1], frames, " a trial")
        return times, times[:, 0]
    if times.ndim != 1:
        raise InputError(
            came=f"frame_times of shape {times.shape}" + (" with trials=" if trials else ""),
            expected="one onset a frame, or (trial, frame) without trials=",
        )
    if trials is None or (trials.count is None and times.size == frames):
        _require_one_a_frame(times.size, frames, "")
        return times if trials is None else trials.shifted(_since_start(times, trials))
    number = len(trials.starts) if trials.count is None else trials.count
    if np.isnan(times).any() and times.size == number * frames:
        onsets = times.reshape(number, frames)
        return onsets, onsets[:, 0]
    split = trials.split(rising(times, "frame_times"), frames, "frame_times")
    for part in split.values():
        _require_one_a_frame(part.size, frames, " a trial")
    return np.stack([*split.values()]), np.array([part[0] for part in split.values()])


def _since_start(times: NDArray[np.float64], trials: Trials) -> NDArray[np.float64]:
    """Onsets since the start of a trial; refused where they seem to be those of the first one."""
    apart = np.diff(trials.starts).min() if trials.starts.size > 1 else np.inf
    if np.isnan(times).all():
        raise InputError(came="frame times that are all NaN", expected="onsets in seconds")
    first = float(np.nanmin(times))
    if 0 <= first < apart and not (trials.starts[0] > 0 and first >= trials.starts[0]):
        return times
    raise InputError(
        came=f"frame_times from {first:g} s for trials from {trials.starts[0]:g} s",
        expected="onsets of all frames of all trials, or of one trial since its start",
        hint="frame_times - trials[0]",
    )


def _require_one_onset(shape: tuple[int, ...], frames: int) -> None:
    """Refuse onsets beside ends, which are no two trials."""
    if shape == (frames, 2) and frames != 2:
        raise InputError(
            came=f"frame_times of shape {shape} for {frames} frames",
            expected="one onset a frame, or (trial, frame)",
            hint="frame_times[:, 0], where the columns are onsets and ends",
        )


def _require_one_a_frame(found: int, frames: int, each: str) -> None:
    if found == frames:
        return
    hints = {
        frames + 1: "frame_times[:-1], where the last is the end",
        frames - 1: "stimulus[:-1], where frame_times leave out the last frame",
    }
    raise InputError(
        came=f"{found} frame times{each} for {frames} frames",
        expected="one onset a frame; NaN for a frame that never came on",
        hint=hints.get(found, "shown=rows, which row of the stimulus each shown frame is"),
    )


def _without_lost(schedule: Schedule) -> Schedule:
    """Take out frames that never came on (NaN), in any trial; the others have to rise."""
    lost = np.isnan(schedule.onsets).any(0)
    if lost.all():
        raise InputError(came="frame times that are all NaN", expected="onsets in seconds")
    if lost.any():
        leave(f"{int(lost.sum())} frames that never came on")
        onsets = schedule.onsets[:, ~lost]
        starts = schedule.starts
        if starts is not None and np.isnan(starts).any():  # of first frames that never came on
            starts = onsets[:, 0]
        schedule = replace(schedule, rows=schedule.rows[~lost], onsets=onsets, starts=starts)
    if schedule.rows.size < 2:
        raise InputError(came="a stimulus of a single frame", expected="at least two frames")
    for k, row in enumerate(schedule.onsets):
        trial = f" of trial {k}" if schedule.starts is not None else ""
        clock.rising(row, where=f"frame_times{trial}")
    return schedule


def _aligned(schedule: Schedule, without: Callable[[int], str]) -> Schedule:
    """Refuse trials in which a frame came at another time than in the others."""
    since = schedule.onsets - schedule.onsets[:, :1]
    usual = np.median(since, axis=0)
    late = np.abs(since - usual)
    worst, frame = np.unravel_index(int(late.argmax()), late.shape)
    if late.max() <= clock.JUMP * clock.step_of(usual):
        return schedule
    raise InputError(
        came=f"trial {worst}, whose frame {frame} came {late.max():.3g} s off its time in the"
        " others",
        expected="the same frames at the same times in every trial",
        hint=without(int(worst)),
    )


def _held(schedule: Schedule, gaps: Gaps) -> Schedule:
    """With "hold", repeat the frame before each gap until the next one came on."""
    times = schedule.times
    late = clock.after_gaps(times)
    if gaps == "cut" or not late.any():
        return schedule
    step = clock.step_of(times)
    lasting = np.ones(len(times), np.intp)
    lasting[:-1][late] = np.round(np.diff(times)[late] / step)
    added = int(lasting.sum()) - len(times)
    if added > len(times):
        raise InputError(
            came=f"gaps='hold' over gaps of {added} frames in a stimulus of {len(times)}",
            expected="gaps no longer than the stimulus: a pause is no dropped frame",
            hint="gaps='cut'",
        )
    leave(f"{added} refreshes without a new frame, in which the one before was held")
    places = np.arange(lasting.sum())
    known = np.cumsum(lasting) - lasting
    onsets = np.stack([np.interp(places, known, row) for row in schedule.onsets])
    return replace(schedule, rows=np.repeat(schedule.rows, lasting), onsets=onsets)
