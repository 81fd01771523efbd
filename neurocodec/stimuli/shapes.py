"""Discs, annuli, bars and full fields, whose edges cover pixels in part."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.coverage import disc_coverage, polygon_coverage
from neurocodec.stimuli.intensity import Size, light, movie, require_size

Center = tuple[float, float] | None


def full_field(
    intensity: xr.DataArray | ArrayLike, size: Size = (50, 50), *, frame_rate: float | None = None
) -> xr.DataArray:
    """Light the whole frame.

    Parameters
    ----------
    intensity
        Light over time: a DataArray (time) in seconds, or plain numbers, one a frame.
    size
        Pixels (y, x) of a frame: `net.input_shape`.
    frame_rate
        Frames per second of the movie: `net.frame_rate`. A labelled intensity at another rate is
        resampled (each value held until the next); plain numbers are taken to have this rate.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x), in the units of the intensity.

    Examples
    --------
    >>> full_field([0.0, 1.0], (2, 3), frame_rate=100.0)[1].values.tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    trace = light(intensity, frame_rate)
    mask = np.ones(require_size(size))
    return _lit(trace, mask, 0.0, "nc.stimuli.full_field")


def disc(
    intensity: xr.DataArray | ArrayLike,
    size: Size = (50, 50),
    *,
    diameter: float,
    center: Center = None,
    background: float = 0.0,
    um_per_pixel: float | None = None,
    frame_rate: float | None = None,
) -> xr.DataArray:
    """Light a disc: a spot.

    A pixel at the edge takes the part of the light that the disc covers of it, exactly, so that
    the sum over the pixels is the area, pi diameter^2 / 4.

    Parameters
    ----------
    intensity, size, frame_rate
        As in `full_field`.
    diameter
        In pixels, or in micrometres where `um_per_pixel` is given.
    center
        (y, x) in the same units; 0 is the middle of the first pixel. None is the middle of the
        frame.
    background
        Light outside of the disc.
    um_per_pixel
        Micrometres on the retina that a pixel spans.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x).

    Raises
    ------
    InputError
        Where the diameter is not positive, or the intensity has no times.

    Examples
    --------
    >>> spot = disc([1.0], (50, 50), diameter=200.0, um_per_pixel=50.0, frame_rate=100.0)
    >>> round(float(spot.sum()), 4), round(np.pi * 2**2, 4)
    (12.5664, 12.5664)
    """
    return annulus(
        intensity,
        size,
        inner=0.0,
        outer=diameter,
        center=center,
        background=background,
        um_per_pixel=um_per_pixel,
        frame_rate=frame_rate,
    )


def annulus(
    intensity: xr.DataArray | ArrayLike,
    size: Size = (50, 50),
    *,
    inner: float,
    outer: float,
    center: Center = None,
    background: float = 0.0,
    um_per_pixel: float | None = None,
    frame_rate: float | None = None,
) -> xr.DataArray:
    """Light a ring.

    Parameters
    ----------
    intensity, size, frame_rate
        As in `full_field`.
    inner, outer
        Diameters, in pixels, or in micrometres where `um_per_pixel` is given.
    center, background, um_per_pixel
        As in `disc`.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x).

    Raises
    ------
    InputError
        Where the inner diameter is not below the outer one.

    Examples
    --------
    >>> ring = annulus([1.0], (50, 50), inner=10.0, outer=20.0, frame_rate=100.0)
    >>> bool(np.isclose(ring.sum(), np.pi * (10**2 - 5**2)))
    True
    """
    if not 0 <= inner < outer < np.inf:
        raise InputError(
            came=f"a diameter of {outer!r}" + (f" around a hole of {inner!r}" if inner else ""),
            expected="finite diameters above 0, the outer one the larger",
        )
    trace, size, scale = light(intensity, frame_rate), require_size(size), _scale(um_per_pixel)
    place = _place(center, size, scale)
    whole, hole = (disc_coverage(size, place, d / 2 / scale) for d in (outer, inner))
    facts = {"inner": inner, "outer": outer, "center": place, "um_per_pixel": um_per_pixel}
    return _lit(
        trace,
        whole - hole,
        background,
        "nc.stimuli.annulus" if inner else "nc.stimuli.disc",
        **facts,
    )


