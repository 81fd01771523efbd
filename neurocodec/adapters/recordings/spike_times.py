"""Spike times into counts at the frames of a stimulus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec import clock
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.spikes.cells import is_sampled
from neurocodec.adapters.recordings.spikes.remedies import IN_MEMORY, Remedies
from neurocodec.errors import InputError, warn

SLOW: Final = 0.5
"""Seconds from which on a frame is long enough to doubt that it was counted in seconds."""
SHORT: Final = 0.01
"""Share of the stimulus below which spikes that span no more of it are on another clock."""
DOUBTED: Final = 0.05
"""Share of the stimulus below which such spikes are doubted."""
LONG: Final = 500.0
"""Times the stimulus that a session may last; the spikes of a longer one are no seconds."""
FAINT: Final = 0.1
"""Share of the rate outside of the stimulus below which that inside is doubted."""
LISTED: Final = 5
"""Stimuli that are listed in a message."""
COARSE: Final = 0.1
"""Share of a frame to which times have to be exact."""
FEW: Final = 20
"""Spikes up to which such a share may be chance, where frames are short."""


def count_spikes(spikes: Mapping[str, ArrayLike], frames: NDArray[np.float64]) -> NDArray[np.int32]:
    """Counts (time, cell) of spikes at `s` with `frames[t] <= s < end of frame t`, in seconds."""
    # A frame ends with the next one's onset; before a gap it lasts one step (`clock.frame_ends`).
    # Others are not counted, see `report_outside`.
    counts = np.zeros((len(frames), len(spikes)), np.int32)
    for column, times in enumerate(spikes.values()):
        places, shown = _shown(np.asarray(times, dtype=np.float64), frames)
        counts[:, column] = np.bincount(places[shown], minlength=len(frames))
    return counts


def _shown(
    times: NDArray[np.float64], frames: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Frame that began last at each time, and whether it was still shown."""
    places = np.searchsorted(frames, times, side="right") - 1
    return places, (places >= 0) & (times < clock.frame_ends(frames)[places])


def report_outside(
    spikes: Mapping[str, ArrayLike],
    stimuli: Sequence[NDArray[np.float64]],
    *,
    session: bool = False,
    remedies: Remedies = IN_MEMORY,
) -> None:
    """Refuse spikes most of which are outside of all stimuli (frame onsets); warn of fewer."""
    # Of a whole session, of which the stimuli are a part, spikes outside are nothing to wonder at:
    # refused are spikes none of which is inside, or on another scale of time.
    for name, times in spikes.items():
        _require_times(name, np.asarray(times, dtype=np.float64))
    found = np.concatenate([*(np.ravel(times) for times in spikes.values()), np.empty(0)])
    spans = [(frames[0], clock.frame_ends(frames)[-1]) for frames in stimuli]
    _require_fractions(found, stimuli, remedies)
    within = np.zeros(len(found), bool)
    shown = np.zeros(len(found), bool)
    for frames, (start, stop) in zip(stimuli, spans, strict=True):
        within |= (found >= start) & (found < stop)
        shown |= _shown(found, frames)[1]
    if session:
        _report_session(found, within, spans, remedies)
    else:
        _report_before_and_after(found, within, spans)
    _report_other_units(found[within], stimuli, spans, remedies)
    _report_coarse(found, stimuli)
    lost = int((within & ~shown).sum())
    if lost:
        warn(
            f"{lost} of {len(found)} spikes are in gaps between frames, each of which lasts one"
            " step; they are dropped"
        )


def _report_before_and_after(
    found: NDArray[np.float64], within: NDArray[np.bool_], spans: list[tuple[float, float]]
) -> None:
    outside = int((~within).sum())
    told = _told(spans)
    if outside > len(found) / 2:
        raise InputError(
            came=f"{outside} of {len(found)} spikes outside of the stimulus ({told})",
            expected="spikes and frames on one clock, in seconds",
            hint=f"check units and start: spikes are at {found.min():g} to {found.max():g}",
        )
    if outside:
        warn(
            f"{outside} of {len(found)} spikes are outside of the stimulus ({told});"
            " they are dropped"
        )


