"""Light over time, as the shapes take it, and the labels of what is rendered."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.arguments import is_whole
from neurocodec.errors import InputError
from neurocodec.labels import labelled, require_finite, stamp, time_coordinate
from neurocodec.stimuli.timing import resample

Size = tuple[int, int]


def light(intensity: xr.DataArray | ArrayLike, frame_rate: float | None) -> xr.DataArray:
    """`intensity` (time) at a frame rate; labelled values are held, plain ones have this rate."""
    if not isinstance(intensity, xr.DataArray):
        values = np.atleast_1d(np.asarray(intensity, dtype=np.float64))
        if values.ndim != 1 or frame_rate is None:
            raise InputError(
                came=f"an intensity of shape {values.shape} with frame_rate={frame_rate}",
                expected="one number a frame, and the frames per second",
                hint="frame_rate=net.frame_rate",
            )
        time = {v.TIME: time_coordinate(len(values), frame_rate)}
        plain = labelled(values, (v.TIME,), time, name="intensity")
        require_finite(plain, "the intensity")
        return plain
    if intensity.dims != (v.TIME,) or v.TIME not in intensity.coords:
        raise InputError(
            came=f"an intensity with dims {tuple(map(str, intensity.dims))}",
            expected="dims ('time',), with times in seconds",
            hint="recording['local'].intensity",
        )
    require_finite(intensity, "the intensity")
    intensity = clock.in_seconds(intensity)
    return intensity if frame_rate is None else resample(intensity, frame_rate, method="hold")


def require_size(size: Size) -> Size:
    """Refuse a frame size that is not two whole numbers of at least 1."""
    sizes = tuple(size) if isinstance(size, tuple | list) else (size,)
    if len(sizes) != 2 or not all(is_whole(n) and n >= 1 for n in sizes):
        raise InputError(came=f"size={size!r}", expected="pixels (y, x)", hint="size=(50, 50)")
    return int(sizes[0]), int(sizes[1])


def movie(
    frames: NDArray[Any], time: xr.Variable | xr.DataArray, function: str, **facts: Any
) -> xr.DataArray:
    """Label frames (time, y, x) as a stimulus that a public function made of these facts."""
    coords: dict[str, Any] = {
        v.TIME: (v.TIME, np.asarray(time.values), {"units": v.SECONDS, "long_name": "time"}),
        v.Y: np.arange(frames.shape[1]),
        v.X: np.arange(frames.shape[2]),
    }
    if isinstance(time, xr.DataArray) and v.SEGMENT in time.coords:
        coords[v.SEGMENT] = time[v.SEGMENT].variable
    made = labelled(
        frames.astype(np.float32, copy=False),
        (v.TIME, v.Y, v.X),
        coords,
        name=v.STIMULUS,
        units="1",
    )
    return stamp(made, function, **facts)
