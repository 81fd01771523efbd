"""Folders of Kilosort, phy and spikeinterface: spikes in samples, clusters, their groups."""

from __future__ import annotations

import ast
import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.spikes.cells import (
    UNLABELLED,
    Cells,
    cell_names,
    grouped,
    in_seconds,
    unit_name,
)
from neurocodec.errors import InputError, StorageError

SPIKES: Final = "spike_times.npy"
NUMPY_SORTING: Final = "numpysorting_info.json"
OWNERS: Final = ("spike_clusters.npy", "spike_templates.npy")
"""Cluster of every spike: as curated in phy, else as Kilosort found it."""
LABELS: Final = (
    *("cluster_group.tsv", "cluster_groups.csv", "cluster_info.tsv", "cluster_KSLabel.tsv"),
)
"""Tables of labels, the one that a person made before the sorter's own."""
COLUMNS: Final = ("group", "KSLabel")
"""Their column; Kilosort writes its own labels as "cluster_group.tsv", too."""


def is_phy(folder: Path) -> bool:
    """Whether a folder is one of Kilosort or phy."""
    return (folder / SPIKES).is_file()


def is_spikeinterface(folder: Path) -> bool:
    """Whether a folder is a sorting that spikeinterface saved."""
    return (folder / NUMPY_SORTING).is_file()


def read_phy(folder: Path, sample_rate: float | None) -> Cells:
    """Clusters with their labels as `quality`; names are "unit" and the number of the cluster."""
    samples = read_array(folder / SPIKES).ravel()
    owners = next((folder / name for name in OWNERS if (folder / name).is_file()), None)
    if owners is None:
        raise InputError(
            came=f"{str(folder)!r} with {SPIKES} alone",
            expected=" or ".join(OWNERS),
            hint="copy the whole folder of the sorter",
        )
    kinds = "iu" if sample_rate is None else "iuf"
    if samples.size and samples.dtype.kind not in kinds:
        raise InputError(
            came=f"{SPIKES} of {samples.dtype} in {str(folder)!r}",
            expected="samples, whole numbers",
            hint="sample_rate=1.0, where they are seconds"
            if samples.dtype.kind == "f"
            else "copy the folder of the sorter again",
        )
    rate = sample_rate or _sample_rate(folder)
    found = read_array(owners)
    if found.dtype.kind not in "iuf":
        raise InputError(
            came=f"{owners.name} of {found.dtype} in {str(folder)!r}",
            expected="the number of the cluster of every spike",
            hint="copy the folder of the sorter again",
        )
    clusters = in_seconds(grouped(samples, found, str(folder)), rate)
    labels = _labels(folder)
    if labels is None:
        leave("no cluster: there is no table of labels")
    else:
        empty = sorted({*labels} - {*clusters})
        leave("clusters without a spike:", empty)
    names = {unit_name(k): x for k, x in clusters.items()}
    quality = [(labels or {}).get(int(k), UNLABELLED) for k in clusters]
    return Cells(names, {"quality": quality} if labels is not None else {})


def read_spikeinterface(folder: Path, sample_rate: float | None) -> Cells:
    """Units of a `NumpyFolderSorting` of one segment."""
    facts = _facts(folder / NUMPY_SORTING)
    missing = [k for k in ("unit_ids", "sampling_frequency") if k not in facts]
    if missing or not (folder / "spikes.npy").is_file():
        raise InputError(
            came=f"{str(folder)!r} without {', '.join(missing) or 'spikes.npy'}",
            expected="a sorting that spikeinterface saved",
            hint="sorting.save(folder=...)",
        )
    spikes = read_array(folder / "spikes.npy")
    fields = {"sample_index", "unit_index", "segment_index"}
    if not fields <= {*(spikes.dtype.names or ())}:
        raise InputError(
            came=f"spikes.npy of {spikes.dtype}", expected=f"the fields {sorted(fields)}"
        )
    odd = [n for n in sorted(fields) if spikes.dtype[n].kind not in "iuf"]
    if odd:
        raise InputError(
            came=f"spikes.npy of {spikes.dtype}", expected=f"numbers as {', '.join(odd)}"
        )
    segments = np.unique(spikes["segment_index"])
    if segments.size > 1:
        raise InputError(
            came=f"{str(folder)!r} with {segments.size} segments, each on a clock of its own",
            expected="one segment",
            hint="sorting.select_segments([0]).save(folder=...)",
        )
    told = facts["sampling_frequency"]
    rate = sample_rate or arguments.sample_rate(told, f"in {str(folder)!r}, sampling_frequency")
    clusters = in_seconds(grouped(spikes["sample_index"], spikes["unit_index"], str(folder)), rate)
    ids = facts["unit_ids"]
    if not isinstance(ids, list):
        raise InputError(
            came=f"unit_ids={ids!r} of {str(folder)!r}", expected="a list of the names of units"
        )
    beyond = [k for k in clusters if not 0 <= k < len(ids)]
    if beyond:
        raise InputError(came=f"spikes of the units {beyond}", expected=f"{len(ids)} units")
    names = cell_names(ids, str(folder))
    times = {name: clusters.get(i, np.empty(0)) for i, name in enumerate(names)}
    return Cells(times, _properties(folder, len(ids)))


