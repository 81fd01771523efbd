"""One look for all figures: colours, sizes, and the parts that every figure is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axes._base import _AxesBase
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.plotting.timeline import time_range

Canvas = Figure | SubFigure

INK: Final = "#22303c"
MUTED: Final = "#66727f"
RECORDED: Final = "#c3cad2"
TARGET: Final = "#6a3d9a"

CONTRIBUTIONS: Final = "RdBu_r"
MODES: Final = "Oranges"
CORRELATION: Final = "PuOr_r"
RATES: Final = "Greys"

CATEGORIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Colours that stay apart for colour-blind readers (Okabe and Ito); they repeat after seven."""

WIDTH: Final = 9.6
"""Of a figure, in inches."""
TEXT: Final = 9.5
"""Size of titles and labels in points; tick labels are one point smaller."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Make an empty figure that lays itself out.

    Parameters
    ----------
    height, width
        In inches.

    Examples
    --------
    >>> new_figure(2.0).get_size_inches().tolist()
    [9.6, 2.0]
    """
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def new_axes(ax: Axes | None, height: float, width: float = WIDTH) -> Axes:
    """Take the axes that came, or make a figure with one.

    Parameters
    ----------
    ax
        Axes to draw on, or None.
    height, width
        Of a new figure, in inches.

    Examples
    --------
    >>> new_axes(None, 2.0).figure.axes.__len__()
    1
    """
    return new_figure(height, width).add_subplot() if ax is None else ax


def tidy(ax: Axes, title: str = "", *, xlabel: str = "", ylabel: str = "") -> Axes:
    """Set title and labels, and take away what carries no data.

    Parameters
    ----------
    ax
        Axes.
    title
        Written above, at the left.
    xlabel, ylabel
        With units.

    Examples
    --------
    >>> tidy(new_axes(None, 2.0), "rates").get_title(loc="left")
    'rates'
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=TEXT - 1, color=MUTED, labelcolor=INK, length=3)
    if title:
        ax.set_title(title, loc="left", fontsize=TEXT, color=INK, fontweight="bold")
    for set_label, text in ((ax.set_xlabel, xlabel), (ax.set_ylabel, ylabel)):
        if text:
            set_label(text, fontsize=TEXT, color=INK)
    return ax


def heat_map(
    ax: Axes,
    data: xr.DataArray,
    *,
    cmap: str,
    limits: tuple[float, float],
) -> AxesImage:
    """Draw rows over time as an image whose horizontal extent is the time that it covers.

    Parameters
    ----------
    ax
        Axes.
    data
        (time, any other dim); the other dim runs from top to bottom.
    cmap
        Name of the colour map.
    limits
        Values of its two ends.

    Examples
    --------
    >>> data = xr.DataArray([[1.0], [2.0]], {"time": [0.0, 0.1]}, ("time", "cell"))
    >>> image = heat_map(new_axes(None, 2.0), data, cmap="Greys", limits=(0, 2))
    >>> [round(edge, 2) for edge in image.get_extent()]
    [-0.05, 0.15, 0.5, -0.5]
    """
    start, stop = time_range(data)
    image = ax.imshow(
        data.transpose(v.TIME, ...).values.T,
        extent=(start, stop, data.shape[1] - 0.5, -0.5),
        aspect="auto",
        cmap=cmap,
        norm=Normalize(*limits),
    )
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    return image


def color_scale(ax: Axes, image: AxesImage, label: str) -> Axes:
    """Draw a thin horizontal colour scale above the right corner of an image's axes.

    Parameters
    ----------
    ax
        Axes of the image.
    image
        What the scale is for.
    label
        Quantity and units.

    Examples
    --------
    >>> ax = new_axes(None, 2.0)
    >>> scale = color_scale(ax, ax.imshow([[0.0, 1.0]]), "rate (Hz)")
    >>> [text.get_text() for text in scale.texts]
    ['rate (Hz)  0', '1']
    """
    scale = ax.figure.add_axes((0.0, 0.0, 0.1, 0.1), label="color scale")
    scale.set_axes_locator(_above_right_corner(ax))
    ax.figure.colorbar(image, cax=scale, orientation="horizontal")
    scale.spines[:].set_visible(False)
    scale.set_xticks([])
    low, high = image.get_clim()
    texts = ((-0.04, f"{label}  {low:.3g}", "right"), (1.04, f"{high:.3g}", "left"))
    for x, text, side in texts:
        scale.text(
            x,
            0.4,
            text,
            transform=scale.transAxes,
            ha=side,
            va="center",
            fontsize=TEXT - 1.5,
            color=INK,
        )
    return scale


def _above_right_corner(ax: Axes) -> Callable[[_AxesBase, RendererBase], Bbox]:
    """Place of a colour scale, in inches, wherever the layout moves `ax`."""

    def place(_scale: _AxesBase, _renderer: RendererBase) -> Bbox:
        root = ax.get_figure(root=True)
        inch = 1.0 if root is None else root.dpi
        left, bottom = ax.bbox.x1 - 1.3 * inch, ax.bbox.y1 + 0.09 * inch
        box = Bbox.from_bounds(left, bottom, 0.9 * inch, 0.08 * inch)
        return box.transformed(ax.figure.transSubfigure.inverted())

    return place


def robust_limit(values: NDArray[Any], quantile: float = 0.995) -> float:
    """Size that all but the most extreme values stay within; never zero.

    Parameters
    ----------
    values
        Numbers of either sign.
    quantile
        Share of the values within the limit.

    Examples
    --------
    >>> robust_limit(np.r_[np.ones(999), -50.0])
    1.0
    """
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size or not sizes.max():
        return 1.0
    return float(np.quantile(sizes, quantile) or sizes.max())


def category_colors(names: Sequence[str]) -> dict[str, str]:
    """Colour of every different name; the same names have the same colours in all figures.

    Parameters
    ----------
    names
        Such as the cell type of every cell.

    Examples
    --------
    >>> category_colors(["ON", "OFF", "ON"])
    {'OFF': '#0072b2', 'ON': '#d55e00'}
    """
    return {n: CATEGORIES[i % len(CATEGORIES)] for i, n in enumerate(sorted(set(names)))}


def with_units(name: str, units: object) -> str:
    """Label of an axis.

    Parameters
    ----------
    name
        The quantity.
    units
        Left out where there are none.

    Examples
    --------
    >>> with_units("surprisal", "bit"), with_units("loading", "1")
    ('surprisal (bit)', 'loading')
    """
    return f"{name} ({units})" if units not in (None, "", v.DIMENSIONLESS) else name
