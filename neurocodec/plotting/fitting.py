"""How well fitted models of ganglion cells predict held-out responses."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.plotting import style

HEIGHT = 3.0
LINES = {"ceiling": ("_", "0.4", "ceiling of the repeats"), "correlation": ("o", "C0", "CNN")}
LINES["correlation_ln"] = ("s", "C1", "LN model")


def plot_fit(scores: xr.Dataset) -> Figure:
    """Draw the correlation of every cell with held-out responses: CNN, LN model and ceiling.

    Parameters
    ----------
    scores
        `RetinaFit.scores`, as `nc.fit_retina` returns them.

    Returns
    -------
    matplotlib.figure.Figure
        One axis; cells in falling order of the CNN's correlation.

    Examples
    --------
    >>> row = ("cell", [0.5, 0.7])
    >>> names = ("correlation", "correlation_ln", "ceiling")
    >>> scores = xr.Dataset({name: row for name in names}, {"cell": ["a", "b"]})
    >>> plot_fit(scores).axes[0].get_ylabel()
    'correlation'
    """
    figure = style.new_figure(HEIGHT)
    ax = figure.add_subplot()
    order = np.argsort(-np.nan_to_num(scores["correlation"].values, nan=-2.0), kind="stable")
    places = np.arange(len(order))
    for name, (marker, color, label) in LINES.items():
        values = scores[name].values[order]
        shown = f"{label}, median {np.nanmedian(values):.2f}" if np.isfinite(values).any() else ""
        ax.plot(
            places, values, marker, color=color, label=style.plain(shown or f"{label}: not known")
        )
    ax.set_xticks(
        places, style.plain_all([str(n) for n in scores[v.CELL].values[order]]), rotation=90
    )
    style.tidy(ax, "held-out responses", ylabel="correlation")
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
