"""Units of an NWB file: names, quality, spike times, and when each was observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.schedule import Schedule
from neurocodec.adapters.recordings.spikes.cells import (
    Cells,
    Quality,
    of_quality,
    require_different,
)
from neurocodec.errors import InputError, warn

NAMES: Final = ("unit_name", "name", "unit_label")
"""Columns that name a unit."""
QUALITY: Final = ("quality", "group", "KSLabel", "main_label", "default_qc", "label")
"""Columns of labels such as "good" and "noise"."""
FACTS: Final = ("cell_type", "location", "depth")
READ: Final = ("spike_times", "obs_intervals", *NAMES, *QUALITY, *FACTS)
SEEN: Final = 0.5
"""Share of a part that a unit has to be observed in."""

Bounds = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Units:
    """Sorted cells, and (start, stop) of the times in which each was observed, where told."""

    cells: Cells
    observed: dict[str, Bounds]


def units_of(content: Any, quality: Quality) -> Units | None:
    """Units of the file's own table, or of a processing module, without noise."""
    tables = dict(_tables(content))
    if not tables:
        return None
    (name, table), *others = tables.items()
    leave("other tables of units:", [other for other, _ in others])
    if "spike_times" not in table.colnames:
        raise InputError(
            came=f"units with the columns {[*table.colnames]}", expected="a column 'spike_times'"
        )
    if name != "units":
        leave(f"no units of the file's own table: they are those of {name}")
    leave("columns of the units:", [c for c in table.colnames if c not in READ])
    names = _names(table)
    times = {n: np.asarray(table.get_unit_spike_times(i), np.float64) for i, n in enumerate(names)}
    cells = of_quality(Cells(times, _facts(table)), quality, "not noise")
    observed: dict[str, Bounds] = {}
    if "obs_intervals" in table.colnames:
        bounds = {n: _merged(table.get_unit_obs_intervals(i), n) for i, n in enumerate(names)}
        observed = {n: bounds[n] for n in cells.times if len(bounds[n])}
    return Units(cells, observed)


def _tables(content: Any) -> Iterator[tuple[str, Any]]:
    if content.units is not None and len(content.units):
        yield "units", content.units
    for module in content.processing.values():
        for name, table in module.data_interfaces.items():
            if type(table).__name__ == "Units" and len(table):
                yield f"{module.name}/{name}", table


def _names(table: Any) -> list[str]:
    column = next((c for c in NAMES if c in table.colnames), None)
    if column is not None:
        named = [str(x) for x in table[column][:]]
        if len({*named}) == len(named) and all(named):
            return named
        leave(f"names of the units in {column!r}, which are not all different")
    return require_different((f"unit {i}" for i in table.id[:]), "the table of units")


def _facts(table: Any) -> dict[str, list[Any]]:
    facts: dict[str, list[Any]] = {}
    label = next((c for c in QUALITY if c in table.colnames), None)
    if label is not None:
        facts["quality"] = [str(x) for x in table[label][:]]
    for name in FACTS:
        if name in table.colnames and np.ndim(table[name][:]) == 1:
            values = np.asarray(table[name][:])
            facts[name] = [*values] if values.dtype.kind in "fiu" else [*map(str, values)]
    return facts


def _merged(intervals: Any, name: str) -> Bounds:
    """Intervals in order, those that overlap or touch as one."""
    bounds = np.asarray(intervals, np.float64).reshape(-1, 2)
    known = bounds[:, 1] > bounds[:, 0]
    if not known.all():
        leave(f"{int((~known).sum())} obs_intervals of {name} without a start, or a stop after it")
    bounds = bounds[known]
    bounds = bounds[np.argsort(bounds[:, 0], kind="stable")]
    if not len(bounds):
        return bounds
    ends = np.maximum.accumulate(bounds[:, 1])
    first = np.append(True, bounds[1:, 0] > ends[:-1])
    return np.stack([bounds[first, 0], np.append(ends[:-1][first[1:]], ends[-1])], 1)


def watched(
    plan: Schedule, units: Units | None, content: Any, name: str
) -> tuple[Schedule, Cells | None]:
    """Frames (of repeats: trials) that are valid and in which all cells kept were observed."""
    stops = np.stack([clock.frame_ends(row) for row in plan.onsets])
    kept = _valid(plan.onsets, stops, content.invalid_times)
    bad = int((~kept).sum())
    if bad:
        leave(f"{bad} frames of {name}, in invalid times")
    cells = None if units is None else units.cells
    if units is not None and units.observed:
        seen = {n: _within(plan.onsets, stops, x) for n, x in units.observed.items()}
        rare = [n for n, mask in seen.items() if mask[kept].mean() < SEEN] if kept.any() else []
        leave(f"units that were not observed in {name}:", rare)
        cells = units.cells.at([i for i, n in enumerate(units.cells.times) if n not in rare])
        unseen = np.zeros_like(kept)
        for n, mask in seen.items():
            unseen |= ~mask if n not in rare else False
        if (unseen & kept).any():
            leave(
                f"{int((unseen & kept).sum())} frames of {name}, in which not all units were"
                " observed"
            )
        kept &= ~unseen
    return _cut(plan, kept, name), cells


def _cut(plan: Schedule, kept: Mask, name: str) -> Schedule:
    if kept.all():
        return plan
    trials = kept.all(1) if plan.starts is not None else np.ones(1, bool)
    frames = np.ones(len(plan.rows), bool) if plan.starts is not None else kept[0]
    if not trials.any() or frames.sum() < 2:
        raise InputError(
            came=f"{name!r}, of which no {'trial' if plan.starts is not None else 'two frames'}"
            " is valid and saw all units",
            expected="units that were observed while it was shown (obs_intervals, invalid_times)",
            hint="nc.read_recording(path, quality='good'), where noise was observed less",
        )
    starts = None if plan.starts is None else plan.starts[trials]
    onsets = plan.onsets[trials][:, frames]
    return replace(plan, rows=plan.rows[frames], onsets=onsets, starts=starts)


def _valid(starts: Bounds, stops: Bounds, table: Any) -> Mask:
    valid = np.ones(starts.shape, bool)
    if table is None:
        return valid
    bounds = np.stack([np.asarray(table[c][:], float) for c in ("start_time", "stop_time")], 1)
    if (bounds[:, 1] < bounds[:, 0]).any():
        warn(f"invalid_times from {_first_reversed(bounds)}: they are taken the other way round")
        bounds = np.where(bounds[:, :1] > bounds[:, 1:], bounds[:, ::-1], bounds)
    for begin, end in bounds:
        valid &= (stops <= begin) | (starts >= end)
    return valid


def _first_reversed(bounds: Bounds) -> str:
    begin, end = bounds[bounds[:, 1] < bounds[:, 0]][0]
    return f"{begin:g} to {end:g} s, which stop before they start"


def _within(starts: Bounds, stops: Bounds, intervals: Bounds) -> Mask:
    """Whether each frame lies in one of some intervals, within a thousandth of it."""
    slack = 1e-3 * (stops - starts)
    place = np.searchsorted(intervals[:, 0], starts + slack, side="right") - 1
    ends = intervals[np.maximum(place, 0), 1]
    return np.asarray((place >= 0) & (stops - slack <= ends))
