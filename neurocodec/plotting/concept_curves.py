"""Curves of concept vectors that are put into a layer, and taken out (GIG fig. 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style

TITLES = {"insert": "vectors put in", "delete": "vectors taken out"}


def plot_concept_curve(found: xr.Dataset | Mapping[str, xr.Dataset], *, title: str = "") -> Figure:
    """Draw what becomes of a target as concept vectors are put in and taken out.

    Parameters
    ----------
    found
        Of `nc.concept_curve`; or several by name, such as the name of the layer, which stands
        beside its row.
    title
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each outcome of each result; on the right the area of insertion minus that of
        deletion, where both were made. Bands and bars are intervals over images. A ranking has one
        color in all rows.

    Raises
    ------
    InputError
        Where the result is another, or one of several has other kinds than the first.

    Examples
    --------
    >>> dims = ("ranking", "kind", "fraction", "outcome")
    >>> shown = xr.DataArray(np.ones((2, 1, 3, 1)), dims=dims, coords={"ranking": ["gig", "random"],
    ...     "kind": ["insert"], "fraction": [0.0, 0.5, 1.0], "outcome": ["projection"]})
    >>> ends = shown.expand_dims(bound=["low", "high"], axis=-1)
    >>> found = xr.Dataset({"mean_concept_curve": shown, "mean_concept_curve_interval": ends})
    >>> [ax.get_title(loc="left") for ax in plot_concept_curve(found).axes]
    ['vectors put in']
    >>> len(plot_concept_curve({"early": found, "late": found}).axes)
    2
    """
    results: Mapping[str, Any] = {"": found}
    if isinstance(found, Mapping) and not isinstance(found, xr.Dataset):  # which is one too
        results = found
    kinds = _kinds(results)
    rows = [
        (f"{name}\n{outcome}" if name else str(outcome), result.sel({v.OUTCOME: outcome}))
        for name, result in results.items()
        for outcome in result[v.OUTCOME].values
    ]
    both = all(v.ADVANTAGE in own for _, own in rows)
    figure = style.new_figure(0.3 + 2.4 * len(rows))
    grid = figure.subplots(len(rows), len(kinds) + both, squeeze=False)
    names = dict.fromkeys(str(n) for _, own in rows for n in own[v.RANKING].values)
    colors = dict(zip(names, style.CATEGORIES, strict=False))
    for axes, (label, own) in zip(grid, rows, strict=True):
        for ax, kind in zip(axes, kinds, strict=False):
            _curves(ax, own.sel({v.KIND: kind}), colors)
            style.tidy(ax, TITLES[kind], xlabel="part of the vectors", ylabel=label)
        if both:
            _advantages(axes[-1], own, colors)
    fullest = max(range(len(rows)), key=lambda i: rows[i][1].sizes[v.RANKING])
    style.legend_outside(figure, grid[fullest, 0])
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure


def _kinds(results: Mapping[str, Any]) -> list[str]:
    """Kinds of curves that all results have."""
    first: list[str] = []
    for name, one in results.items():
        if not isinstance(one, xr.Dataset) or "mean_concept_curve" not in one:
            raise InputError(
                came=f"found{f'[{name!r}]' if name else ''} of type {type(one).__name__}",
                expected="a result of nc.concept_curve",
                hint="nc.plot.concept_curve(nc.concept_curve(net, images, source=a, target=b))",
            )
        kinds = [str(kind) for kind in one[v.KIND].values]
        first = first or kinds
        if kinds != first:
            raise InputError(
                came=f"found[{name!r}] with the kinds {kinds}",
                expected=f"the kinds of the first, {first}",
                hint=f"nc.concept_curve(..., kind={tuple(first)!r})",
            )
    if not first:
        raise InputError(
            came="no result",
            expected="at least one result of nc.concept_curve",
            hint='nc.plot.concept_curve({"layer3.1": found})',
        )
    return first


def _curves(ax: Axes, own: xr.Dataset, colors: dict[str, str]) -> None:
    shares = own[v.FRACTION].values
    for ranking in own[v.RANKING].values.tolist():
        color = colors[ranking]
        one = own.sel({v.RANKING: ranking})
        ends = one["mean_concept_curve_interval"].transpose(v.BOUND, ...).values
        ax.plot(shares, one["mean_concept_curve"], color=color, label=style.plain(ranking))
        ax.fill_between(shares, *ends, color=color, alpha=0.15, linewidth=0)
    if own[v.OUTCOME].item() != "projection":
        ax.set_ylim(-0.02, 1.02)


def _advantages(ax: Axes, own: xr.Dataset, colors: dict[str, str]) -> None:
    """Bars of the area between insertion and deletion."""
    rankings = own[v.RANKING].values.tolist()
    places = np.arange(len(rankings))
    middle = own[v.ADVANTAGE].values
    low, high = own[f"{v.ADVANTAGE}_interval"].transpose(v.BOUND, ...).values
    ends = np.maximum([middle - low, high - middle], 0)
    ax.barh(places, middle, color=[colors[name] for name in rankings], xerr=ends, ecolor=style.INK)
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    ax.set_yticks(places, style.plain_all(rankings))
    ax.invert_yaxis()
    style.tidy(ax, "put in - taken out", xlabel="difference of areas")
