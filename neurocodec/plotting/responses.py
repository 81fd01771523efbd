"""Figures of firing rates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.plotting import style, timeline

MOST_NAMES = 24
"""Rows that are labelled one by one; of more, some are."""


def plot_responses(
    rates: xr.DataArray,
    recorded: xr.DataArray | None = None,
    *,
    cells: Iterable[str] | None = None,
    time: slice | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw the firing rates of all cells, sorted by type, and of some beside their recording.

    Parameters
    ----------
    rates
        The model's firing rates (time, cell), in Hz.
    recorded
        Recorded rates of the same cells at the same times.
    cells
        Names of the cells whose rates are drawn as lines; the liveliest of each type where None.
    time
        Range of times in seconds; everything where None.
    note
        Added to the title, such as "simulated".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        First the heat map, then one axes per cell, all on one time axis.

    Examples
    --------
    >>> times = np.arange(50) / 100
    >>> coords = {"time": times, "cell": ["a", "b"]}
    >>> rates = xr.DataArray(np.ones((50, 2)), coords, ("time", "cell"))
    >>> len(plot_responses(rates, cells=["a"]).axes)  # heat map, rate, colour scale
    3
    """
    rates = timeline.within(labels.require_dims(rates, (v.TIME, v.CELL), "firing rates"), time)
    rates = rates.isel({v.CELL: by_type(rates)})
    shown = lively_cells(rates) if cells is None else list(cells)
    rows = min(rates.sizes[v.CELL], MOST_NAMES)
    top = 0.16 * rows + 0.5
    figure = figure or style.new_figure(top + 0.85 * len(shown) + 0.5)
    grid = figure.add_gridspec(1 + len(shown), 1, height_ratios=[top, *[0.85] * len(shown)])
    first = figure.add_subplot(grid[0])
    draw_rates(first, rates, f"firing rates of the model's cells{note}")
    traces = [figure.add_subplot(grid[i + 1], sharex=first) for i in range(len(shown))]
    for ax, cell in zip(traces, shown, strict=True):
        draw_rate(ax, rates, cell, recorded)
        ax.tick_params(labelbottom=ax is traces[-1])
    first.tick_params(labelbottom=not traces)
    style.tidy((traces or [first])[-1], xlabel="time (s)")
    return figure


def draw_rates(ax: Axes, rates: xr.DataArray, title: str) -> None:
    """Draw rates (time, cell) as a heat map, with a strip for the types of the cells."""
    limit = style.robust_limit(rates.values)
    image = style.heat_map(ax, rates, cmap=style.RATES, limits=(0.0, limit))
    style.tidy(ax, title)
    style.color_scale(ax, image, "firing rate (Hz)")
    name_rows(ax, cell_names(rates))
    ax.tick_params(axis="y", labelsize=style.TEXT - 2)
    draw_types(ax, rates)


def draw_types(ax: Axes, data: xr.DataArray) -> None:
    """Draw a strip at the right of an image: the type of the cell in each row, where known."""
    types = cell_types(data)
    if types is None:
        return
    colors = style.category_colors(types.tolist())
    strip = ax.inset_axes((1.005, 0.0, 0.012, 1.0))
    strip.imshow(
        [[to_rgb(colors[name])] for name in types],
        extent=(0.0, 1.0, len(types) - 0.5, -0.5),
        aspect="auto",
    )
    strip.axis("off")
    edges = np.flatnonzero(types[1:] != types[:-1]) + 1
    for run in np.split(np.arange(len(types)), edges):
        name = types[run[0]]
        strip.text(
            1.6,
            run.mean(),
            style.plain(name),
            color=colors[name],
            fontsize=style.TEXT - 1,
            va="center",
        )


def cell_types(data: xr.DataArray) -> NDArray[np.str_] | None:
    """Type of every cell, where they are known: the coordinate `cell_type`."""
    return data["cell_type"].values.astype(str) if "cell_type" in data.coords else None


def draw_rate(
    ax: Axes, rates: xr.DataArray, cell: str, recorded: xr.DataArray | None = None, note: str = ""
) -> None:
    """Draw the rate (Hz) of one cell as a line, its recording as an area behind it."""
    names = cell_names(rates)
    one = rates.isel({v.CELL: names.index(one_of("cell", cell, names))})
    start, stop = timeline.time_range(one)
    types = cell_types(one)
    kind = "" if types is None else f", {types.item()}"
    lowest, highest = min(0.0, float(one.min())), float(one.max())
    if recorded is not None:
        truth = timeline.within(recorded.sel({v.CELL: cell}), slice(start, stop))
        about = str(recorded.attrs.get("comment", "recorded"))
        highest = float(np.nanmax([highest, *truth.values]))
        ax.fill_between(
            timeline.times_of(truth),
            truth.values,
            color=style.RECORDED,
            linewidth=0,
            label=style.plain(about),
        )
    ax.plot(timeline.times_of(one), one.values, color=style.INK, linewidth=1.0, label="model")
    # a rate that hardly changes is not to lie on an edge, nor one below 0 outside
    ax.set(xlim=(start, stop), ylim=(1.05 * lowest, 1.05 * highest if highest > 0 else None))
    style.tidy(ax, f"{cell}{kind}{note}", ylabel="rate (Hz)")
    if recorded is not None:
        ax.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.95),
            ncols=2,
            frameon=False,
            fontsize=style.TEXT - 2,
        )


def by_type(data: xr.DataArray) -> NDArray[np.intp]:
    """Order of the cells in which those of a type (`cell_type`) are next to one another."""
    types = cell_types(data)
    if types is None:
        return np.arange(data.sizes[v.CELL])
    order = list(dict.fromkeys(types.tolist()))
    return np.argsort([order.index(t) for t in types], kind="stable")


def lively_cells(rates: xr.DataArray, count: int = 4) -> list[str]:
    """Name the cell of each type whose rate varies most, or the liveliest cells of all."""
    names = np.array(cell_names(rates))
    spread = rates.std(v.TIME).values
    types = cell_types(rates)
    if types is None:
        return [str(n) for n in names[np.argsort(-spread)[:count]]]
    kinds = dict.fromkeys(types.tolist())
    return [str(names[types == k][spread[types == k].argmax()]) for k in kinds][:count]


def name_rows(ax: Axes, names: list[str]) -> None:
    """Write the cells' own names at the rows of an image, of many every so many-th."""
    shown = range(0, len(names), -(-len(names) // MOST_NAMES) or 1)
    ax.set_yticks(shown, style.plain_all([names[i] for i in shown]))


def cell_names(data: xr.DataArray) -> list[str]:
    """Names of the cells; numbers where they have none."""
    return [str(n) for n in data[v.CELL].values]
