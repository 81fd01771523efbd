"""Figures of contributions and of how completely they explain their target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.attribution.completeness import relative_error, target_change
from neurocodec.plotting import style, timeline
from neurocodec.plotting.responses import draw_rate, lively_cells

SMALLEST_ERROR = 1e-8
"""Relative errors below this are drawn as this; float32 is no better."""


def plot_contributions(
    contribution: xr.DataArray,
    target: xr.DataArray,
    rates: xr.DataArray,
    *,
    cell: str | None = None,
    time: slice | None = None,
    target_name: str = "target",
    title: str = "contributions",
    figure: Figure | None = None,
) -> Figure:
    """Draw signed contributions over time below the target and the firing rate of a cell.

    Parameters
    ----------
    contribution
        Contributions of one layer (time, sign, channel).
    target
        What they explain (time).
    rates
        Firing rates (time, cell), in Hz.
    cell
        Name of the cell; the liveliest where None.
    time
        Range of times in seconds; everything where None.
    target_name
        What the target is.
    title
        Written above the heat map.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Target, firing rate and heat map on one time axis.

    Examples
    --------
    >>> times = {"time": np.arange(50) / 100}
    >>> parts = xr.DataArray(
    ...     np.ones((50, 2, 3)), {**times, "sign": list(v.SIGNS)}, ("time", "sign", "channel")
    ... )
    >>> target = xr.DataArray(np.ones(50), times, "time")
    >>> rates = xr.DataArray(np.ones((50, 2)), {**times, "cell": ["a", "b"]}, ("time", "cell"))
    >>> len(plot_contributions(parts, target, rates, cell="b").axes)
    4
    """
    rates = timeline.within(rates, time)
    height = 0.11 * 2 * contribution.sizes[v.CHANNEL]
    heights = [0.9, 0.9, min(max(height, 1.8), 5.0)]
    figure = figure or style.new_figure(sum(heights) + 1.2)
    grid = figure.add_gridspec(3, 1, height_ratios=heights)
    bottom = figure.add_subplot(grid[2])
    above = [figure.add_subplot(grid[i], sharex=bottom) for i in (0, 1)]
    draw_target(above[0], timeline.within(target, time), target_name)
    draw_rate(above[1], rates, cell or lively_cells(rates, 1)[0])
    for ax in above:
        ax.tick_params(labelbottom=False)
    draw_contributions(bottom, timeline.within(contribution, time), title)
    style.tidy(bottom, xlabel="time (s)")
    return figure


def draw_target(ax: Axes, target: xr.DataArray, name: str) -> None:
    """Draw the target over time, with its name and its units."""
    ax.plot(timeline.times_of(target), target.values, color=style.TARGET, linewidth=1.0)
    ax.set_xlim(timeline.time_range(target))
    style.tidy(ax, f"target: {name}", ylabel=str(target.attrs.get("units", "")))


def draw_contributions(ax: Axes, contribution: xr.DataArray, title: str) -> AxesImage:
    """Draw (time, sign, channel) as a heat map: excitatory parts, below them inhibitory ones."""
    parts = labels.require_dims(contribution, (v.TIME, v.SIGN, v.CHANNEL), "contributions")
    channels = parts.sizes[v.CHANNEL]
    rows = xr.concat([parts.sel({v.SIGN: s}, drop=True) for s in v.SIGNS], dim=v.CHANNEL)
    limit = style.robust_limit(rows.values)
    image = style.heat_map(ax, rows, cmap=style.CONTRIBUTIONS, limits=(-limit, limit))
    step = -(-channels // 4)
    ticks = np.arange(0, channels, step)
    ax.set_yticks([*ticks, *(ticks + channels)], style.plain_all([*map(str, ticks)] * 2))
    ax.axhline(channels - 0.5, color=style.INK, linewidth=0.8)
    for row, name in enumerate(v.SIGNS):
        ax.text(
            1.01,
            0.75 - 0.5 * row,
            style.plain(name),
            transform=ax.transAxes,
            rotation=-90,
            va="center",
            fontsize=style.TEXT - 1,
            color=style.INK,
        )
    style.tidy(ax, title, ylabel="channel")
    units = contribution.attrs.get("units")
    style.color_scale(ax, image, style.with_units("contribution", units))
    return image


def plot_completeness(tree: xr.DataTree, *, note: str = "", figure: Figure | None = None) -> Figure:
    """Draw what is missing from the sum of contributions, sample by sample and layer by layer.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it, with `completeness_error` in some layer.
    note
        Added to the title, such as "simulated".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Left, sum of contributions against change of the target; right, histogram of the relative
        error.

    Examples
    --------
    >>> parts = xr.DataArray([[1.0, 2.0]], dims=("time", "channel"))
    >>> error = xr.DataArray([1.0], dims="time")
    >>> layer = xr.Dataset({"contribution": parts, "completeness_error": error})
    >>> len(plot_completeness(xr.DataTree.from_dict({"/layer1": layer})).axes)
    2
    """
    layers = {str(k): n for k, n in tree.children.items() if v.COMPLETENESS_ERROR in n}
    figure = figure or style.new_figure(3.2)
    left, right = figure.subplots(1, 2)
    _draw_sums(left, layers, note)
    _draw_errors(right, layers)
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=style.TEXT - 1)
    return figure


def _draw_sums(ax: Axes, layers: Mapping[str, xr.DataTree], note: str) -> None:
    units = ""
    for (layer, node), color in zip(layers.items(), style.CATEGORIES * len(layers), strict=False):
        units = str(node[v.COMPLETENESS_ERROR].attrs.get("units", ""))
        change = target_change(node).values
        total = change + node[v.COMPLETENESS_ERROR].values
        ax.plot(change, total, ".", markersize=3, alpha=0.4, color=color, label=style.plain(layer))
    ax.axline((0.0, 0.0), slope=1.0, color=style.MUTED, linewidth=0.8, zorder=0)
    style.tidy(
        ax,
        f"contributions against what they explain{note}",
        xlabel=style.with_units("change of the target", units),
        ylabel=style.with_units("sum of contributions", units),
    )


def _draw_errors(ax: Axes, layers: Mapping[str, xr.DataTree]) -> None:
    errors = {k: np.clip(relative_error(n), SMALLEST_ERROR, None) for k, n in layers.items()}
    bins = _bins(np.concatenate([*errors.values(), [1e-3, 1e-2]]))
    for (layer, error), color in zip(errors.items(), style.CATEGORIES * len(layers), strict=False):
        ax.hist(
            error,
            bins.tolist(),
            histtype="step",
            linewidth=1.4,
            color=color,
            label=style.plain(layer),
        )
        if error.size:
            ax.axvline(float(np.median(error)), color=color, linestyle=":", linewidth=1.2)
    ax.set_xscale("log")
    style.tidy(
        ax,
        "relative completeness error (dotted: median)",
        xlabel="|error| / |change of the target|",
        ylabel="samples",
    )


def _bins(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twelve bins per decade over all errors."""
    low, high = np.floor(np.log10(errors.min())), np.ceil(np.log10(errors.max()))
    bins: NDArray[np.float64] = np.logspace(low, high, int(12 * (high - low)) + 1)
    return bins
