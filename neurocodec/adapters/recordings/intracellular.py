"""Interneurons in HDF5: impaled cells of torch-deep-retina, imaged clusters under a chirp."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.hdf5 import (
    SHIFT,
    contents,
    numbered,
    require_length,
    stored_times,
)
from neurocodec.adapters.recordings.lazy import numbers, stored_stimulus
from neurocodec.errors import InputError
from neurocodec.labels import labelled, time_coordinate
from neurocodec.stimuli.presentation import CONTRAST

POTENTIAL: Final = "detrended_membrane_potential"
FRAME_RATE: Final = 100.0
"""Frames per second of torch-deep-retina's interneuron files, which have no times."""
GEOMETRY: Final = {"local": "disc", "global": "full field"}
"""What the stimulus trace of a chirp file lit."""


def is_intracellular(file: h5py.File) -> bool:
    """Whether a group of the file has membrane potentials beside `stimuli`."""
    return any(POTENTIAL in x or "stimuli" in x for x in file.values() if _is_group(x))


def read_intracellular(file: h5py.File, path: Path) -> dict[str, xr.Dataset]:
    """Intracellular recordings of torch-deep-retina (`bipolars_late_2012.h5` and the like)."""
    # `boxes`, stored as 0 to 1, become 2 s - 1; other stimuli are as stored. Units are "contrast":
    # torch-deep-retina shows them like this to models of standardised stimuli. Frames stay 38x38
    # where they are: `nc.stimuli.pad` brings them to the 50x50 of a model. Responses are shifted by
    # one frame, as in the ganglion-cell files.
    groups = {name: x for name, x in file.items() if _is_group(x)}
    whole = {n: x for n, x in groups.items() if POTENTIAL in x and "stimuli" in x}
    if not whole:
        raise InputError(
            came=f"{str(path)!r} with {contents(file)}",
            expected=f"groups with 'stimuli' (T, y, x) and {POTENTIAL!r} (interneuron, T)",
        )
    leave("at the root:", [name for name in file if name not in whole])
    for name, group in whole.items():
        leave(f"of {name}:", [x for x in group if x not in (POTENTIAL, "stimuli", "rfs")])
    label = path.stem.split("_")[0].removesuffix("s")
    return {name: _stimulus_part(name, x, path, label) for name, x in whole.items()}


def _stimulus_part(name: str, group: h5py.Group, path: Path, label: str) -> xr.Dataset:
    scaling = {"scale": 2.0, "offset": -1.0} if name == "boxes" else {}
    key = f"{group.name}/stimuli"
    stimulus = stored_stimulus(path, key, CONTRAST, **scaling)
    potential = _traces(group[POTENTIAL])
    frames = stimulus.sizes[v.TIME]
    require_length(potential.shape[-1], frames, f"{group.name}/{POTENTIAL}")
    names = _names(group, len(potential), label)
    data = labelled(
        potential[:, 1:].T, (v.TIME, v.INTERNEURON), name="membrane_potential", units="1"
    ).assign_attrs(comment="detrended; the file gives no units")
    coords = _coords(time_coordinate(frames - 1, FRAME_RATE), names, [label] * len(names))
    part = xr.Dataset({v.STIMULUS: stimulus[:-1], "membrane_potential": data}, coords)
    return part.assign_attrs(alignment=SHIFT)


def _traces(item: Any) -> NDArray[np.float32]:
    """Traces (interneuron, T) of an array of numbers; a single one is a row."""
    found = np.atleast_2d(np.asarray(numbers(item)[()], dtype=np.float32))
    if found.ndim != 2:
        raise InputError(came=f"{item.name} of shape {found.shape}", expected="(interneuron, T)")
    return found


def _names(group: h5py.Group, size: int, label: str) -> list[str]:
    """Names of the impaled cells where their receptive fields are in the file."""
    fields = group.get("rfs", {})
    if _is_group(fields) and len(fields) == size:
        return numbered(fields)
    return [f"{label} {i:02d}" for i in range(size)]


def _coords(time: Any, names: list[str], types: list[str]) -> dict[str, Any]:
    return {
        v.TIME: time,
        v.INTERNEURON: names,
        "interneuron_cell_type": (v.INTERNEURON, types),
    }


def is_chirp(file: h5py.File) -> bool:
    """Whether groups of the file hold `local` or `global` responses to a common stimulus trace."""
    return any(set(GEOMETRY) & set(x) for x in file.values() if _is_group(x))


def read_chirp(file: h5py.File, path: Path) -> dict[str, xr.Dataset]:
    """Mean responses of clusters of interneurons to a "local" and a full-field ("global") chirp."""
    # Groups (`bipolar`, `amacrine`) hold `local` and `global` (cluster, T), beside `stimulus` (T)
    # and `time` (T): the light inside of a disc or full field. Frames are made of it by
    # `nc.stimuli`, as the file does not say how large the disc was.
    for name in ("stimulus", "time"):
        if name not in file or getattr(file[name], "ndim", 0) != 1:
            raise InputError(
                came=f"{str(path)!r} with {contents(file)}",
                expected=f"{name!r} (T), one value a frame, beside the groups of responses",
            )
    kinds = [name for name, x in file.items() if _is_group(x)]
    leave("at the root:", [x for x in file if x not in (*kinds, "stimulus", "time")])
    for kind in kinds:
        leave(f"of {kind}:", [x for x in file[kind] if x not in GEOMETRY])
    return {
        name: _chirp_part(file, name)
        for name in GEOMETRY
        if any(name in x for x in file.values() if _is_group(x))
    }


def _chirp_part(file: h5py.File, name: str) -> xr.Dataset:
    classes = {k: x[name] for k, x in file.items() if _is_group(x) and name in x}
    time = stored_times(file["time"])
    names, types, traces = [], [], list[NDArray[np.float32]]()
    for kind, stored in classes.items():
        found = _traces(stored)
        require_length(found.shape[-1], len(time), stored.name)
        require_length(file["stimulus"].shape[0], len(time), "stimulus")
        traces.append(found)
        names += [f"{kind} cluster {i:02d}" for i in range(len(found))]
        types += [f"{kind} cluster"] * len(found)
    axis = (v.TIME, time, {"units": v.SECONDS, "long_name": "time"})
    response = labelled(
        np.concatenate(traces).T, (v.TIME, v.INTERNEURON), name="fluorescence", units="1"
    )
    intensity = labelled(np.asarray(numbers(file["stimulus"])[()]), (v.TIME,), name="intensity")
    part = xr.Dataset(
        {"fluorescence": response, "intensity": intensity}, _coords(axis, names, types)
    )
    geometry = GEOMETRY[name]
    return part.assign_attrs(geometry=geometry, rendering=f"nc.stimuli: a {geometry} of intensity")


def _is_group(item: object) -> bool:
    return isinstance(item, h5py.Group)
