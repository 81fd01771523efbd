"""One look for all figures: colours, sizes, and the parts that every figure is made of."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axes._base import _AxesBase
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
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

HUES: Final = {
    "uv": "#7b3fa0",
    "violet": "#7b3fa0",
    "blue": "#2166ac",
    "green": "#1b7837",
    "yellow": "#a6850c",
    "red": "#b2182b",
}
"""Part of the name of a stimulus' colour -> how it is drawn."""
WORDS: Final = {
    **HUES,
    "s": HUES["blue"],
    "m": HUES["green"],
    "l": HUES["red"],  # cones of primates
    "cyan": "#007f8c",
    "orange": "#c65102",
    "magenta": "#b0288b",
    **dict.fromkeys(("white", "grey", "gray", "luminance"), "#5c6670"),
}
"""Word of such a name -> how it is drawn."""
BANDS: Final = {420: "uv", 490: "blue", 560: "green", 590: "yellow", 780: "red"}
"""Wavelength in nm up to which light is called so."""
LONG_NAME: Final = 6
"""Letters of a colour's name up to which it stands upright beside a strip."""
CONTRIBUTIONS: Final = "RdBu_r"
MODES: Final = "Oranges"
CORRELATION: Final = "PuOr_r"
RATES: Final = "Greys"

CATEGORIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Colours that stay apart for colour-blind readers (Okabe and Ito); they repeat after seven."""

ZERO_WIDTH: Final = "\u200b"
"""A space that is not seen."""

WIDTH: Final = 9.6
"""Of a figure, in inches."""
SCALE: Final = "color scale"
"""Label of axes that hold one."""
TEXT: Final = 9.5
"""Size of titles and labels in points; tick labels are one point smaller."""


def plain(text: object) -> str:
    """Text for matplotlib that it draws as it is: no mathematics between two dollars."""
    shown = str(text).replace("$", r"\$")
    # a label that begins with an underscore would be left out of a legend
    return f"{ZERO_WIDTH}{shown}" if shown.startswith("_") else shown


def plain_all(texts: Iterable[object]) -> list[str]:
    """Several texts, each as `plain` makes it."""
    return [plain(text) for text in texts]


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Make an empty figure of a size in inches that lays itself out."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def new_axes(ax: Axes | None, height: float, width: float = WIDTH) -> Axes:
    """Take the axes that came, or make a figure of a size in inches with one."""
    return new_figure(height, width).add_subplot() if ax is None else ax


def tidy(ax: Axes, title: str = "", *, xlabel: str = "", ylabel: str = "") -> Axes:
    """Set title (at the left) and labels, and take away what carries no data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=TEXT - 1, color=MUTED, labelcolor=INK, length=3)
    if title:
        ax.set_title(plain(title), loc="left", fontsize=TEXT, color=INK, fontweight="bold")
    for set_label, text in ((ax.set_xlabel, xlabel), (ax.set_ylabel, ylabel)):
        if text:
            set_label(plain(text), fontsize=TEXT, color=INK)
    return ax


def heat_map(
    ax: Axes,
    data: xr.DataArray,
    *,
    cmap: str,
    limits: tuple[float, float],
) -> AxesImage:
    """Draw (time, other) as an image: time across, as far as samples cover it, the rest down."""
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


def legend_outside(figure: Figure, ax: Axes, smaller: float = 1.5) -> None:
    """Draw the legend of one axes at the right of its figure, its letters smaller by so much."""
    figure.legend(
        *ax.get_legend_handles_labels(),
        frameon=False,
        fontsize=TEXT - smaller,
        loc="outside right upper",
    )


def whole_figure(ax: Axes) -> Figure:
    """Figure that axes stand in, also where they are in a part of it."""
    return cast("Figure", ax.get_figure(root=True))


def color_scale(ax: Axes, image: AxesImage, label: str) -> Axes:
    """Draw a thin horizontal colour scale above the right corner of an image's axes."""
    scale = ax.figure.add_axes((0.0, 0.0, 0.1, 0.1), label=SCALE)
    image.set_label(label)  # what its numbers are
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
            plain(text),
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
    """Size that this share of all finite values stay within; never zero."""
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size or not sizes.max():
        return 1.0
    return float(np.quantile(sizes, quantile) or sizes.max())


def hue(color: str) -> str:
    """How a stimulus' colour is drawn, by its name; one that is unknown has one of the hues too."""
    name = color.lower()
    words = (WORDS[word] for word in re.findall(r"[a-z]+", name) if word in WORDS)
    waves = map(int, re.findall(r"(?<!\d)([3-7]\d\d) ?nm", name))
    bands = (HUES[band] for wave in waves for end, band in BANDS.items() if wave <= end)
    parts = (h for part, h in HUES.items() if part in name)
    every = list(dict.fromkeys(HUES.values()))
    return next(chain(words, bands, parts), every[sum(map(ord, name)) % len(every)])


def hues(color: str) -> Colormap:
    """Grey where numbers are below 0, white at 0, the hue of a stimulus' colour above."""
    return LinearSegmentedColormap.from_list(f"hue {color}", ["#3a3a3a", "#ffffff", hue(color)])


def lights(color: str) -> Colormap:
    """Brightness of a stimulus' colour: black, its hue, white."""
    return LinearSegmentedColormap.from_list(f"light {color}", ["#000000", hue(color), "#ffffff"])


def hue_ticks(ax: Axes, places: Sequence[float], colors: Sequence[str]) -> None:
    """Name a stimulus' colours along y, each in its hue."""
    upright = max(map(len, colors)) <= LONG_NAME
    shown = [plain(name if upright else textwrap.fill(name, 2 * LONG_NAME)) for name in colors]
    ax.set_yticks(places, shown, rotation=90 if upright else 0, va="center")
    ax.tick_params(axis="y", length=0, pad=1, labelsize=TEXT - 2.5)
    for text, name in zip(ax.get_yticklabels(), colors, strict=True):
        text.set_color(hue(name))


def category_colors(names: Sequence[str]) -> dict[str, str]:
    """Colour of every different name; the same names have the same colours in all figures."""
    return {n: CATEGORIES[i % len(CATEGORIES)] for i, n in enumerate(sorted(set(names)))}


def with_units(name: str, units: object) -> str:
    """Label of an axis: the quantity, and its units where it has any."""
    return f"{name} ({units})" if units not in (None, "", v.DIMENSIONLESS) else name
