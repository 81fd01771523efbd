"""Sorted cells: spike times by name, what is known of each, and which of them are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.triggers import as_array
from neurocodec.errors import InputError

Quality = str | Iterable[str] | None
"""Labels of the cells that are kept; "all", or None for the kind of source's own choice."""
TABLES: Final = ("TsdFrame", "TsdTensor")
"""What pynapple calls numbers over time, which are no spike times."""
NOISE: Final = ("noise", "artifact", "artefact")
"""Labels of what is no cell."""
UNLABELLED: Final = "unsorted"
"""Label of a cluster that nobody looked at, as phy calls it."""
CLOCKS: Final = (1.0, 1e3, 1e6)
"""Samples per second of times in s, ms and us, which are no whole numbers."""
OFF_WHOLE: Final = 1e-3
"""Samples by which the number of a sample may miss a whole one, by rounding."""
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Spike times in seconds by the name of the cell; facts, one value a cell."""

    times: Mapping[str, Times]
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def coords(self) -> dict[str, Any]:
        """Names and facts as coordinates along `cell`."""
        facts = {k: ("cell", np.asarray([*x])) for k, x in self.facts.items()}
        return {"cell": [*self.times], **facts}

    def at(self, places: Sequence[int]) -> Cells:
        """Some of the cells, in this order."""
        names = [*self.times]
        return Cells(
            {names[i]: self.times[names[i]] for i in places},
            {k: [x[i] for i in places] for k, x in self.facts.items()},
        )


def require_different(names: Iterable[Any], what: str) -> list[str]:
    """Refuse cells of one name, as one of them would take the spikes of the other."""
    found = [*map(str, names)]
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise InputError(
            came=f"{what} with two cells called {twice[0]!r}", expected="names that differ"
        )
    return found


def cell_names(keys: Iterable[Any], what: str) -> list[str]:
    """Names of cells that were given by names or numbers; refused where some are alike, or none."""
    found = [*keys]
    nameless = [k for k in found if k is None or k in ("", b"") or k != k]  # noqa: PLR0124 - NaN
    if nameless:
        raise InputError(
            came=f"{what} of a cell called {nameless[0]!r}", expected="a name or a number"
        )
    return require_different(map(unit_name, found), what)


def unit_name(key: Any) -> str:
    """Name of a cell that was given by a number or a name; floats that are whole are numbers."""
    if isinstance(key, bytes):
        return key.decode(errors="replace")
    whole = isinstance(key, float | np.floating) and float(key).is_integer()
    return f"unit {int(key)}" if whole or arguments.is_whole(key) else str(key)


def named(times: Mapping[Any, Any], what: str = "spike_times") -> dict[str, Times]:
    """Check spike times by cell: names that differ, finite numbers of seconds."""
    if not times:
        raise InputError(came=f"{what} of no cell", expected="{cell: times in seconds, ...}")
    names = cell_names(times, what)
    return {
        name: seconds(values, f"{what} of {name!r}")
        for name, values in zip(names, times.values(), strict=True)
    }


def seconds(values: Any, what: str) -> Times:
    """Times of one cell as floats; those of pynapple's `Ts` are its index."""
    if isinstance(values, list | tuple) and any(map(_is_several, values)):
        if len(values) == 1:
            return seconds(values[0], what)
        raise InputError(
            came=f"{what}, {len(values)} lists",
            expected="one list of times in seconds a cell, on the clock of all trials",
            hint="np.concatenate([start + times for start, times in zip(starts, lists)])",
        )
    if type(values).__name__ in TABLES:
        raise InputError(
            came=f"{what}, a pynapple {type(values).__name__}: a table of numbers over time",
            expected="the times of the spikes of one cell, in seconds",
            hint="firing_rate in an xr.Dataset beside the stimulus, where these are rates",
        )
    found = as_array(values, what, "one list of times in seconds a cell")
    if isinstance(values, np.ma.MaskedArray):
        found = values.compressed()
    if found.size == 0:
        return np.empty(0)
    if found.dtype.kind not in "fiu" or max(found.shape, default=0) != found.size:
        raise InputError(
            came=f"{what}, {found.dtype} of shape {found.shape}",
            expected="one list of times in seconds a cell",
            hint=_hint(found),
        )
    return found.astype(np.float64).ravel()


