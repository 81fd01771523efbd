"""Figures of contribution modes."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.kernels.correlation import correlate
from neurocodec.plotting import style, timeline

TOGETHER: Final = 0.9
"""Modes whose loadings correlate more than this are shown as one, the most used of them.

An overcomplete dictionary has modes that are active together nearly always.
"""
MOST_MODES: Final = 10
"""Beside other things that are drawn over time."""

LEAST_ROWS: Final = 4
"""Rows that the label beside them needs."""


def plot_modes(
    dictionary: xr.DataArray,
    loadings: xr.DataArray,
    *,
    count: int = 16,
    time: slice | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw the most used modes: their channels, and when they are active.

    Parameters
    ----------
    dictionary
        (mode, channel) as `nc.SparseModes.dictionary`.
    loadings
        (time, mode) as `nc.SparseModes.loadings`.
    count
        Modes to draw, at most; those with the highest mean loading.
    time
        Range of times in seconds; everything where None.
    note
        Added to the title, such as "simulated".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Left the dictionary, right the loadings, one mode per row.

    Examples
    --------
    >>> loadings = xr.DataArray(np.eye(3), {"time": [0.0, 0.1, 0.2]}, ("time", "mode"))
    >>> dictionary = xr.DataArray(np.ones((3, 2)), dims=("mode", "channel"))
    >>> len(plot_modes(dictionary, loadings).axes)  # dictionary, loadings, colour scale
    3
    """
    loadings = labels.require_dims(loadings, (v.TIME, v.MODE), "loadings")
    order = most_used(loadings, count)
    active = (loadings.values > 0).mean(axis=0)
    names = [f"{loadings[v.MODE].values[m]}  ({active[m]:.0%})" for m in order]
    figure = figure or style.new_figure(0.2 * max(len(order), LEAST_ROWS) + 1.1)
    left, right = figure.subplots(1, 2, width_ratios=[1, 3])
    draw_dictionary(left, dictionary.isel({v.MODE: order}), "channels of each mode")
    left.set_yticks(range(len(order)), style.plain_all(names))
    left.set_ylabel("mode (part of\nthe time active)", fontsize=style.TEXT)
    draw_loadings(
        right, timeline.within(loadings.isel({v.MODE: order}), time), f"loadings over time{note}"
    )
    right.set_yticks([])
    style.tidy(right, xlabel="time (s)")
    return figure


def draw_dictionary(ax: Axes, dictionary: xr.DataArray, title: str) -> None:
    """Draw modes as rows, channels as columns; each mode is divided by its largest channel."""
    rows = dictionary.transpose(v.MODE, ...).values.reshape(dictionary.sizes[v.MODE], -1)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    shares = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    signed = bool((shares < 0).any())
    cmap, low = (style.CONTRIBUTIONS, -1.0) if signed else (style.MODES, 0.0)
    ax.imshow(shares, aspect="auto", cmap=cmap, vmin=low, vmax=1.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.tidy(ax, title, xlabel="channel")


def draw_loadings(ax: Axes, loadings: xr.DataArray, title: str) -> None:
    """Draw loadings (time, mode) as a heat map over time."""
    limit = style.robust_limit(loadings.values[loadings.values > 0], 0.95)
    image = style.heat_map(ax, loadings, cmap=style.MODES, limits=(0.0, limit))
    style.tidy(ax, title)
    style.color_scale(ax, image, "loading")


def draw_most_used(ax: Axes, loadings: xr.DataArray, title: str) -> None:
    """Draw the loadings (time, mode) of the most used modes, named at the left, over time."""
    used = most_used(loadings, MOST_MODES)
    draw_loadings(ax, loadings.isel({v.MODE: used}), title)
    ax.set_yticks(
        range(len(used)), style.plain_all([str(m) for m in loadings[v.MODE].values[used]])
    )
    style.tidy(ax, xlabel="time (s)", ylabel="mode")


def most_used(loadings: xr.DataArray, count: int) -> NDArray[np.intp]:
    """Positions of the modes with the highest mean loading, at most `count`, at least one."""
    use = loadings.mean(v.TIME).values
    likeness = np.nan_to_num(correlate(loadings.values, loadings.values))
    chosen: list[int] = []
    for mode in np.argsort(-use, kind="stable"):
        if use[mode] > 0 and (likeness[mode, chosen] < TOGETHER).all():
            chosen.append(int(mode))
    return np.array(chosen[:count] or [0], dtype=np.intp)
