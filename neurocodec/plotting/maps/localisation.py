"""Figures of where maps lie: scores against masks, and deletion and insertion of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.maps.deletion_curve import SHARE
from neurocodec.plotting import style

_MODES, _CONTROL = style.CATEGORIES[1], style.INK
_DRAWS: Final = 1000
"""Bootstrap draws of a band."""


def plot_localisation(
    compared: xr.Dataset, *, note: str = "", figure: Figure | None = None
) -> Figure:
    """Draw how well maps of modes keep inside of objects, against those of others.

    Parameters
    ----------
    compared
        As `nc.compare_localisation` returns it.
    note
        Added to the title, such as a layer.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Localisation and pointing of all maps, means over images with intervals (a dashed line is
        chance), and each mode against random sets of as many channels, sorted; filled where the
        interval of the difference leaves out zero.

    Examples
    --------
    >>> import neurocodec as nc, torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.ReLU(), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"conv": "0"})
    >>> dims = ("stimulus", "color", "y", "x")
    >>> images = xr.DataArray(np.ones((2, 1, 2, 2), "float32"), dims=dims)
    >>> mask = xr.DataArray([[True, False], [False, False]], dims=("y", "x"))
    >>> mode = xr.DataArray([[1.0, 0.0]], dims=("mode", "channel"))
    >>> target = nc.targets.Sum()
    >>> found = nc.compare_localisation(
    ...     net, images, mask, "conv", mode, target=target, top=1, progress=False
    ... )
    >>> plot_localisation(found).axes[0].get_xlabel()
    'localisation (energy inside / area)'
    """
    if "mean_localisation" not in compared:
        raise InputError(
            came=f"a Dataset with {[*map(str, compared.data_vars)]}",
            expected="what nc.compare_localisation returns",
        )
    figure = figure or style.new_figure(2.7)
    scores, pointing, modes = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    names = [str(name) for name in compared[v.MAP].values]
    _draw_means(scores, compared, "localisation", names, 1.0)
    area = float(compared["mask_area"].mean())
    _draw_means(pointing, compared, "pointing", names, area)
    style.tidy(
        scores,
        f"{compared.sizes[v.STIMULUS]} images{note}",
        xlabel="localisation (energy inside / area)",
    )
    style.tidy(pointing, "pointing game", xlabel="part of the maps")
    pointing.tick_params(labelleft=False)
    _draw_modes(modes, compared)
    return figure


def _draw_means(
    ax: Axes, compared: xr.Dataset, score: str, names: list[str], chance: float
) -> None:
    mean = compared[f"mean_{score}"].values
    ends = compared[f"mean_{score}_interval"].transpose(v.BOUND, v.MAP).values
    rows = np.arange(len(names))
    for row, name in zip(rows, names, strict=True):
        color = _MODES if "mode" in name else _CONTROL
        ax.plot(ends[:, row], [row, row], color=color, linewidth=1.4)
        ax.plot(mean[row], row, "o", color=color, markersize=4.5)
    ax.axvline(chance, color=style.MUTED, linestyle="--", linewidth=0.8)
    ax.text(
        chance,
        len(rows) - 0.45,
        " chance",
        color=style.MUTED,
        fontsize=style.TEXT - 1.5,
        va="bottom",
        ha="left",
    )
    ax.set_yticks(rows, style.plain_all(names))
    ax.set_ylim(len(rows) - 0.5, -0.5)


def _draw_modes(ax: Axes, compared: xr.Dataset) -> None:
    """Each mode minus random sets."""
    chosen = {"control": "random sets"}
    value = compared["mode_difference"].sel(chosen).values
    ends = compared["mode_difference_interval"].sel(chosen).transpose(v.BOUND, v.MODE).values
    order = np.argsort(np.where(np.isnan(value), -np.inf, value))[::-1]
    rank = np.arange(1, len(order) + 1)
    clear = (ends[0] > 0) | (ends[1] < 0)
    ax.axhline(0.0, color=style.MUTED, linestyle="--", linewidth=0.8)
    ax.vlines(rank, *ends[:, order], color=_MODES, linewidth=1.0)
    for marked, face in ((clear, _MODES), (~clear, "white")):
        some = marked[order]
        ax.plot(
            rank[some], value[order][some], "o", color=_MODES, markerfacecolor=face, markersize=4
        )
    style.tidy(
        ax, "each mode - random sets", xlabel="modes, sorted", ylabel="difference of localisation"
    )


def plot_pixel_curves(
    curves: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    confidence: float = 0.95,
    note: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Draw what becomes of the target when pixels are replaced in the order of maps.

    Parameters
    ----------
    curves
        As `nc.deletion_curve` returns it, or several of them by title. Maps of one further dim,
        such as `mode`, are lines; other dims have to be selected.
    confidence
        Of the bands, bootstrap intervals over images.
    note
        Added to the title.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each; means over images, the random order dashed.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), [])
    >>> images = xr.DataArray(np.ones((2, 1, 2, 2)), dims=("stimulus", "color", "y", "x"))
    >>> target = nc.targets.Output(0)
    >>> curve = nc.deletion_curve(net, images, images, target=target, progress=False)
    >>> plot_pixel_curves(curve).axes[0].get_xlabel()
    'part of the pixels replaced'
    """
    panels = {"": curves} if isinstance(curves, xr.Dataset) else dict(curves)
    width = min(style.WIDTH, 3.6 * len(panels) + 1.2)
    figure = figure or style.new_figure(2.8, width)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (name, curve) in zip(axes, panels.items(), strict=True):
        _draw_curves(ax, curve, confidence)
        kind = str(curve.attrs.get("kind", ""))
        title = kind.capitalize() if name in ("", kind) else str(name)
        style.tidy(ax, f"{title}{note}", xlabel=str(curve[SHARE].attrs.get("long_name", SHARE)))
    units = next(iter(panels.values()))[v.TARGET].attrs.get("units")
    axes[0].set_ylabel(
        style.plain(style.with_units("target, mean over images", units)), fontsize=style.TEXT
    )
    style.legend_outside(figure, axes[0], 1.0)
    return figure


