"""Trials in which a stimulus was repeated: their number, starts, or starts and stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments, clock
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.triggers import as_array
from neurocodec.errors import InputError

ROUNDING: Final = 1e-6
"""Share of a trial by which it may end after the next one's start."""
EXPECTED: Final = "how many trials there are, their starts in seconds, or (start, stop) of each"


@dataclass(frozen=True)
class Trials:
    """Starts of trials, stops where they are known; or their number alone."""

    starts: NDArray[np.float64]
    stops: NDArray[np.float64] | None = None
    count: int | None = None

    def shifted(
        self, relative: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Onsets (trial, frame) of frames that come at times since the start of a trial."""
        if self.count is not None:
            raise InputError(
                came=f"trials={self.count}",
                expected="when the trials began, where nothing else says so",
                hint="trials=starts",
            )
        known = relative[~np.isnan(relative)]
        step = clock.step_of(known) if known.size > 1 else 0.0
        lasting = float(known.max()) + step
        slack = clock.JUMP * step
        short = np.diff(self.starts) < lasting - slack
        if short.any():
            place = int(np.argmax(short))
            raise InputError(
                came=f"trials {place} and {place + 1}, {np.diff(self.starts)[place]:g} s apart, of"
                f" a stimulus of {lasting:g} s",
                expected="trials that begin after the one before has ended",
                hint="stimulus[:n], where each trial showed its beginning",
            )
        kept = self._whole(lasting - slack)
        return self.starts[kept, None] + relative, self.starts[kept]

    def split(
        self, times: NDArray[np.float64], each: int, what: str
    ) -> dict[int, NDArray[np.float64]]:
        """Times of each trial, by its place; those outside of all trials are left."""
        if self.count is not None:
            if len(times) != self.count * each:
                raise InputError(
                    came=f"{len(times)} {what} for {self.count} trials of {each}",
                    expected=f"{self.count * each}",
                    hint="trials=[[start, stop], ...], where some trials are not whole",
                )
            return dict(enumerate(times.reshape(self.count, each)))
        first = np.searchsorted(times, self.starts)
        ends = np.append(self.starts[1:], np.inf) if self.stops is None else self.stops
        last = np.searchsorted(times, ends)
        if self.stops is None:
            last[-1] = min(last[-1], first[-1] + each)
        found = {k: times[a:b] for k, (a, b) in enumerate(zip(first, last, strict=True))}
        outside = len(times) - sum(map(len, found.values()))
        if outside:
            leave(f"{outside} {what} outside of the trials")
        empty = [k for k, part in found.items() if not part.size]
        if empty:
            raise InputError(
                came=f"trials without {what}: {empty[:8]}",
                expected=f"{what} and trials on one clock, in seconds",
                hint=f"{what} are at {times[0]:g} to {times[-1]:g} s",
            )
        return found

    def without(self, trial: int) -> str:
        """What to type to leave a trial out, of trials whose starts are known."""
        if self.count is not None:
            return ""
        pairs = "trials"
        if self.stops is None:  # else the one before would last until the next one's start
            pairs = "np.stack([trials, np.append(trials[1:], np.inf)], 1)"
        return f"trials=np.delete({pairs}, {trial}, axis=0), without the trial"

    def _whole(self, lasting: float) -> NDArray[np.intp]:
        """Trials that were not stopped before the end of the stimulus."""
        if self.stops is None:
            return np.arange(len(self.starts))
        whole = self.stops - self.starts >= lasting
        if not whole.any():
            raise InputError(
                came=f"trials of at most {(self.stops - self.starts).max():g} s for a stimulus of"
                f" {lasting:g} s",
                expected="trials that last as long as the stimulus",
                hint="stimulus[:n], where each trial showed its beginning",
            )
        leave("trials that stopped early:", np.flatnonzero(~whole))
        return np.flatnonzero(whole)


def trials_of(trials: Any) -> Trials | None:
    """Trials as a number, starts, pairs, a table or a pynapple `IntervalSet` tell them."""
    if trials is None or isinstance(trials, Trials):
        return trials
    if arguments.is_whole(trials):
        return Trials(np.empty(0), count=arguments.whole("trials", trials))
    if hasattr(trials, "start") and hasattr(trials, "end"):
        return _bounds(np.asarray(trials.start), np.asarray(trials.end))
    if hasattr(trials, "columns") and {"start_time", "stop_time"} <= {*trials.columns}:
        return _bounds(np.asarray(trials["start_time"]), np.asarray(trials["stop_time"]))
    found = as_array(trials, "trials=", EXPECTED)
    if not found.ndim and found.dtype.kind == "f" and float(found).is_integer():
        raise InputError(
            came=f"trials={float(found)}, which may be how many there are, or a start",
            expected=EXPECTED,
            hint=f"trials={int(found)}, or trials=[{float(found)}]",
        )
    if found.dtype.kind not in "fiu" or not found.size or found.ndim > 2:
        raise InputError(
            came=f"trials= of {found.dtype} and shape {found.shape}", expected=EXPECTED
        )
    if found.ndim == 2:
        if found.shape[1] != 2:
            raise InputError(came=f"trials= of shape {found.shape}", expected=EXPECTED)
        return _bounds(found[:, 0], found[:, 1])
    return Trials(clock.rising(found, where="trials"))


def _bounds(starts: NDArray[Any], stops: NDArray[Any]) -> Trials:
    begun = clock.rising(starts, where="the starts of trials")
    ended = np.asarray(stops, np.float64).ravel()
    if not (ended > begun).all():
        place = int(np.argmin(ended > begun))
        raise InputError(
            came=f"trial {place}, from {begun[place]:g} to {ended[place]:g} s",
            expected="trials that stop after they start",
        )
    over = begun[1:] < ended[:-1] - ROUNDING * (ended - begun)[:-1]
    if over.any():
        place = int(np.argmax(over))
        raise InputError(
            came=f"trials {place} and {place + 1}, which overlap",
            expected="trials one after the other",
        )
    return Trials(begun, ended)
