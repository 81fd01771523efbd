"""Figures of how well modes and channels go with classes and concepts (CODEC fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.categories.scores import SUMMARY
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.statistics import band, chosen_layers, layer_ticks

_LOOKS: Final = {
    "contribution_mode": (style.INK, "-", "contribution modes"),
    "activation_mode": (style.CATEGORIES[0], "-", "activation modes"),
    "contribution_channel": (style.INK, ":", "contributions of channels"),
    "activation_channel": (style.CATEGORIES[0], ":", "activations of channels"),
}
_PAIRS: Final = (
    ("modes", ("contribution_mode", "activation_mode")),
    ("channels", ("contribution_channel", "activation_channel")),
)
_LAYERS: Final = 4


def plot_concept_scores(
    scores: xr.DataTree,
    *,
    layers: Sequence[str] | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw the largest correlation of modes and channels with any class, by layer.

    Parameters
    ----------
    scores
        As `nc.concept_scores` returns it.
    layers
        Those with histograms; four, spread over the network, where None.
    note
        Written above, such as "ResNet-56, CIFAR-10 (held-out images)".
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Above, histograms of the largest correlation of each mode (first row) and each channel
        (second row) with any concept, as parts of all units, those of contributions dark, those of
        activations blue. Below, the number of units above the threshold and the median of the
        largest correlation over the layers, with its interval as a band, channels dotted; marks
        show what the largest of all units reaches by chance.

    Raises
    ------
    InputError
        Where it is something else, or has no such layer.

    Examples
    --------
    >>> from neurocodec import class_masks, concept_scores
    >>> node = xr.Dataset({k: (("stimulus", "channel"), np.eye(4))
    ...                    for k in ("contribution", "activation")})
    >>> masks = class_masks(xr.DataArray(["cat", "cat", "dog", "dog"], dims="stimulus"))
    >>> figure = plot_concept_scores(concept_scores(xr.DataTree.from_dict({"/a": node}), masks))
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['part of the channels', 'units above 0.2', 'median of the largest r']
    """
    _require(scores)
    chosen = _chosen(scores, layers)
    summary = scores[SUMMARY].to_dataset()
    kinds = summary[v.KIND].values.tolist()
    pairs = [(n, [k for k in both if k in kinds]) for n, both in _PAIRS if {*both} & {*kinds}]
    rows = len(pairs)
    figure = figure or style.new_figure(1.9 * rows + 3.0)
    parts = figure.subfigures(2, 1, height_ratios=[1.9 * rows, 3.0])
    upper, lower = np.ravel(np.asarray(parts, dtype=object))
    if note:
        upper.suptitle(style.plain(note), fontsize=style.TEXT, color=style.INK, fontweight="bold")
    panels = upper.subplots(rows, len(chosen), squeeze=False, sharex=True)
    for row, (name, both) in enumerate(pairs):
        for column, layer in enumerate(chosen):
            ax = panels[row, column]
            _draw_histogram(ax, scores, layer, both)
            style.tidy(
                ax,
                layer if row == 0 else "",
                xlabel="largest correlation" if row == rows - 1 else "",
                ylabel=f"part of the {name}" if column == 0 else "",
            )
    panels[0, 0].set_xlim(_limits(scores, chosen))  # of all, which share it
    for ax in panels[:, 0]:
        ax.legend(frameon=False, fontsize=style.TEXT - 3, loc="upper right")
    left, right = lower.subplots(1, 2)
    _draw_numbers(left, summary, labels.provenance(scores).get("threshold", 0.2))
    _draw_medians(right, summary)
    return figure


def _draw_histogram(ax: Axes, scores: xr.DataTree, layer: str, kinds: Sequence[str]) -> None:
    bins = np.linspace(-1.025, 1.0, 55)  # a mode may go against the only concept
    for kind in kinds:
        if kind not in scores[layer].children:
            continue
        found = scores[f"{layer}/{kind}"].data_vars["max_correlation"].values
        found = found[np.isfinite(found)]
        color = _LOOKS[kind][0]
        weights = np.full(len(found), 1 / max(len(found), 1))
        ax.hist(
            found,
            bins.tolist(),
            weights=weights,
            color=color,
            alpha=0.45,
            histtype="stepfilled",
            label=style.plain(_LOOKS[kind][2]),
        )
        if len(found):
            ax.axvline(float(np.median(found)), color=color, linewidth=1.0)


def _limits(scores: xr.DataTree, layers: Sequence[str]) -> tuple[float, float]:
    """Ends of the axis that the histograms of all layers share: nothing is cut off."""
    found = [node["max_correlation"] for n in layers for node in scores[n].children.values()]
    values = np.concatenate([np.empty(0), *found])
    values = values[np.isfinite(values)]
    if not len(values):
        return -0.02, 1.0
    return min(-0.02, float(values.min()) - 0.05), min(1.0, max(0.3, float(values.max()) + 0.05))


def _draw_numbers(ax: Axes, scores: xr.Dataset, threshold: float) -> None:
    names = scores[v.LAYER].values.tolist()
    for kind in scores[v.KIND].values.tolist():
        color, line, label = _LOOKS[kind]
        values = (
            scores["n_above"].sel({v.KIND: kind}).where(scores["n_units"].sel({v.KIND: kind}) > 0)
        )
        ax.plot(
            np.arange(len(names)),
            values,
            line,
            color=color,
            linewidth=1.3,
            label=style.plain(label),
            marker="o",
            markersize=2.5,
        )
    layer_ticks(ax, names)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=style.TEXT - 2)
    style.tidy(ax, ylabel=f"units above {threshold:g}")


def _draw_medians(ax: Axes, scores: xr.Dataset) -> None:
    names = scores[v.LAYER].values.tolist()
    for kind in scores[v.KIND].values.tolist():
        part = scores.sel({v.KIND: kind})
        color, line, _ = _LOOKS[kind]
        band(ax, part["median"].values, part["median_interval"].values, color, line)
        chance = part["chance_maximum"].values
        ax.plot(np.arange(len(names)), chance, "_", color=color, markersize=5, alpha=0.6)
    ax.plot([], [], "_", color=style.MUTED, label="largest by chance")
    ax.legend(frameon=False, fontsize=style.TEXT - 2)
    layer_ticks(ax, names)
    style.tidy(ax, ylabel="median of the largest r")


def _chosen(scores: xr.DataTree, layers: Sequence[str] | None) -> list[str]:
    return chosen_layers(scores[SUMMARY].coords[v.LAYER].values.tolist(), layers, _LAYERS)


def _require(scores: object) -> None:
    if isinstance(scores, xr.DataTree) and SUMMARY in scores.children:
        return
    raise InputError(
        came=f"a {type(scores).__name__}",
        expected="a result of nc.concept_scores",
        hint="nc.concept_scores(tree, nc.class_masks(tree))",
    )