def _draw_curves(ax: Axes, curve: xr.Dataset, confidence: float) -> None:
    lines = [str(d) for d in curve[v.TARGET].dims if d not in (v.STIMULUS, SHARE)]
    if len(lines) > 1:
        raise InputError(
            came=f"curves with the dims {curve[v.TARGET].dims}",
            expected="one further dim at most",
            hint=f"curve.sel({lines[1]}={curve[lines[1]].values[0]!r})",
        )
    share = curve[SHARE].values
    every = curve[v.TARGET].transpose(*lines, v.STIMULUS, SHARE).values
    every = every if lines else every[None]
    names = _line_names(curve[lines[0]]) if lines else [v.MAP]
    for i, (values, name) in enumerate(zip(every, names, strict=True)):
        ends = mean_intervals(values, _DRAWS, confidence, 0)
        _draw_band(ax, share, ends, style.CATEGORIES[i % 7], name)
    drawn = curve["random_target"].mean(v.DRAW).transpose(v.STIMULUS, SHARE).values
    if np.isfinite(drawn).all():
        ax.plot(share, drawn.mean(0), "--", color=style.MUTED, linewidth=1.2, label="random order")


def _line_names(items: xr.DataArray) -> list[str]:
    return [str(n) if items.name == v.MAP else f"{items.name} {n}" for n in items.values]


def _draw_band(ax: Axes, share: NDArray[Any], ends: NDArray[Any], color: str, name: str) -> None:
    mean, low, high, _ = ends
    ax.fill_between(share, low, high, color=color, alpha=0.15, linewidth=0)
    ax.plot(share, mean, color=color, linewidth=1.5, label=style.plain(name))
