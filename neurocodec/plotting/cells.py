"""Figures of cells: which modes they go with, and their clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.cells.clustering import cell_patterns, is_one_type
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.responses import (
    MOST_NAMES,
    by_type,
    cell_names,
    draw_types,
    name_rows,
)

_FADED = 0.35
"""Opacity of a figure of clusters that chance makes as well."""
_COLUMNS = 24
"""Modes whose numbers are written below a matrix, at most."""


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
        (mode, cell) as `nc.correlate` returns it, or the `pattern` that `nc.cluster_cells`
        clustered; modes that are never active are left out.
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
        the cells' types, where they are known. Faded, and without lines, where the clusters'
        `p_value` says that one type of cells looks as clustered.

    Examples
    --------
    >>> corr = xr.DataArray([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]], dims=("mode", "cell"))
    >>> ax = plot_mode_correlation(corr)
    >>> ax.images[0].get_clim()
    (-0.9, 0.9)
    """
    corr = labels.require_dims(correlation, (v.CELL, v.MODE), "correlations")
    rows, edges = _order_cells(corr, clusters)
    ax = style.new_axes(ax, 0.17 * min(len(rows), MOST_NAMES) + 1.2)
    if clusters is None or not is_one_type(clusters):
        return _draw_matrix(ax, corr.isel({v.CELL: rows}), edges, title)
    chance = f"no evidence for more than one type (p = {float(clusters['p_value']):.2g})"
    ax = _draw_matrix(ax, corr.isel({v.CELL: rows}), edges, f"{title}\n{chance}", lines=False)
    ax.images[0].set_alpha(_FADED)
    return ax


