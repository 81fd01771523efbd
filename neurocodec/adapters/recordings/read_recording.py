"""`nc.read_recording`: recordings of many kinds of files, in one form."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import READING, accounting, tell
from neurocodec.adapters.recordings.arrayed.matlab import is_matlab
from neurocodec.adapters.recordings.arrayed.parts import (
    read_matlab_spikes,
    read_stored_spikes,
    read_tree_spikes,
    spike_parts,
)
from neurocodec.adapters.recordings.arrayed.tree import spike_groups
from neurocodec.adapters.recordings.arrays import WHOLE, read_groups
from neurocodec.adapters.recordings.checks import (
    Gaps,
    Parts,
    mend_gaps,
    report_silent,
    report_slow,
    select_cells,
)
from neurocodec.adapters.recordings.dandi.file import read_nwb
from neurocodec.adapters.recordings.hdf5 import read_retina_hdf5
from neurocodec.adapters.recordings.intracellular import (
    is_chirp,
    is_intracellular,
    read_chirp,
    read_intracellular,
)
from neurocodec.adapters.recordings.npz import read_npz
from neurocodec.adapters.recordings.openretina import is_openretina, read_openretina
from neurocodec.adapters.recordings.results import read_result
from neurocodec.adapters.recordings.spikes.cells import Quality
from neurocodec.adapters.recordings.spikes.phy import is_phy, is_spikeinterface
from neurocodec.adapters.recordings.spikes.sorters import is_folder
from neurocodec.adapters.recordings.spikes.text import is_text
from neurocodec.errors import InputError, StorageError
from neurocodec.labels import stamp
from neurocodec.stimuli import resample
from neurocodec.storage.encoding import KIND
from neurocodec.storage.files import PathLike, damage_reported

KINDS: Final = (
    "HDF5 in the layout of torch-deep-retina (ganglion cells, interneurons) or open-retina, NWB,"
    " MAT files, .npz, netCDF, HDF5 or Zarr with named arrays, and what nc.save wrote"
)
LAYOUTS: Final = (
    (is_intracellular, read_intracellular),
    (is_chirp, read_chirp),
    (is_openretina, read_openretina),
)
"""Layouts of HDF5 that groups tell: whether it is one, and what reads it."""
ZIP_SIGNATURE: Final = b"PK\x03\x04"
HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"


def read_recording(
    path: PathLike,
    *,
    frame_rate: float | None = None,
    cells: str | Iterable[str | int] | None = None,
    nan: Gaps = "refuse",
    image_axes: str = "xy",
    to_frames: bool = False,
    quality: Quality = None,
) -> xr.DataTree:
    """Read a recording: stimuli, and the responses of ganglion cells or interneurons to them.

    The kind of file is told from what is in it:

    - torch-deep-retina HDF5 (`train`, `test`, ... with `stimulus` and `response`). Row t of such a
      file answers the frames t-40 to t-1; the rows are shifted by one frame, so that row t answers
      the frames up to and including t, and the first response and the last frame are left out;
    - its interneuron files (`boxes`, ... with `stimuli` and `detrended_membrane_potential`),
      shifted likewise; `boxes` become 2 s - 1;
    - imaged clusters under a chirp (`local`, `global`);
    - what open-retina reads: a group a session, with traces or inferred spikes and trigger times;
    - NWB (`pip install "neurocodec[nwb]"`): spike times of the units are counted while each frame
      is shown; trials that show the same become repeats, epochs become parts;
    - MAT files (5 and 7.3), `.npz` and HDF5 with `spike_times` (a list a cell, or of all spikes
      beside `spike_cell`), `stimulus`, and `frame_times`, `triggers` or `frame_rate`, as
      `nc.recording` takes them;
    - MAT files with counts of running frames and of frozen ones that come again in every block:
      `runningbin`, `frozenbin` (cell, frame, block), `runningstim` (y, x, frame, block),
      `frozenstim` (y, x, frame), and `frame_rate`, `bin_width` or `refresh_rate` and `Nblinks`.
      They become `train`, with a segment a block, and `test`, with its repeats;
    - `.npz`, netCDF, HDF5 and Zarr with arrays called `stimulus`, `time` or `frame_rate`,
      `firing_rate`, `spike_count`, `membrane_potential`, `fluorescence`, `intensity`, `cell`,
      `interneuron`, ..., at the root or in groups;
    - what `nc.save` wrote.

    Parameters
    ----------
    path
        The file, or the folder of a Zarr store.
    frame_rate
        None keeps the file's frames. A number resamples everything to that many frames per second
        with `nc.stimuli.resample`; a network refuses frames of another rate than its own.
    cells
        Which ganglion cells: names, positions in the file, or "reliable" where the file says which
        are. None reads all.
    nan
        What to do about responses that are NaN: "refuse", "drop" the cells or interneurons that
        have any, or "interpolate" in time.
    image_axes
        Of an NWB file: "xy" where frames are stored as (time, x, y), as the format defines it,
        "yx" where they are (time, y, x), as many files have it.
    to_frames
        Of an NWB file: whether membrane potentials are averaged over the frames of the stimuli,
        and put beside them; otherwise each is a part of its own, at its own rate.
    quality
        Of spike times: labels of the units that are kept, or "all". None leaves out noise.

    Returns
    -------
    xarray.DataTree
        One child for each part or stimulus of the file ("train", "test", "boxes", "local"; a
        file without parts has one called "recording"), with some of `stimulus` (time, y, x),
        `intensity` (time), `firing_rate` (time, cell) in Hz, `spike_count` (repeat, time, cell)
        with `bin_width` in s, `membrane_potential` or `fluorescence` ([repeat,] time,
        interneuron). The stimulus is read from the file when it is used, and only the frames
        that are used; the file is not kept open. The attribute `reading` says in a line what was
        taken and what was left, as the log does.

    Raises
    ------
    StorageError
        Where there is no such file, or it is damaged.
    InputError
        Where the file is of an unknown kind or lacks something (what is there and what is expected
        are listed), lengths do not match, most spikes are outside of the stimulus, or a response
        is NaN.

    Warns
    -----
    NeurocodecWarning
        Where spikes outside of the stimulus, or in a gap between its frames, are dropped, cells
        have no spikes, or frames last so long that their times may be in ms.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "cells.npz")
    ...     rate = np.ones((3, 2))
    ...     np.savez(path, firing_rate=rate, frame_rate=100.0, cell=["ON 1", "OFF 1"])
    ...     recording = read_recording(path)
    >>> list(recording), recording["recording"].firing_rate.sel(cell="ON 1").values.tolist()
    (['recording'], [1.0, 1.0, 1.0])
    """
    frame_rate = None if frame_rate is None else arguments.frame_rate(frame_rate)
    source = arguments.path("path", path, hint="nc.read_recording('cells.h5')").expanduser()
    if not source.exists():
        raise StorageError(
            came=f"{str(source)!r}, which does not exist", expected=f"a recording: {KINDS}"
        )
    hint = "copy the file again: part of it may be missing"
    nwb = {"image_axes": image_axes, "to_frames": to_frames, "quality": quality}
    with damage_reported(source, f"a whole file: {KINDS}", hint), accounting() as left:
        found = _read(source, nwb)
    stored = _datasets(found) if isinstance(found, xr.DataTree) else found
    parts = mend_gaps(select_cells(stored, cells), nan)
    report_silent(parts)
    report_slow(parts, of_tree=True)
    line = tell(source.name, parts, left)
    if isinstance(found, xr.DataTree) and not found.data_vars:
        as_stored = all(parts[name] is part for name, part in stored.items())
        if as_stored and frame_rate is None:
            return found
    numbered = {name: _with_pixels(part) for name, part in parts.items()}
    numbered["/"] = xr.Dataset(attrs={READING: line})
    facts = {"file": source.name, "frame_rate": frame_rate, "cells": cells, "nan": nan}
    tree = stamp(xr.DataTree.from_dict(numbered), "nc.read_recording", **facts)
    return tree if frame_rate is None else resample(tree, frame_rate)


def _read(source: Path, nwb: Mapping[str, Any]) -> Parts | xr.DataTree:
    if source.is_dir():
        return _read_folder(source)
    start = _start_of(source)
    if is_matlab(source):
        return read_matlab_spikes(source, nwb["quality"])
    if start.startswith(HDF5_SIGNATURE):
        return _read_hdf5(source, nwb)
    if start.startswith(ZIP_SIGNATURE) and not zipfile.is_zipfile(source):
        raise StorageError(
            came=f"{str(source)!r}, a zip archive whose end is missing: the file is cut off",
            expected="a whole .npz",
            hint="copy the file again: part of it is missing",
        )
    if zipfile.is_zipfile(source):
        spikes = spike_parts(source)
        return read_stored_spikes(source, spikes, nwb["quality"]) if spikes else read_npz(source)
    if start.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")):
        return read_groups(source, "netcdf4")
    if is_text(source):
        raise _without_stimulus(source)
    raise InputError(
        came=f"{str(source)!r}, a file that begins with {start!r}",
        expected=KINDS,
        hint="np.savez('recording.npz', stimulus=..., time=..., firing_rate=...) and read that",
    )


def _without_stimulus(source: Path) -> InputError:
    return InputError(
        came=f"{str(source)!r}, which holds spike times and no stimulus",
        expected="a stimulus and the times of its frames beside them",
        hint=f"nc.recording(stimulus, spike_times={str(source)!r}, frame_times=times)",
    )


def _read_folder(source: Path) -> Parts | xr.DataTree:
    if not any((source / name).exists() for name in (".zgroup", ".zmetadata", "zarr.json")):
        there = sorted(p.name for p in source.iterdir())
        if any(told(source) for told in (is_phy, is_spikeinterface, is_folder, is_text)):
            raise _without_stimulus(source)
        raise InputError(
            came=f"{str(source)!r}, a folder with {there[:6] or 'nothing in it'}",
            expected=f"one file: {KINDS}",
            hint=f"nc.read_recording({str(source / there[0])!r})" if there else "",
        )
    import zarr  # noqa: PLC0415 - an extra

    if KIND in zarr.open_group(source, mode="r").attrs:
        return read_result(source)
    return read_groups(source, "zarr")


def _read_hdf5(source: Path, nwb: Mapping[str, Any]) -> Parts | xr.DataTree:
    with h5py.File(source, "r") as file:
        if KIND in file.attrs:
            return read_result(source)
        if "nwb_version" in file.attrs:
            return read_nwb(source, **nwb)
        for told, reader in LAYOUTS:
            if told(file):
                return reader(file, source)
        spikes = bool(spike_groups(file))
        if not spikes and not _has_named_arrays(file):
            return read_retina_hdf5(file, source)
    if spikes:
        return read_tree_spikes(source, nwb["quality"])
    # h5netcdf: the library of netCDF reads few HDF5 files of others, and some types make it crash.
    return read_groups(source, "h5netcdf")


def _has_named_arrays(file: h5py.File) -> bool:
    """Whether responses lie beside the stimulus, or a stimulus at the root."""
    names = {"firing_rate", "spike_count", "membrane_potential", "fluorescence", "intensity"}
    groups = [file, *(x for x in file.values() if isinstance(x, h5py.Group))]
    return v.STIMULUS in file or any(names & {*group} for group in groups)


def _start_of(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(8)


def _datasets(tree: xr.DataTree) -> Parts:
    return {
        node.path.strip("/") or WHOLE: node.to_dataset() for node in tree.subtree if node.data_vars
    }


def _with_pixels(part: xr.Dataset) -> xr.Dataset:
    missing = {
        d: np.arange(part.sizes[d]) for d in (v.Y, v.X) if d in part.dims and d not in part.coords
    }
    return part.assign_coords(missing)
