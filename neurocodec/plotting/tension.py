"""Figures of excitation and inhibition: tense images, their maps, how far both tell the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.pictures import displayed

BRIGHT: Final = 0.99
"""Quantile, over the images of a feature, of the map value that is drawn fully bright."""
LEGEND: Final = 32
"""Steps along each side of the two-dimensional legend."""


def plot_tension(
    found: xr.Dataset,
    feature: Any = None,
    *,
    ranked: Mapping[str, xr.DataArray] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw excitation against inhibition of every stimulus, coloured by the target.

    Along a thin line E+ - E- is the same; the dark one is where the target is 0 (by the median of
    what E+ - E- leaves of it: what the target is where nothing contributes).

    Parameters
    ----------
    found
        Of one layer, as `nc.tension` returns it.
    feature
        Label of the feature; the first where None.
    ranked
        By rule, as `nc.rank_stimuli` returns it: stimuli that are ringed.
    title
        Of the axes.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> rows = {"excitation": [1.0, 2.0], "inhibition": [0.0, 2.0], "target": [1.0, 0.0]}
    >>> found = xr.Dataset({name: ("stimulus", values) for name, values in rows.items()})
    >>> figure = plot_tension(found)
    """
    one = _of(found, feature)
    ax = style.new_axes(ax, 4.2, 5.2)
    plus, minus, target = (np.asarray(one[n]) for n in (v.EXCITATION, v.INHIBITION, v.TARGET))
    size, most = np.abs(target).max() or 1.0, max(plus.max(), minus.max()) or 1.0
    look: dict[str, Any] = {"cmap": style.CONTRIBUTIONS, "vmin": -size, "vmax": size}
    offset = float(np.median(plus - minus - target))  # less the target where the line begins
    for value in np.linspace(-size, size, 7):
        color = style.MUTED if abs(value) > 1e-9 * size else style.INK
        level = value + offset
        low = max(level, 0), max(-level, 0)
        ax.plot([low[0], low[0] + most], [low[1], low[1] + most], color=color, lw=0.5, zorder=0)
    dots = ax.scatter(plus, minus, c=target, s=14, edgecolors=style.MUTED, lw=0.2, **look)
    for (rule, places), color in zip((ranked or {}).items(), _colors(ranked), strict=True):
        chosen = np.asarray(_of_feature(places, feature))
        chosen = chosen[chosen >= 0]
        rings: dict[str, Any] = {
            "s": 60,
            "facecolors": "none",
            "edgecolors": color,
            "lw": 1.2,
            "label": style.plain(rule),
        }
        ax.scatter(plus[chosen], minus[chosen], **rings)
    style.tidy(ax, title, xlabel="excitation E+", ylabel="inhibition E-")
    ax.set_xlim(0, 1.03 * most)
    ax.set_ylim(0, 1.03 * most)
    ax.set_box_aspect(1)  # both axes are as long
    figure = style.whole_figure(ax)
    bar = figure.colorbar(dots, ax=ax, shrink=0.8)
    bar.set_label("target; on a line, the same E+ - E-", fontsize=style.TEXT - 1)
    if ranked:
        ax.legend(fontsize=style.TEXT - 1, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def plot_tension_maps(
    found: xr.Dataset, images: xr.DataArray, *, title: str = "", rows: Sequence[str] = ()
) -> Figure:
    """Draw where one feature's images are excited (red), inhibited (blue), or both (green).

    Parameters
    ----------
    found
        With `excitation_map` and `inhibition_map` (..., stimulus, y, x) of one feature; the dim
        `ranking` makes rows.
    images
        Pictures (..., stimulus, color, y, x) or (..., stimulus, y, x), between 0 and 1.
    title
        Of the figure.
    rows
        Names of the rows, where there are several.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> maps = xr.DataArray(np.ones((2, 3, 3)), dims=("stimulus", "y", "x"))
    >>> found = xr.Dataset({"excitation_map": maps, "inhibition_map": 0 * maps})
    >>> figure = plot_tension_maps(found, maps)
    """
    plus, minus = (found[name] for name in (v.EXCITATION_MAP, v.INHIBITION_MAP))
    if set(plus.dims) - {v.RANKING, v.STIMULUS, v.Y, v.X}:
        raise InputError(
            came=f"maps with the dims {plus.dims}",
            expected="maps (stimulus, y, x) of one feature, or (ranking, stimulus, y, x)",
            hint="found.isel(feature=0)",
        )
    if v.RANKING not in plus.dims:
        plus, minus, images = (x.expand_dims(v.RANKING) for x in (plus, minus, images))
    order = (v.RANKING, v.STIMULUS, v.Y, v.X)
    plus, minus = plus.transpose(*order), minus.transpose(*order)
    limit = float(np.quantile(np.maximum(plus, minus), BRIGHT)) or 1.0
    many, count = plus.shape[:2]
    figure = style.new_figure(1.0 + 2.1 * many, 1.4 + 1.15 * count)
    grid = figure.subplots(2 * many, count + 1, squeeze=False)
    for place in range(many):
        pair = grid[2 * place : 2 * place + 2]
        pair[0, 0].set_ylabel(style.plain(rows[place] if rows else "image"), fontsize=style.TEXT)
        for column in range(count):
            here = {v.RANKING: place, v.STIMULUS: column}
            pair[0, column].imshow(displayed(images.isel(here)))
            excited, inhibited = (np.asarray(x.isel(here)) for x in (plus, minus))
            pair[1, column].imshow(tension_colors(excited, inhibited, limit))
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    _legend(grid[0, -1], limit)
    figure.suptitle(style.plain(title), fontsize=style.TEXT, x=0.01, ha="left")
    return figure


def tension_colors(
    plus: NDArray[np.floating], minus: NDArray[np.floating], limit: float
) -> NDArray[np.float64]:
    """Colours (..., 3) of excitation and inhibition: red, blue, green where both; black is none."""
    p, m = (np.clip(x / limit, 0, 1) for x in (plus, minus))
    return np.stack([p * (1 - m), np.minimum(p, m), m * (1 - p)], -1)


def plot_attribution_correlation(
    found: Mapping[str, xr.Dataset], *, measure: str = "pearson", ax: Axes | None = None
) -> Figure:
    """Draw how far E+ - E- tells the target, by layer, for several methods.

    Parameters
    ----------
    found
        By method, as `nc.statistics.attribution_correlation` returns it.
    measure
        ``"pearson"`` or ``"spearman"``.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> rows = xr.Dataset({"pearson": (("layer", "feature"), [[0.2], [0.9]])},
    ...                   {"layer": ["a", "b"]})
    >>> figure = plot_attribution_correlation({"ActGrad": rows})
    """
    ax = style.new_axes(ax, 3.2, 6.4)
    for (name, rows), color in zip(found.items(), _colors(found), strict=True):
        values = np.asarray(rows[measure].transpose(v.LAYER, ...))
        values = values.reshape(len(values), -1)
        places = np.arange(len(values))
        ax.plot(places, np.median(values, 1), "o-", ms=4, color=color, label=style.plain(name))
        ax.vlines(places, values.min(1), values.max(1), color=color, lw=0.8)
    layers = next(iter(found.values()))[v.LAYER].values
    ax.set_xticks(range(len(layers)), style.plain_all(layers), rotation=30, ha="right")
    lowest = min(float(np.asarray(rows[measure]).min()) for rows in found.values())
    ax.set_ylim(min(0.0, lowest) - 0.03, 1.03)
    ax.axhline(0, color=style.MUTED, lw=0.5)
    place: dict[str, Any] = {
        "loc": "lower right",
        "bbox_to_anchor": (1, 1),
    }
    ax.legend(fontsize=style.TEXT - 1, frameon=False, **place)
    label = f"{measure.capitalize()}'s correlation with the target"
    style.tidy(ax, "medians and ranges over features", ylabel=label)
    return style.whole_figure(ax)


def plot_uniqueness(found: Mapping[str, xr.Dataset], *, ax: Axes | None = None) -> Figure:
    """Draw how many stimuli features have to themselves, by rule, over the band of chance.

    Parameters
    ----------
    found
        By rule, as `nc.statistics.uniqueness` returns it.
    ax
        Where to draw; a new figure where None.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import neurocodec as nc
    >>> ranked = xr.DataArray([[0, 1], [1, 2]], dims=("feature", "rank"))
    >>> figure = plot_uniqueness({"tension": nc.statistics.uniqueness(ranked, stimuli=4)})
    """
    ax = style.new_axes(ax, 3.2, 6.4)
    for place, (rows, color) in enumerate(zip(found.values(), _colors(found), strict=True)):
        ends = np.asarray(rows["uniqueness_interval"].transpose(..., v.BOUND)).ravel()
        chance = np.asarray(rows["chance_uniqueness_interval"].transpose(..., v.BOUND)).ravel()
        ax.fill_between([place - 0.4, place + 0.4], *chance, color=style.RECORDED, lw=0)
        ax.vlines(place, *ends, color=color, lw=1.2)
        ax.plot(place, float(rows["uniqueness"]), "o", color=color, ms=5)
    ax.set_xticks(range(len(found)), style.plain_all(found))
    ax.set_ylim(0, 1.03)
    style.tidy(ax, "grey: random choices (95 %)", ylabel="uniqueness U")
    return style.whole_figure(ax)


def _of(found: xr.Dataset, feature: Any) -> Any:
    missing = [n for n in (v.EXCITATION, v.INHIBITION, v.TARGET) if n not in found]
    if missing:
        raise InputError(
            came=f"a Dataset without {missing[0]!r}",
            expected="one layer, as nc.tension returns it",
            hint="tree['layer1'].to_dataset()",
        )
    return _of_feature(found, feature)


def _of_feature(found: Any, feature: Any) -> Any:
    if v.FEATURE not in found.dims:
        return found
    if feature is None:
        return found.isel({v.FEATURE: 0})
    known = found[v.FEATURE].values.tolist()
    if feature not in known:
        raise InputError(
            came=f"feature {feature!r}",
            expected=f"one of {known[:10]}",
            hint=f"feature={known[0]!r}",
        )
    return found.isel({v.FEATURE: known.index(feature)})


def _colors(names: Mapping[str, Any] | None) -> list[str]:
    every = style.CATEGORIES
    return [every[i % len(every)] for i in range(len(names or ()))]


def _legend(ax: Axes, limit: float) -> None:
    """The two-dimensional legend of the maps."""
    steps = np.linspace(0, limit, LEGEND)
    ax.imshow(tension_colors(*np.meshgrid(steps, steps), limit), origin="lower")
    ax.set_xlabel(style.plain(f"E+, to {limit:.2g}"), fontsize=style.TEXT - 2)
    ax.set_ylabel("E-", fontsize=style.TEXT - 2)
