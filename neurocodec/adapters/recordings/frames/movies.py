"""Stimuli in memory or in a `.npy`, labelled: frames, frames in colour, full-field light."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.errors import InputError, StorageError
from neurocodec.labels import labelled, movie_of, require_finite

COLOURS: Final = 4
"""Colours up to which an axis may be that of the colours."""
RGB: Final = ("red", "green", "blue")
OF_VIDEOS: Final = {
    **dict.fromkeys((".tif", ".tiff"), "tifffile.imread(path)"),
    **dict.fromkeys(
        (".avi", ".mp4", ".mov", ".mkv", ".gif"),
        "np.stack([frame.mean(-1) for frame in imageio.v3.imiter(path)])",
    ),
    ".mat": "scipy.io.loadmat(path)['stimulus'].transpose(2, 0, 1), frames (y, x, time) of MATLAB",
    ".npz": "np.load(path)['stimulus'], or pynapple.load_file(path) of what pynapple saved",
    **dict.fromkeys((".h5", ".hdf5"), "h5py.File(path)['stimulus'][()]"),
}
"""What to type for files of frames, by the ends of their names."""
EXPECTED: Final = "frames (time, y, x), frames in colour (time, color, y, x), or light (time,)"


def movie(stimulus: Any, units: str = v.DIMENSIONLESS) -> xr.DataArray:
    """Stimulus with the dims (time, y, x) or (time, color, y, x); light (time,) is one pixel."""
    if isinstance(stimulus, str | Path):
        stimulus = _stored(Path(stimulus).expanduser())
    times = None
    if type(stimulus).__module__.startswith("pynapple."):
        stimulus, times = _of_pynapple(stimulus)
    if isinstance(stimulus, xr.DataArray):
        found = _by_dims(stimulus)
    else:
        values = _values(stimulus)
        if values.dtype.kind not in "biuf":
            raise InputError(came=f"a stimulus of {values.dtype}", expected=EXPECTED)
        found = labelled(values, _dims(values.shape), name=v.STIMULUS, units=units)
        if v.COLOR in found.dims:
            found = found.transpose(v.TIME, v.COLOR, v.Y, v.X)
        found = found if times is None else found.assign_coords({v.TIME: times})
    if not found.size:
        raise InputError(came=f"a stimulus of shape {found.shape}", expected=EXPECTED)
    if found.dtype.kind == "f" and isinstance(found.variable._data, np.ndarray):  # noqa: SLF001
        require_finite(found, "the stimulus")  # what is lazy is looked at when it is used
    return movie_of(found).rename(v.STIMULUS)


def _of_pynapple(stimulus: Any) -> tuple[Any, xr.Variable]:
    """Frames of a pynapple `TsdTensor`, or light of a `Tsd`, and the times that they have."""
    values = getattr(stimulus, "values", None)
    if values is None or np.ndim(values) not in (1, 3, 4):
        hint = "stimulus.values[:, None, :], frame_times=stimulus.index.values, for bars"
        raise InputError(
            came=f"a stimulus as a pynapple {type(stimulus).__name__}"
            + ("" if values is None else f" of shape {np.shape(values)}"),
            expected=EXPECTED,
            hint="" if values is None else hint,
        )
    return values, xr.Variable(v.TIME, stimulus.index.values, {"units": v.SECONDS})


def _values(stimulus: Any) -> Any:
    """Frames as an array, which stays in its file where it is there."""
    if isinstance(stimulus, xr.Dataset | xr.DataTree):
        raise InputError(
            came=f"a stimulus of type {type(stimulus).__name__} with {[*stimulus]}",
            expected=EXPECTED,
            hint=f"stimulus[{next(iter(stimulus), v.STIMULUS)!r}]",
        )
    try:
        values = np.asanyarray(stimulus)
    except ValueError as error:
        raise InputError(
            came="a stimulus of lists that have other lengths", expected=EXPECTED
        ) from error
    hidden = int(np.ma.getmaskarray(values).sum()) if np.ma.is_masked(values) else 0
    if hidden:
        raise InputError(
            came=f"a stimulus with {hidden} values that a mask hides",
            expected=EXPECTED,
            hint="stimulus.filled(0.5), or another value that was on",
        )
    return values


def _stored(path: Path) -> Any:
    if not path.exists():
        raise StorageError(
            came=f"the stimulus {str(path)!r}, which does not exist", expected="a .npy file"
        )
    if path.suffix != ".npy":
        raise InputError(
            came=f"the stimulus {str(path)!r}",
            expected="an array, or a .npy file with one",
            hint=OF_VIDEOS.get(
                path.suffix.lower(), "nc.read_recording(path), where the file holds responses too"
            ),
        )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise StorageError(
            came=f"{str(path)!r}, which cannot be read: {error}", expected="an array of numbers"
        ) from error


def _by_dims(stimulus: xr.DataArray) -> xr.DataArray:
    dims = {*map(str, stimulus.dims)}
    for wanted in ((v.TIME,), (v.TIME, v.Y, v.X), (v.TIME, v.COLOR, v.Y, v.X)):
        if dims == {*wanted}:
            plain = stimulus.transpose(*wanted)
            own = [c for c in plain.coords if v.TIME in plain[c].dims]
            other = [c for c in own if c not in (v.TIME, v.SEGMENT) or plain[c].ndim > 1]
            leave("coordinates of the stimulus along time:", other)
            return plain.drop_vars(other)
    raise InputError(
        came=f"a stimulus with the dims {tuple(map(str, stimulus.dims))}",
        expected=EXPECTED,
        hint="stimulus.rename(frame='time', height='y', width='x')",
    )


def _dims(shape: tuple[int, ...]) -> tuple[str, ...]:
    if len(shape) in (1, 3):
        return (v.TIME, v.Y, v.X)[: len(shape)]
    if len(shape) == 4 and (shape[1] <= COLOURS) != (shape[3] <= COLOURS):
        return (v.TIME, v.COLOR, v.Y, v.X) if shape[1] <= COLOURS else (v.TIME, v.Y, v.X, v.COLOR)
    hints = {
        2: "stimulus[:, None, :] for bars, stimulus[:, :, None, None] for colours",
        4: "xr.DataArray(stimulus, dims=('time', 'color', 'y', 'x'))",
    }
    raise InputError(
        came=f"a stimulus of shape {shape}", expected=EXPECTED, hint=hints.get(len(shape), "")
    )
