"""Spike times of anything that has them: dictionaries, pynapple, lists, folders, files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed import matlab, stored, tree
from neurocodec.adapters.recordings.arrayed.bundle import SPIKES, cells_in, meaning
from neurocodec.adapters.recordings.spikes import phy, sorters, text
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
    "{cell: times in seconds}, a pynapple TsGroup, a sorting of spikeinterface, a neo Segment, a"
    " folder of Kilosort, phy or spikeinterface, text files, .json, .npz, .mat or HDF5 with"
    " 'spike_times'"
)
HINTS: Final = {
    "Ts": "{'cell 1': spike_times}",
    "Tsd": "spike_times.to_tsgroup(), where its values are the numbers of the cells",
    **dict.fromkeys(
        TABLES, "xr.Dataset({'stimulus': ..., 'firing_rate': (('time', 'cell'), table.values)})"
    ),
    "Block": "block.segments[0], of a neo Block of one segment",
    "IntervalSet": "trials=intervals; spike_times={cell: times}",
}
"""What to type for objects of pynapple that are no TsGroup, and of neo."""
OF_FILES: Final = {
    ".npy": "np.load(path, allow_pickle=True).item(), of a dictionary of your own",
    ".pkl": "pickle.load(open(path, 'rb')), of a dictionary of your own",
    ".pickle": "pickle.load(open(path, 'rb')), of a dictionary of your own",
    ".nev": "neo.io.BlackrockIO(path).read_segment()",
    ".plx": "neo.io.PlexonIO(path).read_segment()",
    ".nix": "neo.io.NixIO(path, 'ro').read_block().segments[0]",
    ".xlsx": "pd.read_excel(path), as {cell: times}",
}
"""What to type for files that others read, by the ends of their names."""
FOLDERS: Final = (
    (phy.is_spikeinterface, phy.read_spikeinterface),
    (sorters.is_folder, sorters.read_folder),
)
"""Folders beside phy's: whether it is one, and what reads it."""
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
    known_to = sorters.in_memory(source)
    if known_to is not None:
        return known_to
    several = isinstance(source, Sequence) and not isinstance(source, bytes)
    if several and all(map(_is_list, source)):
        return Cells(named({f"cell{i:02d}": x for i, x in enumerate(source)}))
    raise InputError(
        came=f"spike_times of type {type(source).__name__}"
        + (", whose elements are no lists of times" if several else ""),
        expected=KINDS,
        hint=_hint(source),
    )


def _hint(source: Any) -> str:
    """What to type in place of something that is none of the kinds."""
    kind = type(source).__name__
    if kind == "DataFrame" and SPIKES in map(meaning, map(str, source.columns)):
        column = next(c for c in source.columns if meaning(str(c)) == SPIKES)
        return f"table[{column!r}].to_dict(), of a row a cell"
    if kind == "DataFrame":
        names = [str(c) for c in source.columns]
        times = next((c for c in names if "time" in c.lower()), "time")
        cell = next((c for c in names if c != times), "cell")
        return f"{{k: x for k, x in table.groupby({cell!r})[{times!r}]}}, of a row a spike"
    if isinstance(source, np.ndarray) and source.ndim == 2:
        return (
            "xr.Dataset({'stimulus': ..., 'spike_count': (('time', 'cell'), counts)}), where it is"
            " counts; {i: row[np.isfinite(row)] for i, row in enumerate(times)}, where rows are"
            " padded times"
        )
    return HINTS.get(kind, "{'cell 1': times}")


def _is_list(times: Any) -> bool:
    """Whether something is one list of times, such as a cell has."""
    try:
        return np.ndim(times) == 1
    except ValueError:  # lists of several lengths
        return False


def _from_path(path: Path, sample_rate: float | None) -> tuple[Cells, str]:
    """Cells of a file or a folder, and which of them are kept where nothing else is told."""
    if not path.exists():
        raise StorageError(came=f"spike_times={str(path)!r}, which does not exist", expected=KINDS)
    if path.is_dir() and phy.is_phy(path):
        return phy.read_phy(path, sample_rate), "good"
    for told, read in FOLDERS:
        if path.is_dir() and told(path):
            return read(path, sample_rate), "not noise"
    if text.is_text(path) and path.suffix.lower() != ".json":
        return text.read_text(path, sample_rate), "not noise"
    if path.is_dir():
        there = sorted(p.name for p in path.iterdir())
        raise InputError(
            came=f"{str(path)!r}, a folder with {there[:6] or 'nothing in it'}",
            expected=KINDS,
            hint="{file.stem: np.load(file) for file in sorted(pathlib.Path(path).glob('*.npy'))},"
            " where each has the times of a cell"
            if there and all(name.endswith(".npy") for name in there)
            else "",
        )
    with damage_reported(path, f"a whole file: {KINDS}", "copy the file again"):
        found = _from_file(path, sample_rate)
    return found, "not noise"


def _from_file(path: Path, sample_rate: float | None) -> Cells:
    if matlab.is_matlab(path):
        return cells_in(matlab.read_matlab(path), str(path), sample_rate)
    if path.suffix == ".npz":
        return _from_npz(path, sample_rate)
    if path.suffix.lower() == ".json":
        return _from_json(path, sample_rate)
    if h5py.is_hdf5(path):
        return _from_hdf5(path, sample_rate)
    raise InputError(
        came=f"spike_times={str(path)!r}",
        expected=KINDS,
        hint=OF_FILES.get(path.suffix.lower(), "{'cell 1': times}, read by what wrote the file"),
    )


def _from_hdf5(path: Path, sample_rate: float | None) -> Cells:
    with h5py.File(path, "r") as file:
        parts = tree.spike_groups(file)
        arrays = tree.read_tree(next(iter(parts.values()), file), path)
    if len(parts) > 1:
        raise InputError(
            came=f"{str(path)!r} with spike times in the groups {[*parts]}",
            expected="those of one part",
            hint=f"nc.read_recording({str(path)!r}), where stimuli are beside them",
        )
    return cells_in(arrays, str(path), sample_rate)


def _from_npz(path: Path, sample_rate: float | None) -> Cells:
    arrays = stored.of_pynapple(stored.read_arrays(path))
    if sorters.is_sorting(arrays):
        return sorters.sorting_in(arrays, str(path), sample_rate)
    plain = all(x.ndim == 1 and x.dtype.kind in "fiu" for x in arrays.values())
    if arrays and plain and not any(map(meaning, arrays)):
        raise InputError(
            came=f"{str(path)!r} with the arrays {[*arrays][:8]}",
            expected="'spike_times', or a dictionary where each array is a cell",
            hint=f"spike_times=dict(np.load({str(path)!r})), where each is the times of a cell",
        )
    return cells_in(arrays, str(path), sample_rate)


def _from_json(path: Path, sample_rate: float | None) -> Cells:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict):
        raise InputError(
            came=f"{str(path)!r}, JSON of a {type(found).__name__}",
            expected="{cell: [times in seconds]}",
        )
    if SPIKES in map(meaning, found):
        return cells_in(found, str(path), sample_rate)
    times = named(found, f"spike_times of {path.name}")
    return Cells(times if sample_rate is None else in_seconds(times, sample_rate))
