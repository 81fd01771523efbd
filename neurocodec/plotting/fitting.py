"""How well fitted models of ganglion cells predict held-out responses."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.plotting import style

HEIGHT = 3.0
WIDE = 400.0
"""Points of the axis, that the names of all cells share."""
SMALLEST = 4.0
"""Points of letters that can be read; where names would be smaller, they are left out."""
LETTER = 0.6
"""Width of a letter in its height."""
LINES = {"ceiling": ("_", "0.4", "ceiling of the repeats"), "correlation": ("o", "C0", "CNN")}
LINES["correlation_ln"] = ("s", "C1", "LN model")
LINES["correlation_glm"] = ("^", "C2", "GLM")


def plot_fit(scores: xr.Dataset) -> Figure:
    """Draw the correlation of every cell with held-out responses: models and ceiling.

    Parameters
    ----------
    scores
        `RetinaFit.scores`, as `nc.fit_retina` returns them.

    Returns
    -------
    matplotlib.figure.Figure
        One axis with CNN, LN model and, where there is one, GLM; cells in falling order of the
        CNN's correlation, with their names where these can be read; a bar over the 95 % interval
        of the ceiling, a cross at 0 where that is not above 0. The title has the smoothing.

    Examples
    --------
    >>> row = ("cell", [0.5, 0.7])
    >>> names = ("correlation", "correlation_ln", "ceiling")
    >>> scores = xr.Dataset({name: row for name in names}, {"cell": ["a", "b"]})
    >>> plot_fit(scores).axes[0].get_ylabel()
    'correlation'
    """
    order = np.argsort(-np.nan_to_num(scores["correlation"].values, nan=-2.0), kind="stable")
    places = np.arange(len(order))
    names = [str(n) for n in scores[v.CELL].values[order]]
    size = min(style.TEXT - 1, WIDE / len(names))
    named = size >= SMALLEST
    # the names hang below, as far as the longest of them
    below = max(map(len, names)) * size * LETTER / 72 if named else 0.0
    figure = style.new_figure(HEIGHT + max(0.0, below - 0.5))
    ax = figure.add_subplot()
    for name, (marker, color, label) in LINES.items():
        if name not in scores and name.endswith("_glm"):
            continue
        values = scores[name].values[order]
        shown = f"{label}, median {np.nanmedian(values):.2f}" if np.isfinite(values).any() else ""
        ax.plot(
            places, values, marker, color=color, label=style.plain(shown or f"{label}: not known")
        )
    _draw_ends(ax, scores, order)
    said = str(scores.attrs.get("responses", ""))
    across = "" if named else f"{len(names)} cells, in falling order of the CNN"
    title = f"held-out responses{', ' * bool(said)}{said}"
    style.tidy(ax, title, xlabel=across, ylabel="correlation")
    if named:
        ax.set_xticks(places, style.plain_all(names), rotation=90, fontsize=size)
    else:
        ax.set_xticks([])
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _draw_ends(ax: Axes, scores: xr.Dataset, order: NDArray[np.intp]) -> None:
    """Draw the interval of the ceiling, and which cells have none above 0."""
    if "ceiling_interval" not in scores:
        return
    low, high = scores["ceiling_interval"].transpose(v.BOUND, v.CELL).values[:, order]
    ax.vlines(np.arange(len(order)), low, high, color="0.4", linewidth=0.8)
    none = np.flatnonzero(low == 0)
    if none.size:
        label = f"ceiling not above 0: {none.size} of {len(order)}"
        ax.plot(none, np.zeros(none.size), "x", color="0.4", label=style.plain(label))
