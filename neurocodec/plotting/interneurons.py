"""Figures of recorded interneurons against the units and modes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.plotting import style

TYPE: Final = "interneuron_cell_type"
_MODES: Final = "modes"
_NULLS: Final = {"permuted": ("3", "permuted networks"), "linear": ("x", "linear filter")}
"""Marks of the upper ends of nulls."""
_ROW: Final = 0.19
"""Height of an interneuron's row in inches."""


def plot_interneurons(
    comparison: xr.DataTree | xr.Dataset,
    *,
    title: str = "interneurons and the best units, held-out time",
    ax: Axes | None = None,
) -> Axes:
    """Draw how well each interneuron goes with its best unit, with chance and ceiling.

    Parameters
    ----------
    comparison
        As `nc.compare_interneurons` returns it, or one of its nodes.
    title
        Written above.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        One row per interneuron: a dot at its correlation on held-out time, a ring at that of the
        same units where they were chosen; a grey band up to what chance reaches, the upper ends
        of the other nulls, and a tick at the ceiling that the repeats allow, where there are these.

    Examples
    --------
    >>> import numpy as np
    >>> found = xr.Dataset({"correlation": ("interneuron", [0.8, 0.6])})
    >>> ax = plot_interneurons(found.assign(correlation_selected=found.correlation))
    >>> ax.get_xlabel()
    'correlation'
    """
    data = comparison.to_dataset() if isinstance(comparison, xr.DataTree) else comparison
    _require(data, "correlation")
    order, names = _rows(data)
    found = {str(k): a.values[order] for k, a in data.data_vars.items() if a.ndim == 1}
    at = np.arange(len(order))
    own = ax is None
    ax = style.new_axes(ax, _ROW * len(order) + 1.1, 6.4)
    if "chance_correlation" in found:
        chance = np.maximum(found["chance_correlation"], 0)
        ax.barh(at, chance, height=1.0, color=style.RECORDED, label="chance")
    for name, (mark, label) in _NULLS.items():
        if "control" in data.coords and name in data["control"].values:
            high = data["control_interval"].sel(control=name, bound="high").values[order]
            ax.plot(high, at, mark, color=style.MUTED, markersize=5, label=style.plain(label))
    colors = _colors(data, order)
    ax.hlines(at, 0, found["correlation"], colors=colors, linewidth=1.0)
    ax.scatter(found["correlation"], at, s=26, color=colors, zorder=3, label="held out")
    ring: dict[str, Any] = {"facecolor": "none", "edgecolor": style.MUTED, "linewidth": 0.8}
    ax.scatter(found["correlation_selected"], at, s=34, label="where it was chosen", **ring)
    if "ceiling" in found:
        ax.plot(found["ceiling"], at, "|", color=style.INK, markersize=9, label="ceiling")
    ax.set_yticks(at, style.plain_all(names))
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlim(min(0.0, float(np.nanmin(found["correlation"])) - 0.05), 1.02)
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    style.tidy(ax, title, xlabel="correlation")
    ax.tick_params(axis="y", labelsize=style.TEXT - 2, length=0)
    look: dict[str, Any] = {"frameon": False, "fontsize": style.TEXT - 1.5, "handletextpad": 0.3}
    if own:  # below the figure, whatever the number of rows
        style.whole_figure(ax).legend(loc="outside lower center", ncols=4, **look)
    else:
        ax.legend(loc="lower right", **look)
    return ax


