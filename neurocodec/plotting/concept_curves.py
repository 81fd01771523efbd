"""Curves of concept vectors that are put into a layer, and taken out (GIG fig. 4 and 5)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style

TITLES = {"insert": "vectors put in", "delete": "vectors taken out"}


def plot_concept_curve(found: xr.Dataset, *, title: str = "") -> Figure:
    """Draw what becomes of a target as concept vectors are put in and taken out.

    Parameters
    ----------
    found
        Of `nc.concept_curve`.
    title
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each outcome; on the right the area of insertion minus that of deletion, where
        both were made. Bands and bars are intervals over images.

    Raises
    ------
    InputError
        Where the result is another.

    Examples
    --------
    >>> dims = ("ranking", "kind", "fraction", "outcome")
    >>> shown = xr.DataArray(np.ones((2, 1, 3, 1)), dims=dims, coords={"ranking": ["gig", "random"],
    ...     "kind": ["insert"], "fraction": [0.0, 0.5, 1.0], "outcome": ["projection"]})
    >>> ends = shown.expand_dims(bound=["low", "high"], axis=-1)
    >>> found = xr.Dataset({"mean_concept_curve": shown, "mean_concept_curve_interval": ends})
    >>> [ax.get_title(loc="left") for ax in plot_concept_curve(found).axes]
    ['vectors put in']
    """
    if not isinstance(found, xr.Dataset) or "mean_concept_curve" not in found:
        raise InputError(
            came=f"found of type {type(found).__name__}",
            expected="a result of nc.concept_curve",
            hint="nc.plot.concept_curve(nc.concept_curve(net, images, source=a, target=b))",
        )
    outcomes, kinds = (found[d].values.tolist() for d in (v.OUTCOME, v.KIND))
    both = v.SEPARATION in found
    figure = style.new_figure(0.3 + 2.4 * len(outcomes))
    grid = figure.subplots(len(outcomes), len(kinds) + both, squeeze=False)
    colors = dict(zip(found[v.RANKING].values.tolist(), style.CATEGORIES, strict=False))
    for axes, outcome in zip(grid, outcomes, strict=True):
        own = found.sel({v.OUTCOME: outcome})
        for ax, kind in zip(axes, kinds, strict=False):
            _curves(ax, own.sel({v.KIND: kind}), colors, str(outcome))
            style.tidy(ax, TITLES[str(kind)], xlabel="part of the vectors", ylabel=str(outcome))
        if both:
            _separations(axes[-1], own, colors)
    style.legend_outside(figure, grid[0, 0])
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure


def _curves(ax: Axes, own: xr.Dataset, colors: dict[str, str], outcome: str) -> None:
    shares = own[v.FRACTION].values
    for ranking, color in colors.items():
        one = own.sel({v.RANKING: ranking})
        ends = one["mean_concept_curve_interval"].transpose(v.BOUND, ...).values
        ax.plot(shares, one["mean_concept_curve"], color=color, label=style.plain(ranking))
        ax.fill_between(shares, *ends, color=color, alpha=0.15, linewidth=0)
    if outcome != "projection":
        ax.set_ylim(-0.02, 1.02)


def _separations(ax: Axes, own: xr.Dataset, colors: dict[str, str]) -> None:
    """Bars of the area between insertion and deletion."""
    places = np.arange(len(colors))
    middle = own[v.SEPARATION].values
    low, high = own[f"{v.SEPARATION}_interval"].transpose(v.BOUND, ...).values
    ends = np.maximum([middle - low, high - middle], 0)
    ax.barh(places, middle, color=[*colors.values()], xerr=ends, ecolor=style.INK)
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    ax.set_yticks(places, style.plain_all(colors))
    ax.invert_yaxis()
    style.tidy(ax, "put in - taken out", xlabel="difference of areas")