def _draw_matrix(
    ax: Axes, corr: xr.DataArray, edges: list[int], title: str, *, lines: bool = True
) -> Axes:
    """Draw correlations (cell, mode) with the cells in the order they came."""
    order = _order_modes(corr.values, edges)
    numbers = corr[v.MODE].values if v.MODE in corr.coords else np.arange(corr.sizes[v.MODE])
    corr = corr.isel({v.MODE: order})
    limit = style.robust_limit(corr.values, 1.0)
    image = ax.imshow(corr.values, aspect="auto", cmap=style.CORRELATION, vmin=-limit, vmax=limit)
    for edge in edges if lines else ():
        ax.axhline(edge - 0.5, color=style.INK, linewidth=1.2)
    name_rows(ax, cell_names(corr))
    columns = range(0, len(order), -(-len(order) // _COLUMNS) or 1)
    ax.set_xticks(columns, style.plain_all(numbers[order[i]] for i in columns))
    style.tidy(ax, title, xlabel="mode, sorted by the cluster it goes with")
    ax.tick_params(axis="both", labelsize=style.TEXT - 2)
    style.color_scale(ax, image, "pattern" if corr.name == "pattern" else "correlation")
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
    if not known.size:  # an empty matrix cannot be drawn
        return np.arange(corr.shape[1])
    blocks = [np.nan_to_num(rows[:, known]).mean(axis=0) for rows in np.split(corr, edges)]
    best, size = np.argmax(blocks, axis=0), np.max(blocks, axis=0)
    return known[np.lexsort((-size, best))]


def plot_dendrogram(
    correlation: xr.DataArray,
    clusters: xr.Dataset | None = None,
    *,
    title: str = "correlation of firing rate and loading",
    figure: Figure | None = None,
) -> Figure:
    """Draw the tree of the cells' patterns beside the matrix of cells against modes.

    Parameters
    ----------
    correlation
        (mode, cell) as `nc.correlate` returns it; modes that are never active, and cells without
        a pattern, are left out.
    clusters
        As `nc.cluster_cells` returns them; branches within one cluster have its colour.
    title
        Written above the matrix.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Left the tree of Ward's method (scipy), whose horizontal axis is the Ward distance at which
        two branches join; right the matrix with the cells in the order of the leaves.

    Examples
    --------
    >>> corr = xr.DataArray([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]], dims=("mode", "cell"))
    >>> figure = plot_dendrogram(corr)
    >>> len(figure.axes[0].lines)  # three joins
    3
    """
    corr = labels.require_dims(correlation, (v.MODE, v.CELL), "correlations")
    patterns, known = cell_patterns(corr)
    if len(patterns) < 2:
        raise InputError(came=f"{len(patterns)} cells with a pattern", expected="at least 2")
    tree = linkage(patterns, method="ward")
    leaves = np.flatnonzero(known)[leaves_list(tree)]
    figure = figure or style.new_figure(0.17 * min(len(leaves), MOST_NAMES) + 1.2)
    left, right = figure.subplots(1, 2, width_ratios=[1, 3], sharey=True)
    numbers = None if clusters is None else _clusters_of(clusters, corr)[known]
    _draw_tree(left, tree, numbers)
    _draw_matrix(right, corr.isel({v.CELL: leaves}).transpose(v.CELL, v.MODE), [], title)
    left.set_ylim(right.get_ylim())
    right.tick_params(axis="y", labelleft=True)
    left.tick_params(axis="y", left=False, labelleft=False)
    return figure


def _clusters_of(clusters: xr.Dataset, corr: xr.DataArray) -> NDArray[np.int64]:
    labels.require_same(corr, clusters["cluster"], v.CELL, "correlations and clusters")
    return np.asarray(clusters["cluster"].values)


def _draw_tree(ax: Axes, tree: NDArray[np.float64], clusters: NDArray[np.int64] | None) -> None:
    """Draw joins as brackets, leaf i of the drawing at y = i; scipy puts it at 10 i + 5."""
    colors = _branch_colors(tree, clusters)
    drawn = dendrogram(tree, no_plot=True, link_color_func=colors.__getitem__)
    for y, x, color in zip(drawn["icoord"], drawn["dcoord"], drawn["color_list"], strict=True):
        ax.plot(x, (np.asarray(y) - 5) / 10, color=color, linewidth=1.2)
    ax.set_xlim(1.03 * tree[:, 2].max() or 1.0, 0)
    style.tidy(ax, "cells", xlabel="Ward distance")
    ax.spines["left"].set_visible(False)


def _branch_colors(tree: NDArray[np.float64], clusters: NDArray[np.int64] | None) -> dict[int, str]:
    """Colour of every join, by scipy's number of it: that of a cluster that has all its cells."""
    count = len(tree) + 1
    names = ["all"] * count if clusters is None else [str(c) for c in clusters]
    inside: list[set[str]] = [{name} for name in names]
    for a, b in tree[:, :2].astype(int):
        inside.append(inside[a] | inside[b])
    colors = style.category_colors(names) if clusters is not None else {"all": style.INK}
    single = {i: next(iter(found)) for i, found in enumerate(inside) if len(found) == 1}
    joins = range(count, 2 * count - 1)
    return {i: colors[single[i]] if i in single else style.INK for i in joins}


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
        One line per layer, with a ring at the number that was chosen. Where the clusters have a
        `p_value`, the legend has it: cells of one type are divided too, and then it is not small.

    Examples
    --------
    >>> from neurocodec.cells.clustering import cluster_cells
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
        label = _with_chance(layer, found)
        ax.plot(
            k,
            silhouette,
            "o-",
            markersize=4,
            linewidth=1.2,
            color=colors[layer],
            label=style.plain(label),
        )
        at = ([chosen], silhouette[k == chosen])
        ax.plot(*at, "o", markersize=11, fillstyle="none", color=colors[layer])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.tidy(ax, title, xlabel="number of clusters", ylabel="mean silhouette")
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=style.TEXT - 1)
    return ax


def _with_chance(layer: str, found: xr.Dataset) -> str:
    """Name of a layer, with the chance that cells of one type have as high a silhouette."""
    if "p_value" not in found:
        return layer
    chance = f"p = {float(found['p_value']):.2g} if there is one type"
    return f"{layer}, {chance}" if layer else chance