def bar(
    intensity: xr.DataArray | ArrayLike,
    size: Size = (50, 50),
    *,
    width: float,
    length: float | None = None,
    orientation: float = 0.0,
    position: float | ArrayLike = 0.0,
    speed: float = 0.0,
    center: Center = None,
    background: float = 0.0,
    um_per_pixel: float | None = None,
    frame_rate: float | None = None,
) -> xr.DataArray:
    """Light a bar that stands, jumps or drifts.

    Parameters
    ----------
    intensity, size, frame_rate
        As in `full_field`.
    width
        Across the bar, in pixels, or in micrometres where `um_per_pixel` is given.
    length
        Along the bar; None crosses the whole frame.
    orientation
        Of the long axis, in degrees, counterclockwise from the x axis in a picture whose first
        row is at the top: 0 lies, 90 stands.
    position
        How far the bar is from `center` across its long axis, one number or one a frame. A
        standing bar at a positive position is on the right, a lying one is below.
    speed
        Pixels (or micrometres) per second in the direction of positive positions.
    center, background, um_per_pixel
        As in `disc`.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x).

    Raises
    ------
    InputError
        Where a length is not positive, or positions are not one a frame.

    Examples
    --------
    >>> bar([1.0], (3, 5), width=1.0, orientation=90.0, position=1.0, frame_rate=100.0)[0].values
    array([[0., 0., 0., 1., 0.],
           [0., 0., 0., 1., 0.],
           [0., 0., 0., 1., 0.]], dtype=float32)
    """
    trace, size, scale = light(intensity, frame_rate), require_size(size), _scale(um_per_pixel)
    place = _place(center, size, scale)
    # the diagonal and the way to the centre, so that no end of an endless bar is in the frame
    endless = 4 * (sum(size) + float(np.abs(place).sum()))
    sides = (width / scale, endless if length is None else length / scale)
    if not all(0 < side < np.inf for side in sides):
        raise InputError(came=f"a bar of {length} x {width}", expected="sides above 0")
    shifts = (
        _positions(position, trace) + speed * (trace[v.TIME] - trace[v.TIME][0]).values
    ) / scale
    distinct, which = np.unique(shifts, return_inverse=True)
    masks = np.stack([_bar_mask(size, place, sides, orientation, s) for s in distinct])
    facts = {"width": width, "length": length, "orientation": orientation, "speed": speed}
    return _lit(trace, masks[which], background, "nc.stimuli.bar", **facts, center=place)


def _bar_mask(
    size: Size, center: tuple[float, float], sides: tuple[float, float], angle: float, shift: float
) -> NDArray[np.float64]:
    sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    along, across = np.array([-sine, cosine]), np.array([cosine, sine])  # (y, x), y downwards
    middle = np.asarray(center) + shift * across
    half_width, half_length = across * sides[0] / 2, along * sides[1] / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return polygon_coverage(
        size, np.array([middle + a * half_width + b * half_length for a, b in signs])
    )


def _positions(position: float | ArrayLike, trace: xr.DataArray) -> NDArray[np.float64]:
    values = np.asarray(position, dtype=np.float64)
    if values.shape not in ((), (1,), trace.shape) or not np.isfinite(values).all():
        raise InputError(
            came=f"positions of shape {values.shape} for {trace.sizes[v.TIME]} frames, or NaN",
            expected="one number, or one a frame",
        )
    return np.broadcast_to(values, trace.shape)


def _scale(um_per_pixel: float | None) -> float:
    if um_per_pixel is None:
        return 1.0
    if not 0 < um_per_pixel < np.inf:
        raise InputError(came=f"um_per_pixel={um_per_pixel!r}", expected="micrometres, above 0")
    return float(um_per_pixel)


def _place(center: Center, size: Size, scale: float) -> tuple[float, float]:
    if center is None:
        return (size[0] - 1) / 2, (size[1] - 1) / 2
    try:
        y, x = (float(place) for place in center)
    except (TypeError, ValueError):
        y = x = np.nan
    if not np.isfinite([y, x]).all():
        raise InputError(
            came=f"center={center!r}", expected="(y, x), two finite numbers", hint="center=(10, 10)"
        )
    return y / scale, x / scale


def _lit(
    trace: xr.DataArray, mask: NDArray[np.float64], background: float, function: str, **facts: Any
) -> xr.DataArray:
    """Frames: the background, and the light where the mask is."""
    contrast = trace.values.astype(np.float64)[:, None, None] - background
    made = movie(background + contrast * mask, trace[v.TIME], function, **facts)
    return made.assign_attrs(units=trace.attrs.get("units", "1"))
