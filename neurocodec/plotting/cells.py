"""Figures of cells: which modes they go with, and their clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.plotting import style
from neurocodec.plotting.responses import MOST_NAMES, by_type, cell_names, draw_types


def plot_mode_correlation(
    correlation: xr.DataArray,
    clusters: xr.Dataset | None = None,
    *,
    title: str = "correlation of firing rate and loading",
    ax: Axes | None = None,
) -> Axes:
    """Draw cells, sorted by cluster, against modes (CODEC fig. 8C).

    Parameters
    ----------
    correlation
        (mode, cell) as `nc.correlate` returns it; modes that are never active are left out.
    clusters
        As `nc.cluster_cells` returns them; the cells are sorted by type where None.
    title
        Written above.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        One cell per row, one mode per column, lines between clusters; the strip at the right has
        the cells' types, where they are known.

    Examples
    --------
    >>> corr = xr.DataArray([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]], dims=("mode", "cell"))
    >>> ax = plot_mode_correlation(corr)
    >>> ax.images[0].get_clim()
    (-0.9, 0.9)
    """
    corr = labels.require_dims(correlation, (v.CELL, v.MODE), "correlations")
    rows, edges = _order_cells(corr, clusters)
    corr = corr.isel({v.CELL: rows})
    corr = corr.isel({v.MODE: _order_modes(corr.values, edges)})
    count = corr.sizes[v.CELL]
    ax = style.new_axes(ax, 0.17 * min(count, MOST_NAMES) + 1.2)
    limit = style.robust_limit(corr.values, 1.0)
    image = ax.imshow(corr.values, aspect="auto", cmap=style.CORRELATION, vmin=-limit, vmax=limit)
    for edge in edges:
        ax.axhline(edge - 0.5, color=style.INK, linewidth=1.2)
    if count <= MOST_NAMES:
        ax.set_yticks(range(count), cell_names(corr))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.tidy(ax, title, xlabel="mode, sorted by the cluster it goes with")
    ax.tick_params(axis="y", labelsize=style.TEXT - 2)
    style.color_scale(ax, image, "correlation")
    draw_types(ax, corr)
    return ax


def _order_cells(
    corr: xr.DataArray, clusters: xr.Dataset | None
) -> tuple[NDArray[np.intp], list[int]]:
    """Order of the cells by cluster, then type; and where one cluster ends."""
    order = by_type(corr)
    if clusters is None:
        return order, []
    labels.require_same(corr, clusters["cluster"], v.CELL, "correlations and clusters")
    found = clusters["cluster"].values[order]
    order = order[np.argsort(found, kind="stable")]
    return order, (np.flatnonzero(np.diff(np.sort(found))) + 1).tolist()


def _order_modes(corr: NDArray[np.float64], edges: list[int]) -> NDArray[np.intp]:
    """Modes that correlate with any cell, sorted by the block of cells they go with best."""
    known = np.flatnonzero(~np.isnan(corr).all(axis=0))
    blocks = [np.nan_to_num(rows[:, known]).mean(axis=0) for rows in np.split(corr, edges)]
    best, size = np.argmax(blocks, axis=0), np.max(blocks, axis=0)
    return known[np.lexsort((-size, best))]


def plot_silhouette(
    clusters: Mapping[str, xr.Dataset] | xr.Dataset,
    *,
    title: str = "silhouette",
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean silhouette against the number of clusters.

    Parameters
    ----------
    clusters
        As `nc.cluster_cells` returns them, or several by name of the layer.
    title
        Written above.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        One line per layer, with a ring at the number that was chosen.

    Examples
    --------
    >>> from neurocodec.cells import cluster_cells
    >>> corr = xr.DataArray([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]], dims=("mode", "cell"))
    >>> plot_silhouette(cluster_cells(corr)).lines[0].get_xdata().tolist()
    [2, 3]
    """
    many = {"": clusters} if isinstance(clusters, xr.Dataset) else dict(clusters)
    ax = style.new_axes(ax, 2.8, 5.2)
    colors = style.category_colors(list(many))
    for layer, found in many.items():
        k, silhouette = found["k"].values, found["silhouette"].values
        chosen = int(found["n_clusters"])
        ax.plot(k, silhouette, "o-", markersize=4, linewidth=1.2, color=colors[layer], label=layer)
        at = ([chosen], silhouette[k == chosen])
        ax.plot(*at, "o", markersize=11, fillstyle="none", color=colors[layer])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.tidy(ax, title, xlabel="number of clusters", ylabel="mean silhouette")
    if any(many):
        ax.legend(frameon=False, fontsize=style.TEXT - 1)
    return ax
