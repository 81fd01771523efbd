"""Figures of toy models of superposition (Tense Images fig. 7 and 15)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from neurocodec import vocabulary as v
from neurocodec.plotting import style
from neurocodec.plotting.tension import tension_colors
from neurocodec.simulation.superposition import attributions

NARROW, WIDE = 3.0, 100.0
"""Largest over smallest loss: to here an axis is linear, from here it has powers of ten alone."""


def plot_toys(trained: xr.DataTree, reference: xr.DataTree | None = None) -> Figure:
    """Draw attributions of the best network of each size, and losses of all seeds.

    Parameters
    ----------
    trained
        As `nc.superposition.train` returns it.
    reference
        As `nc.superposition.reference` returns it, drawn before the trained ones.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import neurocodec as nc
    >>> figure = plot_toys(nc.superposition.reference("xor"))
    """
    panels = [] if reference is None else [("constructed, 12", attributions(reference), 0)]
    found, losses = attributions(trained), trained.to_dataset()["expected_loss"]
    for size in _sizes(trained):
        one = found.sel({v.HIDDEN: [size]})
        best = int(np.argmin(np.asarray(losses.sel({v.HIDDEN: size}))))
        panels.append((f"{size} units, best", one, best))
    figure = style.new_figure(5.6, max(6.0, 1.9 * len(panels)))
    grid = figure.add_gridspec(2, max(2, len(panels)), height_ratios=(3, 2))
    for place, (title, one, seed) in enumerate(panels):
        _matrix(figure.add_subplot(grid[0, place]), one.isel({v.HIDDEN: 0, v.SEED: seed}), title)
    half = max(2, len(panels)) // 2
    _seeds(figure.add_subplot(grid[1, :half]), trained)
    _inputs(figure.add_subplot(grid[1, half:]), trained)
    return figure


def _sizes(trained: xr.DataTree) -> list[int]:
    return [int(size) for size in np.asarray(trained.to_dataset()[v.HIDDEN])]


def _matrix(ax: Axes, found: xr.Dataset, title: str) -> None:
    """Columns are scaled each to its largest, as in the paper."""
    plus, minus = (np.asarray(found[n]) for n in (v.EXCITATION, v.INHIBITION))
    largest = np.maximum(plus, minus).max(0)
    limit = np.where(largest > 0, largest, 1.0)
    ax.imshow(tension_colors(plus / limit, minus / limit, 1.0), aspect="auto")
    ax.set_yticks(range(len(plus)), style.plain_all(found[v.SHOWN].values))
    style.tidy(ax, title, xlabel="feature")


def _seeds(ax: Axes, trained: xr.DataTree) -> None:
    for size in _sizes(trained):
        losses = np.sort(np.asarray(trained["expected_loss"].sel({v.HIDDEN: size})))
        shares = np.arange(1, len(losses) + 1) / len(losses)
        ax.plot(losses, shares, ".-", ms=3, lw=0.8, label=style.plain(f"{size} units"))
    low, high = float(trained["expected_loss"].min()), float(trained["expected_loss"].max())
    if low > 0 and high > NARROW * low:
        ax.set_xscale("log")
        # of a narrow range no power of ten need be in it, and of a wide one not all have room
        subs = (1.0, 2.0, 5.0) if high < WIDE * low else (1.0,)
        ax.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(fontsize=style.TEXT - 1, frameon=False)
    style.tidy(ax, "all seeds", xlabel="expected loss", ylabel="share of the seeds below")


def _inputs(ax: Axes, trained: xr.DataTree) -> None:
    best = trained["expected_loss"].argmin(v.SEED)
    for size in _sizes(trained):
        one = trained["input_loss"].sel({v.HIDDEN: size})
        one = one.isel({v.SEED: int(best.sel({v.HIDDEN: size}))})
        ax.plot(one[v.ACTIVE], one, "o-", ms=3, lw=0.8)
    style.tidy(ax, "best seeds, all inputs", xlabel="active features", ylabel="mean loss")
