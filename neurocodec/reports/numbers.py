"""The numbers that a figure shows, read back from what was drawn, as a table in text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import (
    Collection,
    LineCollection,
    PathCollection,
    PolyCollection,
)
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import AxLine, Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from neurocodec.plotting import style

COLUMNS: Final = "panel,series,x,y,value"
SCALES: Final = (style.SCALE, "<colorbar>")
"""Labels of axes that hold a colour scale."""

Series = tuple[str, NDArray[Any], NDArray[Any] | None]
"""What it is called, its points (point, x and y), and their values."""


def numbers(figure: Figure) -> str:
    """CSV of panel, series, x, y, value; lines that begin with # say what panels and axes are."""
    heads, lines = list[str](), [COLUMNS]
    for number, ax in enumerate((a for a in figure.axes if a.get_label() not in SCALES), 1):
        found = [*_lines(ax), *_bars(ax), *_collections(ax), *_images(ax)]
        if found:
            heads += _heads(number, ax)
        for place, (name, points, values) in enumerate(found, 1):
            lines += _rows(f"{number},{_quoted(name or f'series {place}')}", points, values)
    return "\n".join([*heads, *lines, ""])


def _heads(number: int, ax: Axes) -> Iterator[str]:
    """What a panel is, and the names at its axes."""
    title = " ".join(filter(None, (ax.get_title(loc=side) for side in ("left", "center", "right"))))
    yield f"# panel {number}: {_read(title)}; x: {_axis_name(ax, 'x')}; y: {_axis_name(ax, 'y')}"
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        if names := _names(axis):
            yield f"# panel {number}, names at {name}: {names}"


def _axis_name(ax: Axes, which: str) -> str:
    """Label of an axis, or that of the axes it is shared with."""
    shared = ax.get_shared_x_axes() if which == "x" else ax.get_shared_y_axes()
    found = [a.get_xlabel() if which == "x" else a.get_ylabel() for a in (ax, *_others(shared, ax))]
    return _read(next(filter(None, found), "not labelled"))


def _others(shared: Any, ax: Axes) -> list[Axes]:
    return [a for a in shared.get_siblings(ax) if a is not ax]


def _names(axis: Axis) -> str:
    """Names that stand in place of numbers."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    if not isinstance(locator, FixedLocator) or not isinstance(formatter, FuncFormatter):
        return ""
    names = ((at, _read(formatter(at))) for at in np.asarray(locator()).tolist())
    return ", ".join(f"{at:g} {name}" for at, name in names if name)


def _lines(ax: Axes) -> Iterator[Series]:
    """Lines and marks at numbers of both axes; not those that cross all of a panel."""
    for line in ax.lines:
        if not isinstance(line, AxLine) and line.get_transform() is ax.transData:
            yield _label(line), np.asarray(line.get_xydata(), dtype=float), None


def _bars(ax: Axes) -> Iterator[Series]:
    """Middle and end of every bar."""
    for bars in ax.containers:
        if isinstance(bars, BarContainer):
            boxes = np.array([b.get_bbox().get_points().ravel() for b in bars.patches])
            x0, y0, x1, y1 = boxes.reshape(-1, 4).T
            flat = bars.orientation == "horizontal"
            ends = (x1, (y0 + y1) / 2) if flat else ((x0 + x1) / 2, y1)
            yield _label(bars), np.stack(ends, axis=1), None


def _collections(ax: Axes) -> Iterator[Series]:
    """Points, ends of straight lines, and upper and lower edges of areas."""
    for part in ax.collections:
        if isinstance(part, PathCollection):
            points, values = np.ma.filled(part.get_offsets(), np.nan), part.get_array()
            told = None if values is None or len(values) != len(points) else values
            yield _label(part), points, None if told is None else np.ma.filled(told, np.nan)
        elif isinstance(part, LineCollection):
            ends = [np.reshape(s, (-1, 2)) for s in part.get_segments()]  # one at NaN has none
            yield _label(part), np.concatenate([np.empty((0, 2)), *ends]), None
        elif isinstance(part, PolyCollection):
            for path in part.get_paths():
                yield _label(part), _edges(np.asarray(path.vertices)), None


def _edges(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edge of an area that was filled down to 0, or else its whole outline."""
    count = (len(outline) - 3) // 2
    back = outline[count + 2 : -1]
    return outline[1 : count + 1] if count > 0 and not back[:, 1].any() else outline


def _images(ax: Axes) -> Iterator[Series]:
    """Pixels at their middles; pictures in colour are no numbers."""
    for image in ax.images:
        data = image.get_array()
        if data is not None and data.ndim == 2:
            x, y = _middles(image, *data.shape)
            points = np.stack([g.ravel() for g in np.meshgrid(x, y)], axis=1)
            yield _label(image), points, np.ma.filled(data, np.nan).ravel()


def _middles(image: AxesImage, rows: int, columns: int) -> tuple[NDArray[Any], NDArray[Any]]:
    left, right, bottom, top = image.get_extent()
    first, last = (bottom, top) if image.origin == "lower" else (top, bottom)
    return (
        left + (right - left) * (np.arange(columns) + 0.5) / columns,
        first + (last - first) * (np.arange(rows) + 0.5) / rows,
    )


def _label(artist: Line2D | Collection | AxesImage | BarContainer) -> str:
    """Name that someone gave; matplotlib's own begin with an underscore."""
    name = str(artist.get_label() or "")
    return "" if name.startswith("_") else _read(name)


def _rows(start: str, points: NDArray[Any], values: NDArray[Any] | None) -> Iterator[str]:
    """Lines of the table, to seven digits."""
    if values is None:
        return (f"{start},{x:.7g},{y:.7g}," for x, y in points.tolist())
    pairs = zip(points.tolist(), values.astype(float).tolist(), strict=True)
    return (f"{start},{x:.7g},{y:.7g},{z:.7g}" for (x, y), z in pairs)


def _quoted(text: str) -> str:
    """One field of a row."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([text])
    return out.getvalue()


def _read(text: str) -> str:
    """Text on one line, without what `style.plain` put in for matplotlib."""
    return " ".join(str(text).replace(r"\$", "$").replace(style.ZERO_WIDTH, "").split())
