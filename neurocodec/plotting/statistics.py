"""Figures of statistics by layer: sparsity, signs and dimensionality (CODEC fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.rows.layers import SPLIT, layers_of
from neurocodec.statistics.dimensions import CLASS_MEAN, SAMPLE

COLORS: Final = {v.CONTRIBUTION: style.INK, v.ACTIVATION: style.CATEGORIES[0]}
_NAMES: Final = {v.CONTRIBUTION: "contributions", v.ACTIVATION: "activations"}
_POINTS: Final = {CLASS_MEAN: ("-", "class means"), SAMPLE: (":", "single samples")}
_DOTS: Final = 4000
_LAYERS: Final = 3


def plot_layer_statistics(
    hoyer: xr.Dataset | None = None,
    signs: xr.Dataset | None = None,
    dimensions: xr.Dataset | None = None,
    *,
    tree: xr.DataTree | None = None,
    layers: Sequence[str] | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw sparsity, correlation of signs and dimensionality over the layers, with intervals.

    Parameters
    ----------
    hoyer
        As `nc.statistics.hoyer` returns it.
    signs
        As `nc.statistics.sign_correlation` returns it.
    dimensions
        As `nc.statistics.dimensionality` returns it.
    tree
        Contributions with both signs, for scatter plots of excitatory against inhibitory sums.
    layers
        Those of the scatter plots and of the cumulative variance; the first, the middle and the
        last where None.
    note
        Written above, such as "ResNet-50 v1, 1,000 photographs".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each measure over the layers, bands being the intervals of the results
        (activations blue, contributions dark; of class means and, dotted, of single samples);
        then the cumulative variance of some layers, and a scatter plot for each of them: a dot
        for each channel of each image (some thousands at random), both divided by the largest.

    Raises
    ------
    InputError
        Where nothing is given, or what came is something else.

    Examples
    --------
    >>> from neurocodec import statistics
    >>> node = xr.Dataset({k: (("stimulus", "channel"), np.eye(4))
    ...                    for k in ("contribution", "activation")})
    >>> trees = xr.DataTree.from_dict({"/conv1": node, "/conv2": node})
    >>> figure = plot_layer_statistics(statistics.hoyer(trees))
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['Hoyer sparsity']
    """
    given = (hoyer, signs, dimensions)
    for result, (name, function) in zip(given, _NEEDED, strict=True):
        _require(result, name, function)
    chosen = _chosen(given, tree, layers)
    curves = [
        (n, r) for r, names in zip(given, _CURVES, strict=True) if r is not None for n in names
    ]
    below = (chosen if tree is not None else []), dimensions is not None
    columns = max(len(curves), len(below[0]) + below[1])
    if not columns:
        raise InputError(
            came="nothing to draw",
            expected="a result of nc.statistics, or tree=",
            hint="nc.plotting.plot_layer_statistics(nc.statistics.hoyer(tree))",
        )
    rows = bool(curves) + bool(len(below[0]) + below[1])
    figure = figure or style.new_figure(2.7 * rows, max(2.4 * columns, 4.8))
    grid = figure.add_gridspec(rows, columns)
    for place, (name, result) in enumerate(curves):
        ax = figure.add_subplot(grid[0, place])
        draw_over_layers(ax, result, name)
        style.tidy(ax, ylabel=_LABELS[name])
    if note:
        figure.suptitle(style.plain(note), fontsize=style.TEXT, color=style.INK, fontweight="bold")
    last = [figure.add_subplot(grid[rows - 1, i]) for i in range(len(below[0]) + below[1])]
    if dimensions is not None:
        _draw_cumulative(last.pop(0), dimensions, chosen)
    for ax, layer in zip(last, below[0], strict=True):
        _draw_signs(ax, tree, layer, signs)
    _draw_legend(figure, both_points=dimensions is not None and dimensions.sizes[v.POINTS] > 1)
    return figure


_NEEDED: Final = (
    ("hoyer", "hoyer"),
    ("sign_correlation", "sign_correlation"),
    ("participation_ratio", "dimensionality"),
)
_CURVES: Final = (("hoyer",), ("sign_correlation",), ("components", "participation_ratio"))
_LABELS: Final = {
    "hoyer": "Hoyer sparsity",
    "sign_correlation": "correlation of signs",
    "components": "components",
    "participation_ratio": "participation ratio",
}


def draw_over_layers(ax: Axes, result: xr.Dataset, name: str) -> None:
    """Draw a measure (layer, ...) with its interval as a band, for each kind and points."""
    kinds = result[v.KIND].values.tolist() if v.KIND in result[name].dims else [None]
    points = result[v.POINTS].values.tolist() if v.POINTS in result[name].dims else [None]
    for kind in kinds:
        for one in points:
            chosen = {d: x for d, x in ((v.KIND, kind), (v.POINTS, one)) if x is not None}
            part = result.sel(chosen)
            color = COLORS.get(str(kind), style.INK)
            band(
                ax,
                part[name].values,
                part[f"{name}_interval"].values,
                color,
                _POINTS.get(str(one), ("-", ""))[0],
            )
    layer_ticks(ax, result[v.LAYER].values.tolist())
    if name == "sign_correlation":
        ax.axhline(0, color=style.MUTED, linewidth=0.6)