def _properties(folder: Path, size: int) -> dict[str, list[Any]]:
    found = {}
    for name in ("quality", "group", "KSLabel"):
        path = folder / "properties" / f"{name}.npy"
        if path.is_file() and "quality" not in found:
            values = read_array(path)
            if values.shape == (size,):
                found["quality"] = [*values.astype(str)]
    return found


def read_array(path: Path) -> NDArray[Any]:
    """Array of a `.npy`; nothing is unpickled."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise StorageError(
            came=f"{str(path)!r}, which cannot be read: {error}",
            expected="an array that np.save wrote, of numbers",
            hint="copy the folder of the sorter again",
        ) from error


def _facts(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise StorageError(
            came=f"{str(path)!r}, which cannot be read: {error}",
            expected="JSON of spikeinterface: {'unit_ids': [...], 'sampling_frequency': ...}",
            hint="sorting.save(folder=...) again",
        ) from error


def _sample_rate(folder: Path) -> float:
    """Samples per second from `params.py`, of which nothing is run."""
    path = folder / "params.py"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    pairs = [line.partition("=") for line in text.splitlines()]
    told = [value.strip() for name, _, value in pairs if name.strip() == "sample_rate"]
    found = None
    with suppress(ValueError, SyntaxError, IndexError):
        found = ast.literal_eval(told[-1])  # as Python does, the last of several
    if found is not None:
        return arguments.sample_rate(found, f"in {str(path)!r}, sample_rate")
    raise InputError(
        came=f"{str(folder)!r} whose params.py has no sample_rate"
        if text
        else f"{str(folder)!r} without params.py",
        expected="samples per second of the recording",
        hint="sample_rate=30000.0",
    )


def _labels(folder: Path) -> dict[int, str] | None:
    """Label of each cluster, a person's before the sorter's; None without any table."""
    for name in LABELS:
        path = folder / name
        if not path.is_file():
            continue
        rows = _table(path)
        key = next((k for k in ("cluster_id", "id") if rows and k in rows[0]), None)
        column = next((c for c in COLUMNS if rows and c in rows[0]), "")
        if rows and (key is None or not column):
            raise InputError(
                came=f"{str(path)!r} with the columns {[*rows[0]]}",
                expected="'cluster_id', and 'group' or 'KSLabel'",
            )
        try:
            told = [(int(r[str(key)]), (r[column] or UNLABELLED).strip()) for r in rows]
        except (ValueError, TypeError) as error:  # TypeError where a row ends before the number
            raise InputError(
                came=f"{str(path)!r}: {error}", expected="whole numbers as 'cluster_id' in each row"
            ) from error
        labels = dict(told)
        two = [k for k, label in told if labels[k] != label]
        if two:
            raise InputError(
                came=f"{str(path)!r} with two labels of cluster {two[0]}", expected="one a cluster"
            )
        if labels:
            return labels
    return None


def _table(path: Path) -> list[dict[str, str]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise StorageError(
            came=f"{str(path)!r}, which is no text: {error}",
            expected="a table of labels",
            hint="copy the folder of the sorter again",
        ) from error
    separator = "\t" if lines and "\t" in lines[0] else ","
    return [*csv.DictReader(lines, delimiter=separator)]
