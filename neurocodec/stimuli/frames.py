"""Frames of one size on a grid of another: checkers, padding, resizing."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.averaging import area_average
from neurocodec.labels import require_dims, stamp, time_coordinate
from neurocodec.stimuli.intensity import Size, light, movie, require_size


def pad(stimulus: xr.DataArray, size: Size, value: float = 0.0) -> xr.DataArray:
    """Put frames into the middle of larger ones.

    Parameters
    ----------
    stimulus
        (time, y, x), or other dims with `y` and `x`.
    size
        Pixels (y, x) of the larger frames. An odd pixel goes to the end of its axis.
    value
        What the border is filled with, in the units of the stimulus: its mean light.

    Returns
    -------
    xarray.DataArray
        With `y` and `x` numbered anew from 0; float32 where the type of the frames cannot hold
        the value.

    Raises
    ------
    InputError
        Where the frames are larger than `size`.

    Examples
    --------
    >>> frames = xr.DataArray([[[1.0]]], dims=("time", "y", "x"))
    >>> pad(frames, (2, 3), value=0.5).values.tolist()
    [[[0.5, 1.0, 0.5], [0.5, 0.5, 0.5]]]
    """
    _require_frames(stimulus)
    missing = {
        d: n - stimulus.sizes[d] for d, n in zip((v.Y, v.X), require_size(size), strict=True)
    }
    if min(missing.values()) < 0:
        raise InputError(
            came=f"frames of {stimulus.sizes[v.Y]} x {stimulus.sizes[v.X]} pixels",
            expected=f"no more than {size[0]} x {size[1]}",
            hint=f"nc.stimuli.resize(stimulus, {tuple(size)})",
        )
    widths = {d: (n // 2, n - n // 2) for d, n in missing.items()}
    bare = stimulus.drop_vars([d for d in (v.Y, v.X) if d in stimulus.coords])
    filling = int(value) if float(value).is_integer() else value
    if bare.dtype.kind != "f" and not np.can_cast(np.min_scalar_type(filling), bare.dtype):
        bare = bare.astype(np.float32)
    padded = bare.pad(widths, constant_values=filling)
    return stamp(_numbered(padded, stimulus), "nc.stimuli.pad", size=size, value=value)


def resize(stimulus: xr.DataArray, size: Size) -> xr.DataArray:
    """Show frames with other pixels: each new pixel is the mean of what it covers.

    The mean of every frame stays what it was. Larger pixels average, smaller ones repeat.

    Parameters
    ----------
    stimulus
        (time, y, x), or other dims with `y` and `x`.
    size
        Pixels (y, x) of the new frames.

    Returns
    -------
    xarray.DataArray
        float32, with `y` and `x` numbered anew from 0.

    Examples
    --------
    >>> frames = xr.DataArray([[[0.0, 3.0, 6.0]]], dims=("time", "y", "x"))
    >>> resize(frames, (1, 2)).values.tolist()
    [[[1.0, 5.0]]]
    """
    _require_frames(stimulus)
    values = stimulus.values
    for dim, pixels in zip((v.Y, v.X), require_size(size), strict=True):
        axis = stimulus.get_axis_num(dim)
        old = np.arange(stimulus.sizes[dim] + 1.0)
        values = area_average(values, old, np.linspace(0, old[-1], pixels + 1), axis=axis)
    bare = stimulus.drop_vars([d for d in (v.Y, v.X) if d in stimulus.coords])
    kept = {name: c for name, c in bare.coords.items() if not {v.Y, v.X} & {*c.dims}}
    resized = xr.DataArray(
        values.astype(np.float32), kept, stimulus.dims, stimulus.name, stimulus.attrs
    )
    return stamp(_numbered(resized, stimulus), "nc.stimuli.resize", size=size)


def boxes(
    values: xr.DataArray | ArrayLike,
    size: Size = (50, 50),
    *,
    box: float | None = None,
    background: float = 0.0,
    frame_rate: float | None = None,
) -> xr.DataArray:
    """Show a grid of boxes, each of one light, in the middle of the frame.

    Parameters
    ----------
    values
        Light of each box: (time, y, x) over boxes, labelled with times or plain.
    size
        Pixels (y, x) of a frame.
    box
        Side of a box in pixels, whole or not; None fills the frame with the grid.
    background
        Light outside of the grid.
    frame_rate
        Frames per second of plain values; a labelled movie keeps its own, see
        `nc.stimuli.resample`.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x); a pixel on the border of two boxes takes from both by area.

    Raises
    ------
    InputError
        Where the values have other dims, or no times.

    Examples
    --------
    >>> boxes([[[0.0, 1.0]]], (1, 3), box=1.5, frame_rate=100.0).values.tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    size = require_size(size)
    frames, time = _grid(values, frame_rate)
    for axis, pixels in enumerate(size, start=1):
        side = pixels / frames.shape[axis] if box is None else box
        if not 0 < side < np.inf:
            raise InputError(came=f"box={box!r}", expected="a side in pixels, above 0")
        frames = _onto_pixels(frames, axis, pixels, side, background)
    return movie(frames, time, "nc.stimuli.boxes", box=box, background=background)


