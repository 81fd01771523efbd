"""Figures of the part of a movie that acts through channels and modes, in space and over lags."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.kernels.map_pictures import size_limit
from neurocodec.labels import movie_of, require_dims, require_finite
from neurocodec.plotting import fields, style
from neurocodec.plotting.maps import captions
from neurocodec.plotting.maps.captions import LINE, SMALL
from neurocodec.plotting.maps.grid import MOST_PANELS, NARROWEST, WIDEST, below, head
from neurocodec.plotting.maps.layout import Maps, Result, Series, series_of
from neurocodec.plotting.maps.panels import bare, empty_all, require_any

At = Literal["peak", "sum"]

WINDOW: Final = (v.LAG, v.Y, v.X)
PANEL: Final = 1.5
"""Width of a map in inches."""
SIDE: Final = 0.7
"""Width of what stands at the left of the frames, in inches."""
COURSE: Final = 0.4
"""Height of a time course, as part of that of a map."""


def plot_movie_maps(
    maps: Result,
    movie: xr.DataArray,
    *,
    at: At = "sum",
    quantile: float = 0.995,
    shared: bool = False,
    title: str = "",
    note: str = "",
) -> Figure:
    r"""Draw which part of a movie acts, beside its frames: where, and how long before.

    Parameters
    ----------
    maps
        Of a movie, as `nc.contribution_maps` returns them, or only the array: over time, mode or
        channel, and sign, with lag, y and x.
    movie
        The movie (time, y, x), at least the frames of the maps.
    at
        What of the lags is drawn in space: their ``"sum"``, of which the pixels add up to the
        contribution as the time course does, or ``"peak"``, the lag at which the maps of a time
        together have the most energy (the sum of squares over pixels).
    quantile
        Part of a map's pixels below full color.
    shared
        Whether all maps and all time courses have one scale, in place of one each.
    title
        Written above.
    note
        Written first in the caption.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each time: the frame at the lag with the most energy, then for each mode or
        channel and sign the map, red where the movie raises the target, and under it the sum over
        all pixels at each lag, with a dotted line at the frame that is drawn. These sums add up
        to the contribution, which is written between the two.

    Raises
    ------
    InputError
        Where the maps are not those of a movie, or the movie has not their frames.

    Examples
    --------
    >>> dims, times = ("time", "mode", "lag", "y", "x"), np.arange(20) / 10
    >>> maps = xr.DataArray(np.ones((2, 3, 5, 6, 6)), {"time": times[[9, 14]]}, dims)
    >>> maps = maps.assign_coords(lag=("lag", np.arange(-4, 1) / 10, {"units": "s"}))
    >>> movie = xr.DataArray(np.ones((20, 6, 6)), {"time": times}, ("time", "y", "x"))
    >>> figure = plot_movie_maps(maps, movie)
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['0.90 s\nframe 0.40 s before', 'mode 0']
    """
    maps = maps.to_dataset() if isinstance(maps, xr.DataTree) else maps
    array = _window_maps(maps)
    one_of("part of the lags", at, get_args(At))
    size_limit(np.zeros((1, 1)), quantile)
    peaks = _peaks(array)
    movie = movie_of(movie)
    colors = (v.COLOR,) if v.COLOR in array.dims else ()
    movie = require_dims(movie, (v.TIME, *colors, v.Y, v.X), "the movie")
    frames = _frames(movie, array, peaks)
    panels = [_panel(one, peaks, at) for one in series_of(maps, array, [v.TIME, v.LAG])]
    figure, axes = _grid(array, 1 + len(panels))
    scales = _scales(panels, quantile) if shared else None
    for i, frame in enumerate(frames):
        _draw_frame(axes[2 * i, 0], frame, array.isel({v.TIME: i}), frames)
        empty_all(axes[2 * i + 1, :1])
        for panel, (upper, lower) in zip(panels, axes[2 * i : 2 * i + 2, 1:].T, strict=True):
            one = [panel.isel(i)]
            panel.draw(upper, lower, i, float(peaks[i]), scales or _scales(one, quantile))
    _name(axes, panels, array)
    whose = "all maps" if shared else "each map"
    values = captions.values_caption(maps)
    said = _caption(at, quantile, whose, colors=bool(colors))
    return captions.captioned(figure, note, said, values, title=title)


@dataclass(frozen=True)
class _Panel:
    """What is drawn of one mode or channel and sign: where and when it acts."""

    title: str
    maps: Maps
    images: xr.DataArray
    courses: xr.DataArray

    def isel(self, i: int) -> _Panel:
        """Of one time only."""
        one = {v.TIME: [i]}
        return replace(self, images=self.images.isel(one), courses=self.courses.isel(one))

    def draw(
        self, upper: Axes, lower: Axes, i: int, lag: float, scales: tuple[float, float]
    ) -> None:
        """Draw the map and the time course of one time."""
        fields.draw_map(upper, self.images.isel({v.TIME: i}), scales[0])
        bare(upper)
        fields.name_colors(upper, self.images)
        maps = self.maps.isel({v.TIME: i}) if v.TIME in self.maps.dims else self.maps
        below(upper, captions.value_text(maps))
        fields.draw_courses(lower, self.courses.isel({v.TIME: i}))
        lower.axvline(lag, color=style.MUTED, linewidth=0.7, linestyle=":")
        lower.set_ylim(-1.1 * scales[1], 1.1 * scales[1])
        lower.set_yticks([])
        lower.tick_params(labelsize=SMALL - 1, color=style.MUTED, labelcolor=style.INK, length=2)
        lower.spines[["top", "right", "left"]].set_visible(False)


def _panel(one: Series, peaks: xr.DataArray, at: At) -> _Panel:
    images = one.array.sum(v.LAG) if at == "sum" else one.array.sel({v.LAG: peaks})
    return _Panel(one.title, one.maps, images, one.array.sum((v.Y, v.X)))


def _window_maps(maps: Maps) -> xr.DataArray:
    """Maps (time, ..., lag, y, x) of a movie; one time alone is a time too."""
    array = maps.get(v.CONTRIBUTION_MAP) if isinstance(maps, xr.Dataset) else maps
    dims = tuple(map(str, getattr(array, "dims", ())))
    if array is None or not set(WINDOW) <= set(dims) or not {v.TIME, v.LAG} <= set(array.coords):
        raise InputError(
            came=f"maps of type {type(maps).__name__} with dims {dims}",
            expected="maps of a movie over (time, ..., lag, y, x), from nc.contribution_maps, with"
            " labels of time and lag",
            hint="nc.plotting.plot_maps(maps, images) for maps of images",
        )
    require_any(array)
    require_finite(array, "maps")
    array = array if v.TIME in dims else array.expand_dims(v.TIME)
    window = (v.LAG, *((v.COLOR,) if v.COLOR in dims else ()), v.Y, v.X)
    rows, columns = array.sizes[v.TIME], array.size // _count(array, (v.TIME, *window))
    if rows * columns > MOST_PANELS // 2:
        raise InputError(
            came=f"{columns} maps of each of {rows} times",
            expected=f"at most {MOST_PANELS // 2} maps in a figure",
            hint="maps.isel(time=slice(0, 5)) or maps.sel(mode=[0, 1, 2])",
        )
    return array.transpose(v.TIME, ..., *window)


def _count(array: xr.DataArray, dims: tuple[str, ...]) -> int:
    return math.prod(array.sizes[d] for d in dims)


def _peaks(array: xr.DataArray) -> xr.DataArray:
    """Lag with the most energy of all maps of each time."""
    others = [d for d in array.dims if d not in (v.TIME, v.LAG)]
    return array[v.LAG][(array.astype("float64") ** 2).sum(others).argmax(v.LAG)]


def _frames(movie: xr.DataArray, array: xr.DataArray, peaks: xr.DataArray) -> xr.DataArray:
    """Frames (time, y, x) of the movie at the lags with the most energy."""
    if v.TIME not in movie.coords:
        raise InputError(
            came="a movie without labels of time",
            expected="a movie with times in s, by which its frames are found",
            hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / frame_rate)",
        )
    movie = clock.in_seconds(movie)
    step = clock.step_of(movie[v.TIME].values) if movie.sizes[v.TIME] > 1 else np.inf
    wanted = array[v.TIME].values + peaks.values
    found = movie[v.TIME].sel({v.TIME: wanted}, method="nearest").values
    same = all(movie.sizes[d] == array.sizes[d] for d in movie.dims if d != v.TIME)
    if not same or (np.abs(found - wanted) > 0.51 * step).any():
        first, last = movie[v.TIME].values[[0, -1]]
        raise InputError(
            came=f"a movie of {dict(movie.sizes)} from {first:g} to {last:g} s for maps of"
            f" {dict(array.sizes)} with frames from {wanted.min():g} to {wanted.max():g} s",
            expected="the movie of the maps, with all of its frames",
            hint="the movie that was given to nc.contribution_maps",
        )
    return movie.sel({v.TIME: found})


def _scales(panels: list[_Panel], quantile: float) -> tuple[float, float]:
    """Ends of the scales of maps and of time courses."""
    image = np.stack([p.images.values for p in panels])
    course = np.stack([p.courses.values for p in panels])
    limit = size_limit(image.reshape(1, -1), quantile)
    return float(limit) or 1.0, float(np.abs(course).max()) or 1.0


def _grid(array: xr.DataArray, columns: int) -> tuple[Figure, NDArray[Any]]:
    """Axes (map and time course of each time, frame and maps)."""
    rows = array.sizes[v.TIME]
    most = min(max(NARROWEST, PANEL * columns + SIDE), WIDEST)
    panel = min((most - SIDE) / columns, 1.6 * PANEL)
    aspect = array.sizes[v.Y] / array.sizes[v.X] * array.sizes.get(v.COLOR, 1)
    height = rows * (panel * (aspect + COURSE) + 4 * LINE) + 4 * LINE
    figure = style.new_figure(height, panel * columns + SIDE)
    figure.set_layout_engine("compressed", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    return figure, figure.subplots(
        2 * rows, columns, squeeze=False, height_ratios=(aspect, COURSE) * rows
    )


def _draw_frame(ax: Axes, frame: xr.DataArray, maps: xr.DataArray, frames: xr.DataArray) -> None:
    fields.draw_map(ax, frame, 1.0)
    names = [str(name) for name in frame[v.COLOR].values] if v.COLOR in frame.dims else []
    for place, image in enumerate(ax.images):
        image.set_cmap(style.lights(names[place]) if names else "gray")
        image.set_clim(*np.quantile(frames.values, (0.005, 0.995)))
    ax.tick_params(labelsize=SMALL - 1, color=style.MUTED, labelcolor=style.INK, length=2)
    fields.name_colors(ax, frame)
    time = float(maps[v.TIME])
    before = round(time - float(frame[v.TIME]), 6)
    when = f"\nframe {before:.2f} s before" if before else ""
    head(ax, f"{time:.2f} s{when}")
    ax.set_ylabel(style.plain(_axis_name(frame, v.Y)), fontsize=SMALL, labelpad=1)


def _axis_name(data: xr.DataArray, dim: str) -> str:
    units = data[dim].attrs.get("units") if dim in data.coords else None
    return f"{dim} ({units or ('frame' if dim == v.LAG else 'pixel')})"


def _name(axes: NDArray[Any], panels: list[_Panel], array: xr.DataArray) -> None:
    for ax, panel in zip(axes[0, 1:], panels, strict=True):
        head(ax, panel.title)
    for ax in axes[1:-1:2, 1:].ravel():
        ax.set_xticklabels([])
    for ax in axes[:-2:2, 0]:
        ax.set_xticklabels([])
    axes[-2, 0].set_xlabel(style.plain(_axis_name(array, v.X)), fontsize=SMALL, labelpad=1)
    for ax in axes[-1, 1:]:
        ax.set_xlabel(style.plain(_axis_name(array, v.LAG)), fontsize=SMALL, labelpad=1)


def _caption(at: At, quantile: float, whose: str, *, colors: bool) -> str:
    looks = fields.signs_said(colors=colors)
    what = "sum over all lags" if at == "sum" else "at the lag of the frame"
    return (
        f"Map: {what}, {looks[0]} raises, {looks[1]} lowers the target, full color at the"
        f" {100 * quantile:g} % quantile of {whose}. Time course: sum over all pixels at each"
        " lag; the dotted line is at the lag of the frame, that with the most energy of the maps"
        " of this time together."
    )
