"""Figures of networks whose channels are ablated or preserved (CODEC fig. 6 and 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.plotting import style

KINDS: Final = {"ablate": "ablated", "preserve": "preserved"}
_TARGET, _OFF = style.CATEGORIES[1], style.INK
_GROUPS: Final = ("target", "off_target")
_RANDOM: Final = "random"

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def plot_channel_scores(
    scores: xr.DataArray, name: str, *, count: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw the scores of a layer's channels, sorted, with those that are perturbed first (fig. 6B).

    Parameters
    ----------
    scores
        `channel_score` of `nc.rankings`.
    name
        Which category or concept.
    count
        Channels that are highlighted.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.axes.Axes
        Channels by rank, highlighted ones with their number where there are at most 12.

    Raises
    ------
    UnknownNameError
        Where there is no such category or concept.

    Examples
    --------
    >>> scores = xr.DataArray([[0.1, 0.7]], {"category": ["a"]}, ("category", "channel"))
    >>> plot_channel_scores(scores, "a", count=1).get_xlabel()
    'channels by rank'
    """
    one = _chosen(scores, group_of(scores), name)
    if v.DRAW in one.dims:
        one = one.isel({v.DRAW: 0})
    values = np.asarray(one.values, dtype=float)
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
    ax = style.new_axes(ax, 2.4, 4.8)
    rank, found = np.arange(1, len(order) + 1), values[order]
    ax.plot(rank, found, color=style.MUTED, linewidth=1.2)
    ax.plot(rank[:count], found[:count], "o", color=_TARGET, markersize=4)
    if count <= 12:
        channels = one[v.CHANNEL].values[order] if v.CHANNEL in one.coords else order
        text = ", ".join(str(c) for c in channels[:count])
        ax.text(
            *(0.98, 0.92, style.plain(f"first: {text}")),
            transform=ax.transAxes,
            ha="right",
            va="top",
            fontsize=style.TEXT - 1.5,
            color=_TARGET,
            wrap=True,
        )
    ax.set_xlim(0, len(order) + 1)
    return style.tidy(ax, name, xlabel="channels by rank", ylabel="score")


