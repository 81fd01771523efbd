"""When cells are silent, and why: excitation and inhibition over time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.plotting import style, timeline
from neurocodec.plotting.responses import cell_types

CANCELLED: Final = "cancelled"
COLORS: Final = {"not driven": "#dfe4e9", "in between": "#f4e3c1", CANCELLED: "#a6dba0"}
"""By the cause of a silence."""
RED, BLUE = "#b2182b", "#2166ac"


def plot_silence(
    found: xr.Dataset, cells: list[str] | None = None, *, count: int = 3, note: str = ""
) -> Figure:
    """Draw excitation and inhibition of some cells over time, and why all cells are silent.

    Parameters
    ----------
    found
        `excitation`, `inhibition`, `target` (time, cell), `silent` (cause, time, cell),
        `silent_count` and `chance_silent_count` (cause, cell), as `RetinaAnalysis.tension` has
        them.
    cells
        Names; those whose excitation is cancelled most often where None.
    count
        How many where None.
    note
        Added to the titles.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UnknownNameError
        Where there is no such cell.

    Examples
    --------
    >>> rows = {n: (("time", "cell"), np.ones((4, 1))) for n in ("excitation", "inhibition")}
    >>> counts = {n: (("cause", "cell"), [[1.0], [0.0], [2.0]])
    ...           for n in ("silent_count", "chance_silent_count")}
    >>> silent = {"silent": (("cause", "time", "cell"), np.ones((3, 4, 1), bool))}
    >>> coords = {"cause": ["not driven", "in between", "cancelled"], "cell": ["a"],
    ...           "time": [0.0, 0.1, 0.2, 0.3]}
    >>> found = xr.Dataset({**rows, **counts, **silent, "target": rows["excitation"]}, coords)
    >>> figure = plot_silence(found)
    """
    names = [str(name) for name in found[v.CELL].values]
    chosen = _cancelled_most(found, names)[:count] if cells is None else cells
    places = [names.index(arguments.one_of("cell", cell, names)) for cell in chosen]
    below = 0.9 + 0.17 * len(names)
    figure = style.new_figure(1.7 * len(places) + below)
    grid = figure.add_gridspec(len(places) + 1, 1, height_ratios=[1.5] * len(places) + [below])
    for row, place in enumerate(places):
        ax = figure.add_subplot(grid[row])
        one, types = found.isel({v.CELL: place}), cell_types(found[v.EXCITATION])
        kind = "" if types is None else f", {types[place]}"
        _course(ax, one, f"{names[place]}{kind}{note}", first=not row)
        if row < len(places) - 1:
            ax.tick_params(labelbottom=False)
        else:
            ax.set_xlabel("time (s)")
    _counts(figure.add_subplot(grid[-1]), found, names)
    return figure


def _cancelled_most(found: xr.Dataset, names: list[str]) -> list[str]:
    """Names of the cells, that of each type whose excitation is cancelled most often first."""
    counts = np.asarray(found["silent_count"].sel({v.CAUSE: CANCELLED}))
    order = np.argsort(-counts, kind="stable").tolist()
    types = cell_types(found[v.EXCITATION])
    best: dict[str | int, int] = {}
    for i in order:
        best.setdefault(i if types is None else str(types[i]), i)
    first = [*best.values()]
    return [names[i] for i in [*first, *(i for i in order if i not in first)]]


def _course(ax: Axes, one: xr.Dataset, title: str, *, first: bool) -> None:
    """E+ and E- of one cell, what they leave, and why it is silent when it is."""
    times, (start, stop) = (
        timeline.times_of(one[v.EXCITATION]),
        timeline.time_range(one[v.EXCITATION]),
    )
    edges = np.r_[start, (times[1:] + times[:-1]) / 2, stop]
    for cause, color in COLORS.items():
        here = np.asarray(one["silent"].sel({v.CAUSE: cause})).astype(int)
        turns = np.diff(here, prepend=0, append=0)
        for a, b in zip(np.flatnonzero(turns > 0), np.flatnonzero(turns < 0), strict=True):
            ax.axvspan(edges[a], edges[b], color=color, lw=0, zorder=0)
    ax.plot(times, one[v.EXCITATION], color=RED, lw=1.2, label="excitation E+")
    ax.plot(times, one[v.INHIBITION], color=BLUE, lw=1.2, label="inhibition E-")
    ax.plot(times, one[v.TARGET], color=style.INK, lw=0.8, ls=":", label="sum f")
    ax.axhline(0, color=style.MUTED, lw=0.5)
    ax.set_xlim(start, stop)
    style.tidy(ax, title)
    if first:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "ncols": 3}
        ax.legend(frameon=False, fontsize=style.TEXT - 2, **place)


def _counts(ax: Axes, found: xr.Dataset, names: list[str]) -> None:
    """How often every cell is silent, by cause, and how often by chance."""
    rows, left = np.arange(len(names)), np.zeros(len(names))
    size = found.sizes[v.TIME]
    counts, chance = found["silent_count"], found["chance_silent_count"]
    for cause in reversed(COLORS):
        width = np.asarray(counts.sel({v.CAUSE: cause}), float) / size
        ax.barh(rows, width, left=left, color=COLORS[cause], height=0.8, label=style.plain(cause))
        left = left + width
    again = np.asarray(chance.sel({v.CAUSE: CANCELLED})) / size
    ax.plot(again, rows, "|", color=style.INK, ms=8, label="cancelled, inhibition shifted in time")
    ax.set_yticks(rows, style.plain_all(names))
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    style.tidy(ax, "why cells are silent", xlabel="share of the times")
    ax.legend(frameon=False, fontsize=style.TEXT - 2, loc="lower right", bbox_to_anchor=(1.0, 0.0))
