"""Spike times of anything that has them: dictionaries, pynapple, lists, folders, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed import matlab, stored
from neurocodec.adapters.recordings.arrayed.bundle import cells_in
from neurocodec.adapters.recordings.spikes import phy, text
from neurocodec.adapters.recordings.spikes.cells import (
    TABLES,
    Cells,
    Quality,
    in_seconds,
    named,
    of_quality,
)
from neurocodec.errors import InputError, StorageError
from neurocodec.storage.files import damage_reported

KINDS: Final = (
    "{cell: times in seconds}, a pynapple TsGroup, a folder of Kilosort, phy or spikeinterface,"
    " text files, .npz or .mat with 'spike_times'"
)
HINTS: Final = {
    "Ts": "{'cell 1': spike_times}",
    "Tsd": "spike_times.to_tsgroup(), where its values are the numbers of the cells",
    **dict.fromkeys(
        TABLES, "xr.Dataset({'stimulus': ..., 'firing_rate': (('time', 'cell'), table.values)})"
    ),
    "IntervalSet": "trials=intervals; spike_times={cell: times}",
}
"""What to type for objects of pynapple that are no TsGroup."""
KEPT: Final = ("quality", "cell_type")
"""Facts of cells that are kept where a source has them."""


def cells_of(source: Any, *, quality: Quality = None, sample_rate: float | None = None) -> Cells:
    """Cells of a source, those of a quality, times in seconds."""
    if sample_rate is not None:
        sample_rate = arguments.sample_rate(sample_rate)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        found, default = _from_path(path, sample_rate)
        if not found.times:
            raise InputError(came=f"{str(path)!r} with the spikes of no cell", expected=KINDS)
    else:
        found, default = _from_memory(source), "not noise"
        if sample_rate is not None:
            found = Cells(in_seconds(found.times, sample_rate), found.facts)
    return of_quality(found, quality, default)


def _from_memory(source: Any) -> Cells:
    if isinstance(source, Cells):
        return source
    if isinstance(source, Mapping):
        grouped: Any = source  # of pynapple: it has metadata
        known = getattr(source, "metadata_columns", ())
        facts = {str(n): [*np.asarray(grouped.get_info(n))] for n in known if n in KEPT}
        leave("metadata of the cells:", sorted({*known} - {*KEPT, "rate"}))
        return Cells(named({k: source[k] for k in source}), facts)
    several = isinstance(source, Sequence) and not isinstance(source, bytes)
    if several and all(map(_is_list, source)):
        return Cells(named({f"cell{i:02d}": x for i, x in enumerate(source)}))
    raise InputError(
        came=f"spike_times of type {type(source).__name__}"
        + (", whose elements are no lists of times" if several else ""),
        expected=KINDS,
        hint=HINTS.get(type(source).__name__, "{'cell 1': times}"),
    )


def _is_list(times: Any) -> bool:
    """Whether something is one list of times, such as a cell has."""
    try:
        return np.ndim(times) == 1
    except ValueError:  # lists of several lengths
        return False


def _from_path(path: Path, sample_rate: float | None) -> tuple[Cells, str]:
    if not path.exists():
        raise StorageError(came=f"spike_times={str(path)!r}, which does not exist", expected=KINDS)
    if path.is_dir() and phy.is_phy(path):
        return phy.read_phy(path, sample_rate), "good"
    if path.is_dir() and phy.is_spikeinterface(path):
        return phy.read_spikeinterface(path, sample_rate), "not noise"
    if text.is_text(path):
        return text.read_text(path, sample_rate), "not noise"
    if path.is_dir():
        there = sorted(p.name for p in path.iterdir())
        raise InputError(
            came=f"{str(path)!r}, a folder with {there[:6] or 'nothing in it'}", expected=KINDS
        )
    with damage_reported(path, f"a whole file: {KINDS}", "copy the file again"):
        if matlab.is_matlab(path):
            return cells_in(matlab.read_matlab(path), str(path), sample_rate), "not noise"
        if path.suffix == ".npz":
            return cells_in(stored.read_arrays(path), str(path), sample_rate), "not noise"
    raise InputError(came=f"spike_times={str(path)!r}", expected=KINDS)