def plot_class_perturbation(
    curve: xr.Dataset,
    name: str,
    *,
    ranking: str | None = None,
    scores: xr.DataArray | None = None,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw what becomes of one class and of the others (fig. 6B-C).

    Parameters
    ----------
    curve
        As `nc.perturbation_curve` returns it.
    name
        Which category or concept.
    ranking
        Which ranking; the first where None.
    scores
        Of this ranking, drawn beside; those of the fraction next to a tenth are highlighted.
    note
        Added to the title, such as a layer.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Accuracy on images of the class and of others against the part of the channels, with
        intervals; dots in grey are single draws. A dashed line is the unperturbed network.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     np.eye(2), {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> scores = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    >>> curve = nc.perturbation_curve(net, images, "hidden", scores, progress=False)
    >>> plot_class_perturbation(curve, "a").axes[0].get_ylabel()
    'accuracy'
    """
    group = _require(curve)
    ranking = ranking or str(curve[v.RANKING].values[0])
    one = _chosen(_chosen(curve, group, name), v.RANKING, ranking)
    kinds = [str(kind) for kind in curve[v.KIND].values]
    width = len(kinds) + (scores is not None)
    figure = figure or style.new_figure(2.6, min(style.WIDTH, 3.2 * width + 1))
    axes = list(figure.subplots(1, width, squeeze=False)[0])
    if scores is not None:
        plot_channel_scores(scores, name, count=_few(curve), ax=axes.pop(0))
    for ax, kind in zip(axes, kinds, strict=True):
        _draw_groups(ax, one.sel({v.KIND: kind}))
        _share_axis(ax, kind)
    axes[0].set_ylabel("accuracy", fontsize=style.TEXT)
    style.legend_outside(figure, axes[0])
    style.tidy(axes[0], f"{name}, {ranking}{note}")
    return figure


def _few(curve: xr.Dataset) -> int:
    """Channels of the fraction next to a tenth."""
    place = int(np.abs(curve[v.FRACTION].values - 0.1).argmin())
    return max(1, int(curve["n_channels"].values[place]))


def _draw_groups(ax: Axes, one: xr.Dataset) -> None:
    share = one["channel_share"].values
    looks = ((_TARGET, "this class"), (_OFF, "others"))
    for where, (color, label) in zip(_GROUPS, looks, strict=True):
        part = one.sel({v.GROUP: where})
        ends = part["accuracy_interval"].transpose(v.BOUND, v.FRACTION).values
        ax.plot(share, part["accuracy_draw"], ".", color=style.RECORDED, markersize=3)
        ax.fill_between(share, *ends, color=color, alpha=0.15, linewidth=0)
        ax.plot(share, part["accuracy"], "o-", color=color, markersize=3, label=style.plain(label))
        ax.axhline(float(part["baseline_accuracy"]), color=color, linestyle="--", linewidth=0.7)
    ax.set_ylim(-0.03, 1.03)


def plot_perturbation(curve: xr.Dataset, *, note: str = "", figure: Figure | None = None) -> Figure:
    """Draw the normalised accuracy of target and other classes, mean over classes (fig. 6D).

    Parameters
    ----------
    curve
        As `nc.perturbation_curve` returns it.
    note
        Added to the title, such as a layer.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for ablation and one for preservation; a colour for each ranking, solid with a
        band for the target classes, dotted for off-target images.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     np.eye(2), {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> scores = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    >>> curve = nc.perturbation_curve(net, images, "hidden", scores, progress=False)
    >>> len(plot_perturbation(curve).axes)
    2
    """
    _require(curve)
    kinds = [str(kind) for kind in curve[v.KIND].values]
    figure = figure or style.new_figure(3.0, 4.0 * len(kinds) + 1.6)
    axes = list(figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0])
    for ax, kind in zip(axes, kinds, strict=True):
        for name, color in ranking_colors(curve[v.RANKING].values.tolist()).items():
            _draw_mean(ax, curve.sel({v.KIND: kind, v.RANKING: name}), name, color)
        ax.axhline(1.0, color=style.MUTED, linestyle="--", linewidth=0.7)
        _share_axis(ax, kind)
    categories = int(curve["n_categories"].min())
    axes[0].set_ylabel("accuracy / unperturbed", fontsize=style.TEXT)
    style.tidy(axes[0], f"mean of {categories} classes{note}")
    axes[-1].plot([], [], ":", color=style.MUTED, label="off-target images")
    style.legend_outside(figure, axes[-1])
    return figure


def _draw_mean(ax: Axes, one: xr.Dataset, name: str, color: str) -> None:
    share = one["channel_share"].values
    target, off = (one.sel({v.GROUP: where}) for where in _GROUPS)
    ends = target["mean_normalized_accuracy_interval"].transpose(v.BOUND, v.FRACTION).values
    ax.fill_between(share, *ends, color=color, alpha=0.13, linewidth=0)
    ax.plot(share, target["mean_normalized_accuracy"], "-", color=color, label=style.plain(name))
    ax.plot(share, off["mean_normalized_accuracy"], ":", color=color, linewidth=1.2)


def plot_perturbation_areas(
    curves: Mapping[str, xr.Dataset], *, note: str = "", figure: Figure | None = None
) -> Figure:
    """Draw the area between off-target and target curves, layer by layer (fig. 6E).

    Parameters
    ----------
    curves
        Layer -> what `nc.perturbation_curve` returned for it, in the order of the layers; all
        with the same rankings and kinds.
    note
        Added to the title.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each kind; a colour for each ranking, with its interval as a band.

    Raises
    ------
    InputError
        Where there is no layer, or rankings differ between layers.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     np.eye(2), {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> scores = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    >>> curve = nc.perturbation_curve(net, images, "hidden", scores, progress=False)
    >>> len(plot_perturbation_areas({"layer1": curve}).axes)
    2
    """
    if not curves:
        raise InputError(came="no curves", expected="at least one layer")
    layers, (first, *_) = list(curves), curves.values()
    for curve in curves.values():
        _require(curve)
        for dim in (v.RANKING, v.KIND):
            if curve[dim].values.tolist() != first[dim].values.tolist():
                raise InputError(
                    came=f"layers with different {dim}", expected=f"the same {dim} in all"
                )
    kinds = [str(kind) for kind in first[v.KIND].values]
    figure = figure or style.new_figure(2.6 * len(kinds))
    axes = list(figure.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0])
    for ax, kind in zip(axes, kinds, strict=True):
        for name, color in ranking_colors(first[v.RANKING].values.tolist()).items():
            chosen = {v.KIND: kind, v.RANKING: name}
            area = np.array([float(c["area"].sel(chosen)) for c in curves.values()])
            ends = np.array([c["area_interval"].sel(chosen).values for c in curves.values()])
            _draw_line(ax, area, ends, name, color)
        ax.axhline(0.0, color=style.MUTED, linewidth=0.7)
        style.tidy(ax, f"{KINDS[kind]}{note}", ylabel="area / off-target area")
    axes[-1].set_xticks(
        range(len(layers)), style.plain_all(layers), rotation=90 if len(layers) > 6 else 0
    )
    style.legend_outside(figure, axes[0])
    return figure


def _draw_line(ax: Axes, area: NDArray[Any], ends: NDArray[Any], name: str, color: str) -> None:
    place = np.arange(len(area))
    ax.fill_between(place, ends[:, 0], ends[:, 1], color=color, alpha=0.13, linewidth=0)
    ax.plot(place, area, "o-", color=color, markersize=3, label=style.plain(name))


def ranking_colors(names: Sequence[str]) -> dict[str, str]:
    """Colour of each ranking, grey for a random one; the same rankings have the same colours."""
    colors = iter(style.CATEGORIES * 5)
    return {str(n): style.MUTED if str(n) == _RANDOM else next(colors) for n in names}


def _share_axis(ax: Axes, kind: str) -> None:
    """Label the axis of fractions, wide where they are close to zero."""
    ax.set_xscale("symlog", linthresh=0.05, linscale=0.7)
    shown = [0.0, 0.05, 0.1, 0.2, 0.5, 1.0]
    ax.set_xticks(shown, style.plain_all([f"{100 * f:g}" for f in shown]))
    ax.minorticks_off()
    ax.set_xlim(-0.003, 1.05)
    style.tidy(ax, "", xlabel=f"channels {KINDS[kind]} (%)")


def _chosen(data: Labelled, dim: str, name: str) -> Labelled:
    names = [str(n) for n in data[dim].values]
    return data.isel({dim: names.index(one_of(dim, name, names))})


def _require(curve: xr.Dataset) -> str:
    if "mean_normalized_accuracy" not in getattr(curve, "data_vars", ()):
        raise InputError(
            came=f"a {type(curve).__name__} without `mean_normalized_accuracy`",
            expected="what nc.perturbation_curve returns",
            hint="nc.perturbation_curve(...)",
        )
    return group_of(curve)


def group_of(data: xr.DataArray | xr.Dataset) -> str:
    """Dim of the classes that scores and curves are of: `category` or `concept`."""
    return v.CONCEPT if v.CONCEPT in data.dims else v.CATEGORY