def band(ax: Axes, values: Any, ends: Any, color: str, line: str = "-") -> None:
    """Draw values (layers,) as a line with dots, and the interval (layers, 2) around it."""
    places = np.arange(len(values))
    ax.plot(places, values, line, color=color, linewidth=1.3, marker="o", markersize=2.5)
    ax.fill_between(places, ends[:, 0], ends[:, 1], color=color, alpha=0.2, linewidth=0)


def layer_ticks(ax: Axes, names: Sequence[str]) -> None:
    """Name the layers, which stand at 0, 1, 2, ..., as many as there is room for."""
    step = -(-len(names) // 8)
    places = list(range(0, len(names), step))
    ax.set_xticks(
        places,
        style.plain_all([names[i] for i in places]),
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    ax.set_xlim(-0.5, len(names) - 0.5)


def _draw_cumulative(ax: Axes, result: xr.Dataset, layers: Sequence[str]) -> None:
    """Cumulative variance of some layers: the later, the thicker the line."""
    for width, layer in enumerate(layers, 1):
        for kind in result[v.KIND].values.tolist():
            curve = result["cumulative_variance"].sel({v.LAYER: layer, v.KIND: kind})
            ax.plot(
                curve[v.COMPONENT],
                curve,
                color=COLORS[kind],
                linewidth=0.6 * width,
                label=style.plain(layer) if kind == v.CONTRIBUTION else None,
            )
    share = labels.provenance(result).get("share", 0.95)
    ax.axhline(share, color=style.MUTED, linewidth=0.6)
    ax.set_ylim(0, 1.03)
    ax.legend(frameon=False, fontsize=style.TEXT - 2)
    kind_of = _POINTS[str(result[v.POINTS].values[0])][1]
    style.tidy(ax, xlabel=f"component ({kind_of})", ylabel="part of the variance")


def _draw_signs(ax: Axes, tree: xr.DataTree | None, layer: str, signs: xr.Dataset | None) -> None:
    """A dot for a channel of an image: size of its excitatory and of its inhibitory sum."""
    if tree is None:
        return
    rows = layers_of(tree, [layer], [v.CONTRIBUTION], SPLIT)[layer][0]
    size, channels = len(rows.array), rows.array.sizes[v.CHANNEL]
    random = np.random.default_rng(0)
    images = np.sort(random.permutation(size)[: max(1, _DOTS // channels)])
    few = rows.array.isel({rows.dim: images})
    pairs = few.sel({v.SIGN: list(v.SIGNS)}).transpose(v.SIGN, ...).values.reshape(2, -1)
    largest = np.abs(pairs).max() or 1.0
    ax.scatter(
        pairs[0] / largest, -pairs[1] / largest, s=3, color=style.INK, alpha=0.25, linewidth=0
    )
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.6)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    title = layer
    if signs is not None and layer in signs[v.LAYER].values:
        title += f", r = {float(signs['sign_correlation'].sel({v.LAYER: layer})):.2f}"
    style.tidy(ax, title, xlabel="excitatory", ylabel="|inhibitory|")


def _draw_legend(figure: Figure, *, both_points: bool) -> None:
    lines = [
        Line2D([], [], color=color, label=style.plain(_NAMES[kind]))
        for kind, color in COLORS.items()
    ]
    if both_points:
        lines += [
            Line2D([], [], color=style.MUTED, ls=s, label=style.plain(n))
            for s, n in _POINTS.values()
        ]
    figure.legend(
        handles=lines,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=style.TEXT - 1,
    )


def _chosen(
    given: Sequence[xr.Dataset | None], tree: xr.DataTree | None, layers: Sequence[str] | None
) -> list[str]:
    """Layers to look at more closely."""
    known = next((r[v.LAYER].values.tolist() for r in given if r is not None), None)
    if known is None:
        known = [] if tree is None else [*tree.children]
    return chosen_layers(known, layers, _LAYERS)


def chosen_layers(known: Sequence[str], layers: Sequence[str] | None, count: int) -> list[str]:
    """Layers that were asked for, all of them known; where None so many, spread over the known."""
    if layers is not None:
        return [one_of("layer", name, known) for name in layers]
    if not known:
        return []
    places = np.unique(np.linspace(0, len(known) - 1, count).round().astype(int))
    return [known[i] for i in places]


def _require(result: xr.Dataset | None, name: str, function: str) -> None:
    if result is None or (isinstance(result, xr.Dataset) and name in result.data_vars):
        return
    raise InputError(
        came=f"a {type(result).__name__} without {name!r}",
        expected=f"a result of nc.statistics.{function}",
        hint=f"nc.statistics.{function}(tree)",
    )
