"""Spikes of spikeinterface (in memory, `.npz`, analyzers), of neo, and in folders of ALF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.stored import read_arrays
from neurocodec.adapters.recordings.spikes.cells import (
    Cells,
    cell_names,
    grouped,
    in_seconds,
    named,
    unit_name,
)
from neurocodec.adapters.recordings.spikes.phy import NUMPY_SORTING, read_array, read_spikeinterface
from neurocodec.errors import InputError

CACHED: Final = "sorting_cached.npz"
"""Sorting in a folder of the kind "npz_folder"."""
ANALYZED: Final = "sorting"
"""Folder of the sorting in one of a SortingAnalyzer."""
ALF: Final = ("spikes.times.npy", "spikes.clusters.npy")
"""Seconds and cluster of every spike, as ALF calls its files."""
STORED: Final = {"unit_ids", "num_segment", "sampling_frequency"}
"""Arrays of every `.npz` of a sorting."""
LABELS: Final = ("quality", "group", "KSLabel")
"""Properties of units that are labels of their quality."""


def in_memory(source: Any) -> Cells | None:
    """Cells of a sorting, a segment of neo or its spike trains; None of anything else."""
    if callable(getattr(source, "get_unit_spike_train", None)):
        return _of_sorting(source)
    trains = getattr(source, "spiketrains", source)
    if type(trains).__name__ == "SpikeTrainList":
        every = [*trains]
        names = [train.name or i for i, train in enumerate(every)]
        return Cells(named(dict(zip(names, every, strict=True)), "spike trains of neo"))
    return None


def _of_sorting(sorting: Any) -> Cells:
    if sorting.get_num_segments() != 1:
        raise _several(sorting.get_num_segments(), "a sorting", "sorting.select_segments([0])")
    ids = [*sorting.unit_ids]
    keys = [x.item() if isinstance(x, np.generic) else x for x in ids]
    trains = [sorting.get_unit_spike_train(k, segment_index=0, return_times=True) for k in ids]
    times = named(dict(zip(keys, trains, strict=True)), "a sorting")
    known = {*sorting.get_property_keys()}
    label = next((name for name in LABELS if name in known), None)
    facts = {} if label is None else {"quality": [*map(str, sorting.get_property(label))]}
    leave("properties of the units:", sorted(known - {label}))
    return Cells(times, facts)


def _several(count: int, where: str, hint: str) -> InputError:
    return InputError(
        came=f"{where} with {count} segments, each on a clock of its own",
        expected="one segment",
        hint=hint,
    )


def is_folder(folder: Path) -> bool:
    """Whether a folder is a sorting as `.npz`, an analyzer, or ALF's."""
    there = (folder / CACHED, folder / ANALYZED / NUMPY_SORTING, folder / ALF[0])
    return any(path.is_file() for path in there)


def read_folder(folder: Path, sample_rate: float | None) -> Cells:
    """Cells of such a folder."""
    if (folder / CACHED).is_file():
        arrays = read_arrays(folder / CACHED)
        return sorting_in(arrays, str(folder / CACHED), sample_rate)
    if (folder / ANALYZED / NUMPY_SORTING).is_file():
        leave("of an analyzer all but its sorting")
        return read_spikeinterface(folder / ANALYZED, sample_rate)
    return _read_alf(folder, sample_rate)


def is_sorting(arrays: Mapping[str, Any]) -> bool:
    """Whether arrays of an `.npz` are a sorting that spikeinterface saved."""
    return {*arrays} >= STORED


def sorting_in(arrays: Mapping[str, Any], where: str, sample_rate: float | None) -> Cells:
    """Units of a sorting of one segment, silent ones too."""
    segments = int(np.ravel(arrays["num_segment"])[0])
    if segments != 1:
        raise _several(segments, where, "sorting.select_segments([0]).save(folder=...)")
    missing = [n for n in ("spike_indexes_seg0", "spike_labels_seg0") if n not in arrays]
    if missing:
        raise InputError(
            came=f"{where} without {missing[0]}",
            expected="a sorting that spikeinterface saved",
            hint="sorting.save(folder=...)",
        )
    told = float(np.ravel(arrays["sampling_frequency"])[0])
    rate = sample_rate or arguments.sample_rate(told, f"in {where}, sampling_frequency")
    split = grouped(arrays["spike_indexes_seg0"], arrays["spike_labels_seg0"], where)
    ids = np.ravel(arrays["unit_ids"]).tolist()
    beyond = [k for k in split if k not in ids]
    if beyond:
        raise InputError(came=f"{where} with spikes of the units {beyond[:5]}", expected=f"{ids}")
    times = {
        name: split.get(k, np.empty(0)) for k, name in zip(ids, cell_names(ids, where), strict=True)
    }
    return Cells(in_seconds(times, rate))


def _read_alf(folder: Path, sample_rate: float | None) -> Cells:
    """Clusters of ALF, whose times are seconds."""
    if not (folder / ALF[1]).is_file():
        raise InputError(
            came=f"{str(folder)!r} with {ALF[0]} alone", expected=ALF[1], hint="the whole folder"
        )
    if sample_rate is not None:
        raise InputError(
            came=f"sample_rate={sample_rate:g} beside {ALF[0]}",
            expected="none: times of ALF are seconds",
        )
    there = {p.name for p in folder.iterdir()}
    leave("files:", sorted(there - {*ALF}))
    split = grouped(read_array(folder / ALF[0]), read_array(folder / ALF[1]), str(folder))
    return Cells(named({unit_name(k): x for k, x in split.items()}, f"spikes of {folder.name}"))