def checkerboard(
    intensity: xr.DataArray | ArrayLike,
    size: Size = (50, 50),
    *,
    box: float,
    background: float = 0.0,
    frame_rate: float | None = None,
) -> xr.DataArray:
    """Show a checkerboard whose fields are as much above the background as the others below.

    Parameters
    ----------
    intensity
        Light of the field at the top left over time, as in `full_field`.
    size
        Pixels (y, x) of a frame.
    box
        Side of a field in pixels. The first field begins at the first pixel.
    background
        Light in the middle between bright and dark fields.
    frame_rate
        As in `full_field`.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x).

    Examples
    --------
    >>> checkerboard([1.0], (2, 4), box=2, frame_rate=100.0)[0].values.tolist()
    [[1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]
    """
    size = require_size(size)
    if not 0 < box < np.inf:
        raise InputError(came=f"box={box!r}", expected="a side in pixels, above 0")
    trace = light(intensity, frame_rate)
    stripes = []
    for pixels in size:
        fields = int(np.ceil(pixels / box))
        edges = np.asarray(np.arange(fields + 1) * box, dtype=np.float64)
        sign = (-1.0) ** np.arange(fields)
        stripes.append(area_average(sign, edges, np.arange(pixels + 1.0), axis=0))
    pattern = np.multiply.outer(*stripes)
    frames = background + (trace.values - background)[:, None, None] * pattern
    return movie(frames, trace[v.TIME], "nc.stimuli.checkerboard", box=box, background=background)


def _onto_pixels(
    frames: NDArray[np.float64], axis: int, pixels: int, side: float, background: float
) -> NDArray[np.float64]:
    """Boxes along an axis as pixels; one more box on each side holds the background."""
    count = frames.shape[axis]
    edges = pixels / 2 + (np.arange(count + 1) - count / 2) * side
    beyond = min(0.0, edges[0]) - 1, max(float(pixels), edges[-1]) + 1
    old = np.array([beyond[0], *edges, beyond[1]], dtype=np.float64)
    widths = [(1, 1) if a == axis else (0, 0) for a in range(frames.ndim)]
    surrounded = np.pad(frames, widths, constant_values=background)
    return area_average(surrounded, old, np.arange(pixels + 1.0), axis=axis)


def _grid(
    values: xr.DataArray | ArrayLike, frame_rate: float | None
) -> tuple[NDArray[np.float64], xr.Variable | xr.DataArray]:
    if isinstance(values, xr.DataArray):
        values = require_dims(values, (v.TIME, v.Y, v.X), "boxes")
        return values.values.astype(np.float64), light(values[v.TIME] * 0.0, None)[v.TIME]
    frames = np.asarray(values, dtype=np.float64)
    if frames.ndim != 3 or frame_rate is None:
        raise InputError(
            came=f"boxes of shape {frames.shape} with frame_rate={frame_rate}",
            expected="(time, y, x) over boxes, and the frames per second",
            hint="frame_rate=net.frame_rate",
        )
    return frames, time_coordinate(len(frames), frame_rate)


def _require_frames(stimulus: xr.DataArray) -> None:
    if not isinstance(stimulus, xr.DataArray) or not {v.Y, v.X} <= {*stimulus.dims}:
        raise InputError(
            came=f"a stimulus with dims {getattr(stimulus, 'dims', type(stimulus).__name__)}",
            expected="an xarray.DataArray with dims ('time', 'y', 'x')",
            hint="xr.DataArray(frames, dims=('time', 'y', 'x'))",
        )


def _numbered(frames: xr.DataArray, stimulus: xr.DataArray) -> xr.DataArray:
    numbers = {d: np.arange(frames.sizes[d]) for d in (v.Y, v.X)}
    return frames.assign_coords(numbers).assign_attrs(stimulus.attrs).rename(stimulus.name)
