"""Figures of graphs of concept vectors: which make which, up to an answer (GIG fig. 1 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Line

from neurocodec import vocabulary as v
from neurocodec.concept_graphs.tables import ANSWER, CONCEPT, FROM, RESIDUAL, TO, require_graph
from neurocodec.errors import unknown_name
from neurocodec.plotting import style

HIGH: Final = 0.16
"""Height of a node, in rows."""
LOW: Final = 0.29
"""How far below the middle of a node edges end: below its number."""
WIDE: Final = 0.86
"""Width of the widest node, in places."""


def plot_concept_graph(
    found: xr.DataTree, category: str | None = None, *, least: float = 0.03, title: str = ""
) -> Figure:
    """Draw a graph of concept vectors: layers as rows, the answers at the top.

    Parameters
    ----------
    found
        As `nc.concept_graph` returns it.
    category
        Which; the first entry, of all images where there are several, when None.
    least
        Edges are drawn from this share of what goes into their target on.
    title
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Nodes are as wide as their contribution to the answer is large, red where they raise it;
        edges as thick as their share. Hatched: the residual, no wider than any concept vector.

    Examples
    --------
    >>> nodes = xr.Dataset({"contribution": (("category", "node"), [[2.0, 2.0]])},
    ...                    {"category": ["cat"], "node": ["late:3", "cat"],
    ...                     "layer": ("node", ["late", "answer"]), "mode": ("node", [3, 0]),
    ...                     "kind": ("node", ["concept", "answer"])})
    >>> edges = xr.Dataset({"edge_contribution": (("category", "edge"), [[2.0]])},
    ...                    {"category": ["cat"], "edge": ["late:3 -> cat"],
    ...                     "from_node": ("edge", ["late:3"]), "to_node": ("edge", ["cat"])})
    >>> figure = plot_concept_graph(xr.DataTree.from_dict({"nodes": nodes, "edges": edges}))
    """
    nodes, edges = require_graph(found)
    known = [str(name) for name in nodes[v.CATEGORY].values]
    chosen = known[0] if category is None else category
    if chosen not in known:
        raise unknown_name("category", chosen, known)
    one, pairs = (part.sel({v.CATEGORY: chosen}) for part in (nodes, edges))
    places = _places(one)
    layers = list(dict.fromkeys(one[v.LAYER].values.astype(str).tolist()))
    most = max(len([p for p in places.values() if p[1] == row]) for row in range(len(layers)))
    figure = style.new_figure(1.5 * len(layers) + 0.6, max(style.WIDTH, 0.7 * most + 1.6))
    ax = figure.add_subplot()
    limit = _limit(one)
    for edge in range(pairs.sizes[v.EDGE]):
        _edge(ax, pairs.isel({v.EDGE: edge}), places, least)
    for name, (x, row) in places.items():
        _node(ax, one.sel({v.NODE: name}), x, row, limit)
    _rows(ax, found, layers, chosen, known)
    half = max(most / 2, 1.0)
    ax.set(xlim=(-half - 0.2, half + 0.2), ylim=(-0.5, len(layers) - 0.3), xticks=[])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    scale = ScalarMappable(Normalize(-limit, limit), style.CONTRIBUTIONS)
    figure.colorbar(scale, ax=ax, shrink=0.4, label="contribution to the answer")
    count = f", mean of {int(one['n_images'])} images" if "n_images" in one.coords else ""
    figure.suptitle(style.plain(title or chosen + count), fontsize=style.TEXT + 1)
    return figure


def _places(one: xr.Dataset) -> dict[str, tuple[float, int]]:
    """Middle and row of each node that is shown, those that carry most first, the residual last."""
    layers = list(dict.fromkeys(one[v.LAYER].values.astype(str).tolist()))
    shown = one["shown"].values if "shown" in one else np.ones(one.sizes[v.NODE], dtype=bool)
    weight = np.nan_to_num((one[v.INFLUENCE] if v.INFLUENCE in one else one[v.CONTRIBUTION]).values)
    weight = np.where(one[v.KIND].values == RESIDUAL, -np.inf, weight)
    found = dict[str, tuple[float, int]]()
    for row, layer in enumerate(layers):
        own = np.flatnonzero((one[v.LAYER].values == layer) & shown)
        for at, i in enumerate(own[np.argsort(-weight[own], kind="stable")]):
            found[str(one[v.NODE].values[i])] = (at - (len(own) - 1) / 2, row)
    return found


def _limit(one: xr.Dataset) -> float:
    """Largest size of a contribution of a concept vector: a residual's may be far larger."""
    values = one[v.CONTRIBUTION].values[one[v.KIND].values == CONCEPT]
    return float(np.nanmax(np.abs(values), initial=0.0)) or 1.0


def _node(ax: Axes, node: xr.Dataset, x: float, row: int, limit: float) -> None:
    value, kind = float(node[v.CONTRIBUTION]), str(node[v.KIND].values)
    answer = kind == ANSWER
    wide = WIDE if answer else min(WIDE, max(0.06, WIDE * abs(value) / limit))
    shade = mpl.colormaps[style.CONTRIBUTIONS](Normalize(-limit, limit)(np.nan_to_num(value)))
    more: dict[str, Any] = {"hatch": "////"} if kind == RESIDUAL else {}
    if "shared" in node and bool(node["shared"]):
        more["linewidth"] = 1.8
    drawn = {"facecolor": shade, "edgecolor": style.INK, "linewidth": 0.7, "zorder": 3, **more}
    ax.add_patch(Rectangle((x - wide / 2, row - HIGH / 2), wide, HIGH, **drawn))
    name = str(node[v.NODE].values) if answer else kind
    text = str(int(node[v.MODE])) if not answer and kind != RESIDUAL else name
    place = row + HIGH if answer else row - HIGH
    options: dict[str, Any] = {"ha": "center", "va": "bottom" if answer else "top", "zorder": 4}
    ax.text(x, place, style.plain(text), fontsize=style.TEXT - 2, color=style.INK, **options)


def _edge(ax: Axes, edge: xr.Dataset, places: dict[str, tuple[float, int]], least: float) -> None:
    source, target = (places.get(str(edge[end].values)) for end in (FROM, TO))
    value = float(edge["edge_contribution"])
    share = float(edge["edge_share"]) if "edge_share" in edge else least
    if source is None or target is None or not np.isfinite(value) or not share >= least:
        return
    (x0, y0), (x1, y1) = (source[0], source[1] + HIGH / 2), (target[0], target[1] - LOW)
    middle = (y0 + y1) / 2
    codes = [Line.MOVETO, Line.CURVE4, Line.CURVE4, Line.CURVE4]
    line = Line([(x0, y0), (x0, middle), (x1, middle), (x1, y1)], codes)
    color = mpl.colormaps[style.CONTRIBUTIONS](0.9 if value > 0 else 0.1)
    wide, clear = 0.4 + 9 * share, min(1.0, 0.25 + 2 * share)
    ax.add_patch(PathPatch(line, facecolor="none", edgecolor=color, linewidth=wide, alpha=clear))


def _rows(
    ax: Axes, found: xr.DataTree, layers: Sequence[str], chosen: str, known: Sequence[str]
) -> None:
    """Names of the rows, with what the residual carries of each."""
    names = list(layers)
    if "layers" in found.children:
        through = found["layers"].to_dataset()["through_concepts"].values[known.index(chosen)]
        for i, part in enumerate(through.tolist()):
            names[i] += f"\nresidual {100 * (1 - part):.0f} %"
    ax.set_yticks(range(len(names)), style.plain_all(names), fontsize=style.TEXT - 1)