def plot_interneuron_maps(
    comparison: xr.DataTree,
    layer: str | None = None,
    interneurons: Sequence[str] | None = None,
    *,
    title: str = "correlation with the units",
) -> Figure:
    """Draw the correlation of interneurons with every unit of a layer, a map for each channel.

    Parameters
    ----------
    comparison
        As `nc.compare_interneurons` returns it.
    layer
        Name of a node with maps; the one in which most are found best where None.
    interneurons
        Names; where None the best of each type, or the best six where no types are known.
    title
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        One row per interneuron, one map per channel; a ring at the layer's best unit for it,
        unless the stimulus was the same in every pixel.

    Examples
    --------
    >>> import numpy as np
    >>> maps = xr.DataArray(np.eye(4)[None, None], dims=("interneuron", "channel", "y", "x"))
    >>> best = {k: ("interneuron", [0]) for k in ("best_channel", "best_y", "best_x")}
    >>> node = xr.Dataset({"correlation_map": maps, **best, "correlation": ("interneuron", [1.0])})
    >>> tree = xr.DataTree.from_dict({"/": node[["correlation"]], "/layer1": node})
    >>> len(plot_interneuron_maps(tree, "layer1").axes)
    2
    """
    layer = _most_found(comparison.to_dataset()) if layer is None else layer
    node = _node(comparison, layer)
    _require(node, "correlation_map")
    if not {v.Y, v.X} <= {*node["correlation_map"].dims}:
        raise InputError(
            came=f"correlations with dims {tuple(map(str, node['correlation_map'].dims))}",
            expected="maps with 'y' and 'x'",
            hint="plotting.plot_interneuron_matrix(comparison)",
        )
    rows = _chosen(node, interneurons)
    names = _names(node)
    channels = node.sizes[v.CHANNEL]
    figure = style.new_figure(1.25 * len(rows) + 0.7, 1.2 * channels + 1.6)
    axes = figure.subplots(len(rows), channels, squeeze=False)
    values = node["correlation_map"].values
    limit = style.robust_limit(values[rows], 1.0)
    for row, line in zip(rows, axes, strict=True):
        ring = not comparison.attrs.get("uniform_stimulus")
        _draw_maps(line, node.isel({v.INTERNEURON: row}), limit, ring=ring)
        score = float(node["correlation"][row])
        text = "\n".join([*names[row].split(" · "), f"held out {score:.2f}"])
        line[0].set_ylabel(
            style.plain(text), fontsize=style.TEXT - 2, color=style.INK, rotation=0, ha="right"
        )
    for channel, ax in enumerate(axes[0]):
        ax.set_title(style.plain(f"channel {channel}"), fontsize=style.TEXT - 1, color=style.INK)
    bar = figure.colorbar(axes[0, 0].images[0], ax=axes, shrink=0.5, aspect=30, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=style.TEXT - 2)
    bar.set_label("correlation", fontsize=style.TEXT - 1, color=style.INK)
    figure.suptitle(style.plain(f"{title} of {layer}"), x=0.01, ha="left", fontsize=style.TEXT + 1)
    return figure


def _draw_maps(line: NDArray[np.object_], one: xr.Dataset, limit: float, *, ring: bool) -> None:
    """Maps of one interneuron, one per channel."""
    maps = one["correlation_map"].transpose(v.CHANNEL, v.Y, v.X).values
    for channel, ax in enumerate(line):
        ax.imshow(maps[channel], cmap=style.CORRELATION, norm=Normalize(-limit, limit))
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color(style.RECORDED)
        if channel == int(one["best_channel"]):
            place = (int(one["best_x"]), int(one["best_y"]))
            if ring:
                ax.plot(*place, "o", fillstyle="none", color=style.INK, markersize=9)
            ax.spines[:].set_color(style.INK)


def plot_interneuron_matrix(
    comparison: xr.DataTree,
    layers: Sequence[str] | None = None,
    *,
    title: str = "best correlation with each channel or mode",
) -> Figure:
    """Draw interneurons against the channels of each layer, and against modes.

    Parameters
    ----------
    comparison
        As `nc.compare_interneurons` returns it.
    layers
        Names of nodes ("layer1", "modes/layer1"); all where None.
    title
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        One block per node, one row per interneuron, sorted by type. The value at a channel is
        the one of largest size over positions, at the lag that is best for the layer; a dot is
        at the best channel or mode.

    Examples
    --------
    >>> import numpy as np
    >>> maps = xr.DataArray(np.eye(2), dims=("interneuron", "channel"))
    >>> node = xr.Dataset({"correlation_map": maps, "best_channel": ("interneuron", [0, 1])})
    >>> root = xr.Dataset({"correlation": ("interneuron", [1.0, 1.0])})
    >>> tree = xr.DataTree.from_dict({"/": root, "/layer1": node})
    >>> plot_interneuron_matrix(tree).axes[0].get_title()
    'layer1'
    """
    order, names = _rows(comparison.to_dataset())
    blocks = _blocks(comparison, layers)
    widths = [matrix.shape[1] for matrix, _ in blocks.values()]
    figure = style.new_figure(_ROW * len(order) + 1.3, min(0.16 * sum(widths) + 3.5, 16.0))
    axes = figure.subplots(1, len(blocks), squeeze=False, width_ratios=widths)[0]
    limit = max(style.robust_limit(matrix, 1.0) for matrix, _ in blocks.values())
    for ax, (name, (matrix, best)) in zip(axes, blocks.items(), strict=True):
        image = ax.imshow(
            matrix[order], aspect="auto", cmap=style.CORRELATION, vmin=-limit, vmax=limit
        )
        ax.plot(best[order], np.arange(len(order)), ".", color=style.INK, markersize=3)
        ax.set_title(
            style.plain(_in_lines(name)),
            fontsize=style.TEXT - 1,
            color=style.INK,
        )
        ax.set_yticks([])
        ax.tick_params(labelsize=style.TEXT - 2)
        ax.set_xlabel(
            style.plain(v.MODE if name.startswith(_MODES) else v.CHANNEL), fontsize=style.TEXT - 1
        )
    axes[0].set_yticks(np.arange(len(order)), style.plain_all(names))
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label("correlation", fontsize=style.TEXT - 1, color=style.INK)
    figure.suptitle(style.plain(title), x=0.01, ha="left", fontsize=style.TEXT + 1)
    return figure


