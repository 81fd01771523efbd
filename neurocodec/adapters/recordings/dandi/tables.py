"""Trials and epochs of an NWB file: what was repeated, and which parts the recording has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.dandi.presented import Presented
from neurocodec.adapters.recordings.frames.schedule import Schedule
from neurocodec.errors import warn

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Arranged:
    """Frames of a stimulus that are one part, when they were on, and their segments."""

    name: str
    movie: Presented
    plan: Schedule
    segments: NDArray[np.intp] | None = None


def arranged(movies: Mapping[str, Presented], content: Any) -> list[Arranged]:
    """Parts: each stimulus, cut by epochs, its trials that show the same as repeats."""
    trials = _apart(_intervals(content.trials, "trials")[1])
    epochs = content.epochs
    if content.trials is not None:
        known = {"start_time", "stop_time"}
        leave("columns of the trials:", [c for c in content.trials.colnames if c not in known])
    found: list[Arranged] = []
    for name, movie in movies.items():
        whole = Arranged(name, movie, Schedule(movie.rows, movie.times[None]))
        alone = len(movies) == 1
        for part in _by_epochs(whole, epochs, alone=alone):
            found += [part] if trials is None else _by_trials(part, trials, alone=alone)
    return found


def _intervals(table: Any, what: str) -> tuple[NDArray[np.intp], Times | None]:
    """Rows of a table that have a start and a stop after it, by their start, and these times."""
    if table is None or not len(table):
        return np.empty(0, np.intp), None
    bounds = np.stack([np.asarray(table[c][:], float) for c in ("start_time", "stop_time")], 1)
    known = bounds[:, 1] > bounds[:, 0]
    leave(f"{what} without a start, or a stop after it:", np.flatnonzero(~known))
    order = np.argsort(bounds[:, 0], kind="stable")
    order = order[known[order]]
    return order, bounds[order] if order.size else None


def _apart(trials: Times | None) -> Times | None:
    """Trials one after the other; of others, each spike would count in several."""
    if trials is None:
        return None
    slack = 1e-3 * np.diff(trials, axis=1)[:-1, 0]
    over = np.flatnonzero(trials[1:, 0] < trials[:-1, 1] - slack)
    if not over.size:
        return trials
    warn(
        f"{over.size} trials begin before the one before has ended, the first at"
        f" {trials[over[0] + 1, 0]:g} s; no trials are taken as repeats"
    )
    return None


def _span(times: Times, start: float, stop: float) -> slice:
    """Frames that begin from `start` up to `stop`, within a thousandth of a frame."""
    slack = 1e-3 * clock.step_of(times)
    first, last = np.searchsorted(times, (start - slack, stop - slack))
    return slice(int(first), int(last))


def _by_epochs(whole: Arranged, epochs: Any, *, alone: bool) -> Iterator[Arranged]:
    """Frames of each epoch, those with the same first tag together, as segments of one part."""
    order, bounds = _intervals(epochs, "epochs")
    if bounds is None:
        yield whole
        return
    tags = [_tag(epochs, int(i)) for i in order]
    times = whole.plan.onsets[0]
    spans = [(tag, _span(times, *row)) for tag, row in zip(tags, bounds, strict=True)]
    held = [(tag, span) for tag, span in spans if span.stop - span.start > 1]
    inside = np.zeros(len(times), bool)
    for _, span in held:
        inside[span] = True
    names = dict.fromkeys(tag for tag, _ in held)
    if not held or (len(names) == 1 and inside.all()):
        leave("epochs, which tell no frames of", [whole.name] if not held else [])
        yield whole
        return
    if not inside.all():
        leave(f"{int((~inside).sum())} frames of {whole.name}, outside of all epochs")
    _say_shared(held)
    for tag in names:
        own = [np.arange(span.start, span.stop) for told, span in held if told == tag]
        name = (tag if alone else f"{whole.name} {tag}").replace("/", " ")
        yield _frames(whole, name, own)


def _say_shared(held: list[tuple[str, slice]]) -> None:
    """Say where parts share frames: what is fitted to one has then seen the other."""
    seen: dict[int, set[str]] = {}
    for tag, span in held:
        for place in range(span.start, span.stop):
            seen.setdefault(place, set()).add(tag)
    shared = [tags for tags in seen.values() if len(tags) > 1]
    if shared:
        names = ", ".join(sorted(map(repr, set().union(*shared))))
        warn(f"{len(shared)} frames are in several of the epochs {names}: each part has them")


def _tag(epochs: Any, place: int) -> str:
    tags = epochs["tags"][place] if "tags" in epochs.colnames else ()
    return next((str(tag) for tag in tags), f"epoch {place}")


def _frames(whole: Arranged, name: str, spans: list[NDArray[np.intp]]) -> Arranged:
    """Some frames as a part, each span of them a segment."""
    places, first = np.unique(np.concatenate(spans), return_index=True)
    owners = np.repeat(np.arange(len(spans)), [len(x) for x in spans])[first]
    plan = replace(whole.plan, rows=whole.plan.rows[places], onsets=whole.plan.onsets[:, places])
    return Arranged(name, whole.movie, plan, owners.astype(np.intp))


def _by_trials(whole: Arranged, trials: Times, *, alone: bool) -> list[Arranged]:
    """Trials that show the same frames as repeats; the others as one part in segments."""
    times = whole.plan.onsets[0]
    step = clock.step_of(times)
    if alone and _is_shown_again(times, trials, step):
        warn(
            f"the frames of {whole.name!r} are stored once; they are taken to be shown in each of"
            f" the {len(trials)} trials"
        )
        return [_again(whole, trials)]
    spans = {k: _span(times, *row) for k, row in enumerate(trials)}
    spans = {k: span for k, span in spans.items() if span.stop - span.start > 1}
    groups = _alike(whole, spans)
    repeated = [own for own in groups if len(own) > 1]
    if not repeated:
        leave(f"{len(trials)} trials, no two of which show the same frames of {whole.name}")
        return [whole]
    single = [own[0] for own in groups if len(own) == 1]
    inside = sum(len(np.arange(len(times))[spans[k]]) for own in groups for k in own)
    if inside < len(times):
        leave(f"{len(times) - inside} frames of {whole.name}, outside of all trials")
    parts = []
    if single:
        shown = [np.arange(spans[k].start, spans[k].stop) for k in single]
        parts.append(_frames(whole, whole.name, shown))
    for number, own in enumerate(repeated):
        name = f"{whole.name} repeated" if single or len(repeated) > 1 else whole.name
        name = f"{name} {number}" if len(repeated) > 1 else name
        parts.append(_repeats(whole, name, [spans[k] for k in own], trials[own, 0]))
    return parts


def _is_shown_again(times: Times, trials: Times, step: float) -> bool:
    """Whether a file has the frames of one trial only, which were shown in every one."""
    lasting = times[-1] - times[0] + step
    long_enough = trials[:, 1] - trials[:, 0] >= lasting - clock.JUMP * step
    begun = trials[1:, 0] >= times[-1] + clock.JUMP * step
    return len(trials) > 1 and bool(long_enough.all() and begun.all())


def _again(whole: Arranged, trials: Times) -> Arranged:
    times = whole.plan.onsets[0]
    late = times[0] - trials[0, 0]
    since = times - (trials[0, 0] if 0 <= late < trials[0, 1] - trials[0, 0] else times[0])
    onsets = trials[:, :1] + since
    return replace(whole, plan=Schedule(whole.plan.rows, onsets, trials[:, 0]))


def _alike(whole: Arranged, spans: Mapping[int, slice]) -> list[list[int]]:
    """Trials by what they show; one frame more or less, by a late trigger, is no other stimulus."""
    if not spans:
        return []
    lengths = [span.stop - span.start for span in spans.values()]
    least = min(lengths) if max(lengths) - min(lengths) <= 1 else None
    groups: dict[tuple[int, bytes], list[int]] = {}
    for k, span in spans.items():
        rows = whole.plan.rows[span][:least]
        told = rows if whole.movie.by_index else whole.movie.frames[rows].values
        groups.setdefault((len(rows), np.ascontiguousarray(told).tobytes()), []).append(k)
    return [*groups.values()]


def _repeats(whole: Arranged, name: str, spans: list[slice], starts: Times) -> Arranged:
    size = min(span.stop - span.start for span in spans)
    times = whole.plan.onsets[0]
    onsets = np.stack([times[span][:size] for span in spans])
    since = onsets - onsets[:, :1]
    off = np.abs(since - np.median(since, axis=0)).max(1) > clock.JUMP * clock.step_of(times)
    leave(f"trials of {name} whose frames came at other times:", np.flatnonzero(off))
    plan = Schedule(whole.plan.rows[spans[0]][:size], onsets[~off], starts[~off])
    return Arranged(name, whole.movie, plan)