def _hint(found: NDArray[Any]) -> str:
    """What to type in place of something that is no list of times."""
    if found.dtype.kind == "b":
        return "np.flatnonzero(train) / rate, where there is a 0 or 1 a sample"
    if found.ndim:
        return ""
    if found.dtype.kind in "fiu":
        return "[time], of one spike"
    return "[], of a cell without spikes" if found.item() is None else ""


def _is_several(value: Any) -> bool:
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def of_quality(cells: Cells, quality: Quality, default: str | Iterable[str]) -> Cells:
    """Keep cells by their fact `quality`, and say which were left."""
    labels = [str(x) for x in cells.facts.get("quality", ())]
    chosen = default if quality is None else quality
    wanted = arguments.several("quality", chosen, "labels of units", hint="quality='all'")
    if wanted == ["all"] or not labels:
        if quality is not None and wanted != ["all"]:
            raise InputError(
                came=f"quality={quality!r} of cells without a label of quality",
                expected="cells with labels such as 'good'",
                hint="quality='all'",
            )
        return cells
    chosen = {x.lower() for x in wanted}  # phy and people write "good" and "Good"
    kept = [
        i
        for i, label in enumerate(labels)
        if label.lower() in chosen or (wanted == ["not noise"] and label.lower() not in NOISE)
    ]
    if not kept:
        counts = {x: labels.count(x) for x in dict.fromkeys(labels)}
        raise InputError(
            came=f"no cell of quality {' or '.join(map(repr, wanted))}, but {counts}",
            expected="at least one cell",
            hint="quality='all'",
        )
    for label in dict.fromkeys(labels):
        names = [n for n, own in zip(cells.times, labels, strict=True) if own == label]
        leave(
            f"{len(names)} {label} units:", names if label not in {labels[i] for i in kept} else []
        )
    return cells.at(kept)


def grouped(times: Any, owners: Any, what: str) -> dict[Any, Times]:
    """Times of each owner, from a time and an owner of every spike; owners in their order."""
    spikes, cells = np.ravel(times), _owners(np.ravel(owners), what)
    for array in (np.asarray(times), np.asarray(owners)):
        if max(array.shape, default=1) != array.size:
            raise InputError(
                came=f"spikes of shape {array.shape} in {what}",
                expected="a time and a cell for every spike, one list of each",
            )
    if len(spikes) != len(cells):
        raise InputError(
            came=f"{len(spikes)} times and {len(cells)} cells of spikes in {what}",
            expected="a time and a cell for every spike",
            hint="write both arrays again, from the same spikes",
        )
    if not cells.size:
        return {}
    order = np.argsort(cells, kind="stable")
    names, first = np.unique(cells[order], return_index=True)
    return dict(zip(names.tolist(), np.split(spikes[order], first[1:]), strict=True))


def _owners(cells: NDArray[Any], what: str) -> NDArray[Any]:
    """Names or whole numbers of cells, one a spike; whole floats are whole numbers again."""
    if cells.dtype.kind == "f" and (cells == np.round(cells)).all():
        return cells.astype(np.int64)
    if cells.dtype.kind in "iuUS":
        return np.char.decode(cells, "utf-8", "replace") if cells.dtype.kind == "S" else cells
    lost = int(np.isnan(cells).sum()) if cells.dtype.kind == "f" else 0
    raise InputError(
        came=f"cells of the spikes in {what}, {lost} of which are NaN"
        if lost
        else f"cells of the spikes in {what}, of {cells.dtype}",
        expected="the number or the name of a cell for every spike",
        hint="keep = np.isfinite(spike_cell); spike_times[keep], spike_cell[keep]" if lost else "",
    )


def is_sampled(times: Iterable[ArrayLike]) -> bool:
    """Whether spike times are numbers of samples, which are whole."""
    plain = [np.asarray(x, np.float64) for x in times]
    return all(bool((np.abs(x - np.round(x)) < OFF_WHOLE).all()) for x in plain)


def in_seconds(times: Mapping[Any, Times], rate: float) -> dict[Any, Times]:
    """Samples of a clock of so many per second as seconds; refused where they are no samples."""
    # Times in s, ms or us are fractions of "samples" on a clock of 1000 or 1000000 per second.
    if rate not in CLOCKS and not is_sampled(x[np.isfinite(x)] for x in times.values()):
        raise InputError(
            came=f"sample_rate={rate:g} beside spike times that are no whole numbers",
            expected="the numbers of samples",
            hint="sample_rate=1000.0, where they are in ms; sample_rate=1.0, where in seconds",
        )
    return {k: np.asarray(x, np.float64) / rate for k, x in times.items()}
