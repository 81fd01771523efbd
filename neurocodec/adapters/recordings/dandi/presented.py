"""Stimuli of an NWB file: frames, frames in colour, templates by index, full-field light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock, terms
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.frames.movies import RGB, movie
from neurocodec.adapters.recordings.lazy import stored_variable
from neurocodec.arguments import frame_rate
from neurocodec.errors import InputError, warn

ELECTRIC: Final = ("v", "volt", "volts", "mv", "a", "amp", "amperes", "ampere", "pa", "na")
"""Units of traces that are no light."""
IMAGED: Final = ("TwoPhotonSeries", "OnePhotonSeries")
"""Series of frames that are recordings of tissue."""


@dataclass(frozen=True)
class Presented:
    """Frames of a file, the row of them that was on from each time, and these times."""

    frames: xr.DataArray
    rows: NDArray[np.intp]
    times: NDArray[np.float64]

    @property
    def by_index(self) -> bool:
        """Whether rows of a template were shown, so that the same row is the same frame."""
        return len(self.rows) != self.frames.sizes[v.TIME] or not bool(
            (self.rows == np.arange(len(self.rows))).all()
        )


def presented(content: Any, image_axes: str) -> tuple[dict[str, Presented], dict[str, str]]:
    """Stimuli by name, and files of those whose frames are in an external video."""
    found, external = _of(content.stimulus, image_axes, light=True)
    if not found:
        found, others = _of(content.acquisition, image_axes, light=False)
        external |= others
        if found:
            warn(
                "no stimulus is among those presented; taken from the acquisitions:"
                f" {', '.join(found)}"
            )
    read = {*found, *external}
    leave("stimuli:", [name for name in content.stimulus if name not in read])
    used = {name for name, series in content.stimulus.items() if _is_index(series)}
    templates = [name for name in content.stimulus_template if not used and name not in read]
    leave("templates:", templates)
    return found, external


def _of(
    series: Any, image_axes: str, *, light: bool
) -> tuple[dict[str, Presented], dict[str, str]]:
    found: dict[str, Presented] = {}
    external: dict[str, str] = {}
    for name, one in series.items():
        if type(one).__name__ in IMAGED:
            continue
        files = getattr(one, "external_file", None)
        if files is not None and len(files) and getattr(one, "format", "") == "external":
            external[name] = str(files[0])
            continue
        made = _one(one, image_axes, light=light)
        if made is not None:
            found[name.replace("/", " ")] = made
    return found, external


def _one(series: Any, image_axes: str, *, light: bool) -> Presented | None:
    if _is_index(series):
        rows = np.asarray(series.data[()])
        frames = _template(series, image_axes)
        _require_rows(rows, frames.sizes[v.TIME], series.name)
        return Presented(frames, rows.astype(np.intp), times_of(series, len(rows)))
    shape = tuple(getattr(getattr(series, "data", None), "shape", ()))
    if len(shape) in (3, 4) and shape[0] > 1 and min(shape) > 0:
        frames = _stored(series, image_axes)
    elif light and shape[:1] > (1,) and shape[1:] in ((), (1,)) and _is_light(series):
        stored = np.asarray(series.data[()]).ravel()
        values = stored * float(series.conversion) + float(series.offset)
        frames = movie(values.astype(np.float32), str(series.unit))
    else:
        return None
    return Presented(frames, np.arange(shape[0]), times_of(series, shape[0]))


def _is_index(series: Any) -> bool:
    return type(series).__name__ == "IndexSeries"


def _is_light(series: Any) -> bool:
    """Whether a trace may be light: neither of a clamp nor in electrical units."""
    plain = type(series).__name__ == "TimeSeries" and series.data.dtype.kind in "biuf"
    return plain and str(series.unit).strip().lower() not in ELECTRIC


def _require_rows(rows: NDArray[Any], frames: int, name: str) -> None:
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not rows.size:
        raise InputError(
            came=f"the IndexSeries {name!r} of {rows.dtype} and shape {rows.shape}",
            expected="the row of the template that was on, from each time",
        )
    if rows.min() < 0 or rows.max() >= frames:
        raise InputError(
            came=f"the IndexSeries {name!r} with rows {rows.min()} to {rows.max()} of a template"
            f" of {frames} frames",
            expected=f"rows 0 to {frames - 1}",
        )


def _template(series: Any, image_axes: str) -> xr.DataArray:
    """Frames that an IndexSeries points to: a series, or a collection of images."""
    indexed = series.indexed_timeseries
    if indexed is not None:
        if len(getattr(indexed.data, "shape", ())) not in (3, 4):
            raise InputError(
                came=f"the template {indexed.name!r} of the IndexSeries {series.name!r}, whose"
                " frames are not inside of the file",
                expected="frames (time, x, y)",
                hint="nc.recording(frames, {cell: times}, frame_times=times, shown=rows)",
            )
        return _stored(indexed, image_axes)
    images = series.indexed_images
    ordered = images.order_of_images
    each = [*images.images.values()] if ordered is None else list(ordered.data)
    pictures = [np.asarray(x.data[()] if hasattr(x.data, "file") else x.data) for x in each]
    sizes = sorted({p.shape for p in pictures})
    if len(sizes) > 1:
        raise InputError(
            came=f"images of several sizes in {images.name!r}: {sizes}",
            expected="images of one size",
        )
    stacked = np.stack(pictures)
    turned = stacked.swapaxes(1, 2) if image_axes == "xy" else stacked
    return movie(np.moveaxis(turned, -1, 1) if turned.ndim == 4 else turned)


def _stored(series: Any, image_axes: str) -> xr.DataArray:
    """Frames that stay in the file: (time, y, x), or (time, color, y, x) of RGB."""
    coloured = len(series.data.shape) == 4
    if coloured and series.data.shape[3] not in (1, 2, 3, 4):
        raise InputError(
            came=f"{series.name!r} of shape {series.data.shape}",
            expected="frames (time, x, y), or (time, x, y, color) with up to 4 colours",
        )
    y, x = (2, 1) if image_axes == "xy" else (1, 2)
    dims = (v.TIME, v.COLOR, v.Y, v.X) if coloured else (v.TIME, v.Y, v.X)
    frames = stored_variable(
        Path(series.data.file.filename),
        series.data.name,
        dims,
        {"units": str(series.unit), "long_name": terms.VARIABLES[v.STIMULUS].long_name},
        axes=(0, 3, y, x) if coloured else (0, y, x),
        scale=float(series.conversion),
        offset=float(series.offset),
    )
    found = xr.DataArray(frames, name=v.STIMULUS)
    if coloured and series.data.shape[3] == len(RGB):
        found = found.assign_coords({v.COLOR: [*RGB]})
    return found


def times_of(series: Any, size: int) -> NDArray[np.float64]:
    """Times of a series in seconds, from its timestamps or its rate."""
    if series.timestamps is not None:
        found = np.asarray(series.timestamps[()], dtype=np.float64)
    else:
        rate = frame_rate(float(series.rate), "rate")
        found = (series.starting_time or 0.0) + np.arange(size) / rate
    if len(found) != size:
        raise InputError(
            came=f"{len(found)} timestamps of {series.name!r} for {size} values",
            expected="one rising time in seconds for each",
        )
    return clock.rising(found, where=repr(series.name))