def _in_lines(name: str) -> str:
    """Name of a layer, and of the rectifier that its units are heard through."""
    return name.replace("_rectified", "\nrectified")


def _blocks(
    comparison: xr.DataTree, layers: Sequence[str] | None
) -> dict[str, tuple[NDArray[np.floating[Any]], NDArray[np.intp]]]:
    """Matrix (interneuron, channel or mode) and best column of every node."""
    return {name: _matrix(_node(comparison, name)) for name in layers or _known(comparison)}


def _known(comparison: xr.DataTree) -> list[str]:
    """Names of the nodes, those of modes behind those of layers."""
    modes = comparison.children.get(_MODES)
    inner = [f"{_MODES}/{name}" for name in modes.children] if modes is not None else []
    return [*(name for name in comparison.children if name != _MODES), *inner]


def _node(comparison: xr.DataTree, name: str) -> xr.Dataset:
    return comparison[one_of("layer in the comparison", name, _known(comparison))].to_dataset()


def _matrix(node: xr.Dataset) -> tuple[NDArray[np.floating[Any]], NDArray[np.intp]]:
    if "mode_correlation" in node:
        order = node["mode_correlation"][v.MODE].values.tolist()
        best = [order.index(mode) for mode in node["best_mode"].values.tolist()]
        return node["mode_correlation"].values, np.array(best)
    maps = node["correlation_map"].transpose(v.INTERNEURON, v.CHANNEL, ...).values
    flat = np.nan_to_num(maps.reshape(*maps.shape[:2], -1))
    largest = np.abs(flat).argmax(axis=2)[..., None]
    return np.take_along_axis(flat, largest, axis=2)[..., 0], node["best_channel"].values


def _require(data: xr.Dataset, name: str) -> None:
    one_of("variable in the comparison", name, data.data_vars)


def _names(data: xr.Dataset) -> list[str]:
    """Type and name of every interneuron; the name alone where it begins with the type."""
    count = data.sizes[v.INTERNEURON]
    names = data[v.INTERNEURON].values.astype(str) if v.INTERNEURON in data.coords else range(count)
    if TYPE not in data.coords:
        return [str(name) for name in names]
    kinds = data[TYPE].values.astype(str)
    pairs = zip(kinds, names, strict=True)
    return [str(n) if str(n).startswith(t) else f"{t} · {n}" for t, n in pairs]


def _rows(data: xr.Dataset) -> tuple[NDArray[np.intp], list[str]]:
    """Interneurons sorted by type and falling correlation, and their names."""
    score = data["correlation"].values
    kinds = data[TYPE].values if TYPE in data.coords else np.zeros(len(score))
    order = np.lexsort((-score, kinds))
    names = _names(data)
    return order, [names[i] for i in order]


def _colors(data: xr.Dataset, order: NDArray[np.intp]) -> list[str]:
    kinds = data[TYPE].values.astype(str) if TYPE in data.coords else np.full(len(order), "")
    known = style.category_colors(kinds.tolist())
    return [known[kinds[i]] for i in order]


def _most_found(comparison: xr.Dataset) -> str:
    _require(comparison, "best_layer")
    names, counts = np.unique(comparison["best_layer"].values, return_counts=True)
    return str(names[counts.argmax()])


def _chosen(node: xr.Dataset, interneurons: Sequence[str] | None) -> list[int]:
    known = [str(n) for n in node[v.INTERNEURON].values] if v.INTERNEURON in node.coords else []
    if interneurons is not None:
        return [known.index(one_of("interneuron", name, known)) for name in interneurons]
    order, _ = _rows(node)
    if TYPE not in node.coords:
        return [int(i) for i in order[:6]]
    _, first = np.unique(node[TYPE].values[order], return_index=True)
    return [int(i) for i in order[first]]
