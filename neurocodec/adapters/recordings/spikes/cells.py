"""Sorted cells: spike times by name, what is known of each, and which of them are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.triggers import unwrapped
from neurocodec.errors import InputError

Quality = str | Iterable[str] | None
"""Labels of the cells that are kept; "all", or None for the kind of source's own choice."""
NOISE: Final = ("noise", "artifact", "artefact")
"""Labels of what is no cell."""
UNLABELLED: Final = "unsorted"
"""Label of a cluster that nobody looked at, as phy calls it."""
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


def named(times: Mapping[Any, Any], what: str = "spike_times") -> dict[str, Times]:
    """Check spike times by cell: names that differ, finite numbers of seconds."""
    if not times:
        raise InputError(came=f"{what} of no cell", expected="{cell: times in seconds, ...}")
    found: dict[str, Times] = {}
    for key, values in times.items():
        name = f"unit {key}" if arguments.is_whole(key) else str(key)
        if name in found:
            raise InputError(
                came=f"{what} with two cells called {name!r}", expected="names that differ"
            )
        found[name] = seconds(values, f"{what} of {name!r}")
    return found


def seconds(values: Any, what: str) -> Times:
    """Times of one cell as floats; those of pynapple's `Ts` are its index."""
    try:
        found = np.asarray(unwrapped(values))
    except ValueError:
        found = np.asarray(None)
    if found.size == 0:
        return np.empty(0)
    if found.dtype.kind not in "fiu" or max(found.shape, default=0) != found.size:
        raise InputError(
            came=f"{what}, {found.dtype} of shape {found.shape}",
            expected="one list of times in seconds a cell",
            hint="np.flatnonzero(train) / rate, where there is a 0 or 1 a sample"
            if found.dtype.kind == "b"
            else "",
        )
    return found.astype(np.float64).ravel()


def of_quality(cells: Cells, quality: Quality, default: str | Iterable[str]) -> Cells:
    """Keep cells by their fact `quality`, and say which were left."""
    labels = [str(x) for x in cells.facts.get("quality", ())]
    chosen = default if quality is None else quality
    wanted = [chosen] if isinstance(chosen, str) else [*chosen]
    if wanted == ["all"] or not labels:
        if quality is not None and wanted != ["all"]:
            raise InputError(
                came=f"quality={quality!r} of cells without a label of quality",
                expected="cells with labels such as 'good'",
                hint="quality='all'",
            )
        return cells
    kept = [
        i
        for i, label in enumerate(labels)
        if label in wanted or (wanted == ["not noise"] and label.lower() not in NOISE)
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
    spikes, cells = np.ravel(times), np.ravel(owners)
    if len(spikes) != len(cells):
        raise InputError(
            came=f"{len(spikes)} times and {len(cells)} cells of spikes in {what}",
            expected="a time and a cell for every spike",
            hint="write both arrays again, from the same spikes",
        )
    order = np.argsort(cells, kind="stable")
    names, first = np.unique(cells[order], return_index=True)
    return dict(zip(names.tolist(), np.split(spikes[order], first[1:]), strict=True))


def in_seconds(samples: NDArray[Any], rate: float) -> Times:
    """Samples of a clock of so many per second as seconds."""
    return np.asarray(samples, np.float64) / rate
