"""Figures of receptive fields: a map in space and a time course, one field or a grid of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy import ndimage

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.fields.describe import first_components
from neurocodec.plotting import style

MAP = (v.Y, v.X)
HALF = 0.5
"""Of the peak, from which on a pixel belongs to the centre that is outlined."""
GAP = 0.08
"""Between maps of two colours, as part of their height."""
MOST_FIELDS = 100
"""In one figure; more are too small to be seen."""


def plot_field(
    field: xr.Dataset | xr.DataArray, *, title: str = "", figure: style.Canvas | None = None
) -> style.Canvas:
    """Draw one receptive field: its first space-time component as a map and a time course.

    Parameters
    ----------
    field
        One field of `nc.receptive_fields` or `nc.spike_triggered_average`: all dims selected but
        lag, y and x (and component, of which the first is drawn).
    title
        Written above; cell and time where empty.
    figure
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.figure.Figure or matplotlib.figure.SubFigure
        Red: light excites in the recent past (ON); blue: darkness does (OFF). The part of the
        field's energy that the component has is written at the time course, where it is known. Of
        full-field light, a movie of one pixel, the time course alone. Where y and x are in units,
        such as um, the part around the peak that reaches half of it is outlined, and the diameter
        of a circle of its area is said. Of a movie in colours, a map
        and a time course of each, in its own hue where light excites, grey where darkness does.

    Examples
    --------
    >>> field = xr.DataArray(np.ones((3, 4, 4)), dims=("lag", "y", "x"))
    >>> len(plot_field(field).axes)
    3
    """
    course, image, share = _parts(field)
    if image.ndim == 3 and image.dims[0] == v.COLOR:
        return _in_colors(course, image, share, title, figure)
    if image.ndim != 2:
        raise InputError(
            came=f"fields over {list(map(str, image.dims[:-2]))}",
            expected="one field",
            hint="fields.sel(cell=..., time=...), or plot_fields(fields)",
        )
    figure = style.new_figure(2.6, 6.4) if figure is None else figure
    explained = "" if share is None else f", {100 * float(share):.0f} % of the energy"
    if is_light(image):
        ax = figure.subplots()
        draw_course(ax, course)
        named = f"{title or _name(image)}{explained}"
        style.tidy(ax, named, xlabel=_axis_name(course, v.LAG))
        return figure
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    limit = _limit(image)
    mesh = draw_map(left, image, limit)
    across = draw_contour(left, image)
    style.tidy(left, title or _name(image), xlabel=f"{_axis_name(image, v.X)}{across}")
    left.set_ylabel(style.plain(_axis_name(image, v.Y)), fontsize=style.TEXT, color=style.INK)
    figure.colorbar(mesh, ax=left, shrink=0.8, label=style.plain(str(image.attrs.get("units", ""))))
    draw_course(right, course)
    style.tidy(right, f"time course{explained}", xlabel=_axis_name(course, v.LAG))
    return figure


def _in_colors(
    courses: xr.DataArray,
    images: xr.DataArray,
    share: xr.DataArray | None,
    title: str,
    figure: style.Canvas | None,
) -> style.Canvas:
    """Maps of each colour side by side, on one scale, and their time courses."""
    count = images.sizes[v.COLOR]
    figure = style.new_figure(2.6, 3.0 + 2.2 * count) if figure is None else figure
    axes = figure.subplots(1, count + 1, width_ratios=(*[1] * count, 1.4))
    limit = _limit(images)
    for place, ax in enumerate(axes[:-1]):
        draw_map(ax, images[place], limit)
        across = draw_contour(ax, images[place])
        named = f"{_axis_name(images, v.X)}{across}"
        style.tidy(ax, _color_of(images[place], place), xlabel=named)
    draw_courses(axes[-1], courses.assign_coords(images[v.COLOR].coords))
    explained = "" if share is None else f", {100 * float(share):.0f} % of the energy"
    heading = title or _name(images)
    look = {"fontsize": style.TEXT, "fontweight": "bold", "x": 0.01, "ha": "left"}
    figure.suptitle(style.plain(heading), **look)
    style.tidy(axes[-1], f"time course{explained}", xlabel=_axis_name(courses, v.LAG))
    return figure


def _color_of(image: xr.DataArray, place: int = 0) -> str:
    return str(image[v.COLOR].item()) if v.COLOR in image.coords else str(place)


def plot_fields(
    fields: xr.Dataset | xr.DataArray,
    *,
    rows: str | None = None,
    columns: str | None = None,
    title: str = "",
    shared: bool = False,
    crop: bool = True,
) -> Figure:
    """Draw a grid of receptive fields, such as cells by times (CODEC fig. 8D).

    Parameters
    ----------
    fields
        Fields over at most two dims beside lag, y, x and component; the first component is drawn.
    rows, columns
        Dims along the rows and columns; taken from the fields where None, cells along the rows.
    title
        Written above.
    shared
        Whether all maps have one colour scale, in place of one each.
    crop
        Whether the part of the frame in which all maps are near zero is left out.

    Returns
    -------
    matplotlib.figure.Figure
        A map each, with the time course under it, labelled by row and column.

    Examples
    --------
    >>> fields = xr.DataArray(np.ones((2, 3, 3, 4, 4)), dims=("cell", "time", "lag", "y", "x"))
    >>> len(plot_fields(fields).axes)
    12
    """
    courses, images, _ = _parts(fields)
    images, down, across = _gridded(cropped(images) if crop else images, rows, columns)
    courses = courses.transpose(*(d for d in (down, across) if d in courses.dims), v.LAG)
    height, width = (images.sizes[d] if d in images.dims else 1 for d in (down, across))
    if height * width > MOST_FIELDS:
        raise InputError(
            came=f"{height} by {width} fields",
            expected=f"at most {MOST_FIELDS} in a figure",
            hint="fields.isel(time=slice(0, 8))",
        )
    figure = style.new_figure(1.45 * height + 0.5, min(1.25 * width + 0.9, 16.0))
    ratios = (0.01, 1) if is_light(images) else (3, 1)
    axes = figure.subplots(2 * height, width, squeeze=False, height_ratios=ratios * height)
    everywhere = _limit(images) if shared else None
    for i in range(height):
        for j in range(width):
            place = {d: n for d, n in ((down, i), (across, j)) if d in images.dims}
            image = images.isel(place)
            if not is_light(image):
                draw_map(axes[2 * i, j], image, everywhere or _limit(image))
            draw_course(axes[2 * i + 1, j], courses.isel(place))
            _strip(axes[2 * i : 2 * i + 2, j])
            if i == 0:
                axes[0, j].set_title(style.plain(_label(image, across)), fontsize=style.TEXT - 1.5)
        axes[2 * i, 0].set_ylabel(
            style.plain(_label(images.isel({down: i}) if down in images.dims else images, down)),
            fontsize=style.TEXT - 1.5,
            rotation=0,
            ha="right",
            va="center",
        )
    if title:
        figure.suptitle(
            style.plain(title), fontsize=style.TEXT, fontweight="bold", x=0.01, ha="left"
        )
    return figure


def is_light(image: xr.DataArray) -> bool:
    """Whether maps are of one pixel, full-field light, which there is nothing to see in."""
    return image.sizes[v.Y] * image.sizes[v.X] == 1


def signs_said(*, colors: bool) -> tuple[str, str]:
    """How a map looks where it is above and below 0."""
    return ("the hue of its colour", "grey") if colors else ("red", "blue")


def draw_map(ax: Axes, image: xr.DataArray, limit: float) -> AxesImage:
    """Draw a map (y, x), red where it is positive, or in its colour's hue, full at `limit`.

    Maps (color, y, x) stand one below the other, each in its own hue.
    """
    if v.COLOR in image.dims:
        return _draw_stack(ax, image, limit)
    (top, bottom), (left, right) = (_edges(image, d) for d in (v.Y, v.X))
    return ax.imshow(
        image.values,
        cmap=style.hues(_color_of(image)) if v.COLOR in image.coords else style.CONTRIBUTIONS,
        vmin=-limit,
        vmax=limit,
        extent=(left, right, bottom, top),
        interpolation="nearest",
    )


def _draw_stack(ax: Axes, image: xr.DataArray, limit: float) -> AxesImage:
    """Maps of each colour, one below the other."""
    image = image.transpose(v.COLOR, v.Y, v.X)
    (top, bottom), (left, right) = (_edges(image, d) for d in (v.Y, v.X))
    shift = (bottom - top) * (1 + GAP)
    for place, one in enumerate(image):
        drawn = draw_map(
            ax, one if v.COLOR in one.coords else one.assign_coords(color=place), limit
        )
        drawn.set_extent((left, right, bottom + place * shift, top + place * shift))
    ax.set_xlim(left, right)
    ax.set_ylim(bottom + (len(image) - 1) * shift, top)
    return drawn


def draw_contour(ax: Axes, image: xr.DataArray) -> str:
    """Outline the centre of a map (y, x) of which units are known, and say how wide it is."""
    units = {str(image[d].attrs.get("units", "")) if d in image.coords else "" for d in MAP}
    pixel = [abs(np.subtract(*_edges(image, d))) / image.sizes[d] for d in MAP]
    if len(units) > 1 or units <= {"", v.DIMENSIONLESS, v.PIXEL} or min(image.shape) < 2:
        return ""
    size = np.abs(image.values)
    peak = np.unravel_index(int(size.argmax()), image.shape)
    high = image.values * np.sign(image.values[peak]) >= HALF * size[peak]
    if not size[peak] > 0:
        return ""
    regions, _ = ndimage.label(high)
    centre = regions == regions[peak]
    across = 2 * np.sqrt(int(centre.sum()) * pixel[0] * pixel[1] / np.pi)
    lines = (image[d].values.astype(float) for d in (v.X, v.Y))
    ax.contour(*lines, centre.astype(float), levels=[0.5], colors=style.INK, linewidths=0.8)
    return f"\noutlined: half of the peak, {across:.3g} {units.pop()} across"


def name_colors(ax: Axes, image: xr.DataArray) -> None:
    """Name the colours of a map that `draw_map` drew, each beside its own; nothing where none."""
    if v.COLOR not in image.dims:
        return
    top, bottom = _edges(image, v.Y)
    shift = (bottom - top) * (1 + GAP)
    named = [_color_of(image.isel({v.COLOR: i}), i) for i in range(image.sizes[v.COLOR])]
    style.hue_ticks(ax, [(top + bottom) / 2 + i * shift for i in range(len(named))], named)


def draw_course(ax: Axes, course: xr.DataArray, color: str = style.INK) -> None:
    """Draw a time course (lag) over its lags; a dot where there is one lag."""
    lags = course[v.LAG].values
    ax.axhline(0, color=style.RECORDED, linewidth=0.7)
    marker = "" if lags.size > 1 else "o"
    ax.plot(lags, course.values, color=color, linewidth=1.1, marker=marker)
    if lags.size > 1:
        ax.set_xlim(lags[0], lags[-1])


def draw_courses(ax: Axes, courses: xr.DataArray) -> None:
    """Draw a time course (lag), or those of colours (color, lag): one, where all are the same."""
    if v.COLOR not in courses.dims:
        draw_course(ax, courses)
        return
    courses = courses.transpose(v.COLOR, v.LAG)
    one = bool((courses == courses[0]).all())
    for place, course in enumerate(courses[:1] if one else courses):
        draw_course(ax, course, style.INK if one else style.hue(_color_of(course, place)))


def _parts(
    fields: xr.Dataset | xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray | None]:
    if isinstance(fields, xr.Dataset) and v.COMPONENT in fields.dims:
        fields = fields.isel({v.COMPONENT: 0})
    course, image = first_components(fields)
    known = isinstance(fields, xr.Dataset) and v.ENERGY_SHARE in fields
    return course, image, fields[v.ENERGY_SHARE] if known else None


def _gridded(
    images: xr.DataArray, rows: str | None, columns: str | None
) -> tuple[xr.DataArray, str, str]:
    dims = [str(d) for d in images.dims[:-2]]
    if len(dims) > 2 or not {d for d in (rows, columns) if d} <= set(dims):
        raise InputError(
            came=f"fields over {dims}",
            expected="at most two dims beside lag, y and x, and rows= and columns= among them",
            hint="fields.isel(channel=0)",
        )
    free = sorted((d for d in dims if d not in (rows, columns)), key=lambda d: d != v.CELL)
    down = rows or (free.pop(0) if free and (len(dims) == 2 or free[0] == v.CELL) else "")
    across = columns or (free.pop(0) if free else "")
    return images.transpose(*(d for d in (down, across) if d), v.Y, v.X), down, across


def cropped(images: xr.DataArray) -> xr.DataArray:
    """Cut off the borders in which every map is below a tenth of its peak, but for two pixels."""
    images = images.transpose(..., v.Y, v.X)
    sizes = np.abs(images.values).reshape(-1, *images.shape[-2:])
    large = (sizes > 0.1 * sizes.max((1, 2), keepdims=True)).any(0)
    if not large.any():
        return images
    ranges = {}
    for dim, axis in ((v.Y, 1), (v.X, 0)):
        there = np.flatnonzero(large.any(axis))
        ranges[dim] = slice(max(0, int(there[0]) - 2), int(there[-1]) + 3)
    # pixels keep their numbers where they have no other labels
    return images.assign_coords({d: images[d] for d in ranges}).isel(ranges)


def _strip(axes: Iterable[Axes]) -> None:
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)


def _limit(image: xr.DataArray) -> float:
    largest = float(np.abs(image.values).max())
    return largest if largest > 0 and np.isfinite(largest) else 1.0


def _edges(image: xr.DataArray, dim: str) -> tuple[float, float]:
    values = np.asarray(image[dim].values, float)
    half = (values[-1] - values[0]) / max(1, values.size - 1) / 2 or 0.5
    return values[0] - half, values[-1] + half


def _axis_name(data: xr.DataArray, dim: str) -> str:
    fallback = "frame" if dim == v.LAG else "pixel"
    return f"{dim} ({data[dim].attrs.get('units', fallback)})"


def _label(data: xr.DataArray, dim: str) -> str:
    if dim not in data.coords:
        return ""
    value = data[dim].item()
    if dim == v.TIME:
        return f"{value:.2f} s"
    return str(value) if dim in (v.CELL, v.COLOR) else f"{dim} {value}"


def _name(image: xr.DataArray) -> str:
    found = (_label(image, d) for d in (v.CELL, v.MODE, v.CHANNEL, v.TIME))
    return ", ".join(text for text in found if text)