def _told(spans: list[tuple[float, float]]) -> str:
    told = [f"{start:g} to {stop:g} s" for start, stop in spans]
    more = f", ... ({len(told)} in all)" if len(told) > LISTED else ""
    return ", ".join(told[:LISTED]) + more


def _require_fractions(
    found: NDArray[np.float64], stimuli: Sequence[NDArray[np.float64]], remedies: Remedies
) -> None:
    """Refuse spikes all of which came at whole seconds: they are samples, or ms."""
    if found.size <= FEW or clock.step_of(stimuli[0]) >= SLOW or not is_sampled([found]):
        return
    raise InputError(
        came=f"{found.size} spike times, all of which are whole numbers, from {found.min():g} to"
        f" {found.max():g}",
        expected="spike times in seconds",
        hint=remedies.samples,
    )


def _report_coarse(found: NDArray[np.float64], stimuli: Sequence[NDArray[np.float64]]) -> None:
    """Doubt times that were stored as float32, so far from 0 that frames are confused."""
    step = clock.step_of(stimuli[0])
    even = len({*np.diff(stimuli[0]).tolist()}) == 1
    for what, times in (("spikes", found), ("frames", np.empty(0) if even else stimuli[0])):
        kind = _stored_as(times)
        exact = float(np.spacing(np.abs(times).max().astype(kind))) if kind else 0.0
        if exact > COARSE * step:
            warn(
                f"times of {what} that were stored as {kind} are exact to {exact:.2g} s, of frames"
                f" of {step:.2g} s: float64, or times from the start of the stimulus"
            )


def _stored_as(times: NDArray[np.float64]) -> str:
    """Shortest kind of float that holds all of many times; nothing where that is float64."""
    with np.errstate(over="ignore"):
        kinds = [k for k in ("float16", "float32") if (times == times.astype(k)).all()]
    return kinds[0] if kinds and times.size > FEW else ""


def _report_session(
    found: NDArray[np.float64],
    within: NDArray[np.bool_],
    spans: list[tuple[float, float]],
    remedies: Remedies,
) -> None:
    inside, outside = int(within.sum()), int((~within).sum())
    if not outside:
        return
    lasting = sum(stop - start for start, stop in spans)
    span = float(found.max() - found.min())
    came = f"{outside} of {len(found)} spikes are outside of the stimulus ({_told(spans)})"
    beyond = span > LONG * (max(b for _, b in spans) - min(a for a, _ in spans))
    if not inside or beyond:
        whole = remedies.samples if is_sampled([found]) else remedies.spikes_in_ms
        raise InputError(
            came=f"{came}, at {found.min():g} to {found.max():g}",
            expected="spikes and frames on one clock, in seconds",
            hint=whole if beyond else remedies.start,
        )
    if inside / lasting < FAINT * outside / max(span - lasting, lasting):
        warn(f"{came}, where cells fire much more than inside: are both on one clock?")
    leave(f"{outside} of {len(found)} spikes, outside of the stimulus")


def _report_other_units(
    found: NDArray[np.float64],
    stimuli: Sequence[NDArray[np.float64]],
    spans: list[tuple[float, float]],
    remedies: Remedies,
) -> None:
    """Refuse, or doubt, spikes that are all at the very beginning of a stimulus in other units."""
    start, stop = min(a for a, _ in spans), max(b for _, b in spans)
    if found.size < 2 or found.max() - start > DOUBTED * (stop - start):
        return
    step = clock.step_of(stimuli[0])
    came = (
        f"{found.size} spikes at {found.min():g} to {found.max():g} s of a stimulus from {start:g}"
        f" to {stop:g} s, with frames of {step:g} s"
    )
    if step >= SLOW and found.max() - start <= SHORT * (stop - start):
        raise InputError(
            came=came, expected="spikes and frames in seconds", hint=remedies.frames_in_ms
        )
    if found.size > FEW:
        warn(f"{came}: are both in seconds?")


def _require_times(name: str, times: NDArray[np.float64]) -> None:
    bad = int((~np.isfinite(times)).sum())
    if bad:
        raise InputError(
            came=f"{bad} of {times.size} spike times of {name!r} that are NaN or infinite",
            expected="spike times in seconds",
            hint="spikes[np.isfinite(spikes)] before saving them",
        )
