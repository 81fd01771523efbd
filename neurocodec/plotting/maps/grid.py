"""Grids of panels of one shape, and the words around them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.maps.captions import LINE, SMALL

MOST_PANELS: Final = 200
"""In one figure; more are too small to be seen."""
PANEL: Final = 1.45
"""Width of a panel in a figure that is not too wide, in inches."""
NARROWEST, WIDEST = 6.4, 14.0
"""Of a figure, in inches."""
GAP: Final = 0.15
"""Between groups of panels, in inches."""
SIDE: Final = 1.1
"""Width of the labels at the left, in inches."""


def panel_grid(
    rows: int,
    columns: int,
    aspect: float,
    *,
    lines: float = 0,  # of text between, above and below the panels, all rows together
    groups: int = 1,  # of columns, with a gap between them
) -> tuple[Figure, NDArray[Any]]:
    """Make a figure with a grid of panels of one shape (`aspect`: height over width)."""
    if rows * columns > MOST_PANELS:
        raise InputError(
            came=f"{rows} by {columns} panels",
            expected=f"at most {MOST_PANELS} in a figure",
            hint="maps.isel(stimulus=slice(0, 8)), or kind='masked'",
        )
    wanted = PANEL * columns + GAP * (groups - 1) + SIDE
    width = min(max(NARROWEST, wanted), WIDEST)
    panel = min((width - SIDE - GAP * (groups - 1)) / columns, 1.6 * PANEL)
    height = (panel * aspect + 0.06) * rows + LINE * lines
    figure = style.new_figure(height, min(width, panel * columns + GAP * (groups - 1) + SIDE))
    figure.set_layout_engine("compressed", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    ratios = [*([panel] * (columns // groups) + [GAP]) * groups][:-1]
    axes: NDArray[Any] = figure.subplots(rows, len(ratios), squeeze=False, width_ratios=ratios)
    gaps = [n for n, ratio in enumerate(ratios) if ratio != panel]
    for ax in axes[:, gaps].ravel():
        ax.remove()
    return figure, np.delete(axes, gaps, axis=1)


def head(ax: Axes, text: str) -> None:
    """Write what a column is above its uppermost panel."""
    ax.set_title(style.plain(text), fontsize=_size(ax), color=style.INK, pad=3)


def side(ax: Axes, text: str) -> None:
    """Write what a row is at the left of its leftmost panel."""
    ax.set_ylabel(
        style.plain(text), fontsize=SMALL, color=style.INK, rotation=0, ha="right", va="center"
    )


def below(ax: Axes, text: str) -> None:
    """Write a number under a panel."""
    ax.set_xlabel(style.plain(text), fontsize=_size(ax), color=style.MUTED, labelpad=2)


def _size(ax: Axes) -> float:
    """Of letters that fit above and below a panel, in points."""
    figure = ax.get_figure(root=True)
    grid = ax.get_gridspec()
    ratios = np.asarray([1.0] if grid is None else grid.get_width_ratios(), dtype=float)
    share = float(ratios.max() / ratios.sum())  # gaps between groups are columns, too
    width = PANEL if figure is None else (figure.get_figwidth() - SIDE) * share
    return SMALL * min(1.0, max(0.65, width / (0.85 * PANEL)))
