"""Figures of networks that are steered: dose and response."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.perturbation import ranking_colors

_RANDOM = "random"


def plot_steering(curve: xr.Dataset, *, note: str = "", figure: Figure | None = None) -> Figure:
    """Draw what becomes of target and other images as classes are scaled.

    Parameters
    ----------
    curve
        As `nc.steering_curve` returns it.
    note
        Added to the title, such as a layer.
    figure
        Where to draw; a new one where None.

    Returns
    -------
    matplotlib.figure.Figure
        Change of the output of an image's own label, and accuracy, against the factor; a colour
        for each kind of share (grey for random ones), solid with a band for the class that is
        steered, dotted for all other images.

    Raises
    ------
    InputError
        Where it is no such result.

    Examples
    --------
    >>> import numpy as np
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     np.eye(2), {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> shares = xr.DataArray(np.eye(2), {"category": ["a", "b"]}, ("category", "channel"))
    >>> curve = nc.steering_curve(net, images, "hidden", shares, progress=False)
    >>> [ax.get_ylabel() for ax in plot_steering(curve).axes]
    ['change of own output', 'accuracy']
    """
    if "mean_label_change" not in getattr(curve, "data_vars", ()):
        raise InputError(
            came=f"a {type(curve).__name__} without `mean_label_change`",
            expected="what nc.steering_curve returns",
            hint="nc.steering_curve(...)",
        )
    figure = figure or style.new_figure(3.0, 9.0)
    panels = {"mean_label_change": "change of own output", "mean_accuracy": "accuracy"}
    axes = list(figure.subplots(1, 2, squeeze=False)[0])
    names = [str(name) for name in curve[v.RANKING].values]
    known = ranking_colors([n for n in names if not n.startswith(_RANDOM)])
    group = v.CONCEPT if v.CONCEPT in curve.dims else v.CATEGORY
    for ax, (variable, label) in zip(axes, panels.items(), strict=True):
        for name in names:
            one = curve.sel({v.RANKING: name})
            _draw(ax, one, variable, name, known.get(name, style.MUTED))
        ax.axvline(1.0, color=style.MUTED, linestyle="--", linewidth=0.7)
        title = f"mean of {curve.sizes[group]} classes{note}" if ax is axes[0] else ""
        style.tidy(ax, title, xlabel="factor", ylabel=label)
    axes[0].axhline(0.0, color=style.MUTED, linewidth=0.7)
    axes[-1].plot([], [], ":", color=style.MUTED, label="other images")
    style.legend_outside(figure, axes[-1])
    return figure


def _draw(ax: Axes, one: xr.Dataset, variable: str, name: str, color: str) -> None:
    factor = one[v.FACTOR].values
    target, off = (one.sel({v.GROUP: where}) for where in ("target", "off_target"))
    ends = target[f"{variable}_interval"].transpose(v.BOUND, v.FACTOR).values
    ax.fill_between(factor, *ends, color=color, alpha=0.13, linewidth=0)
    ax.plot(factor, target[variable], "o-", color=color, markersize=3, label=style.plain(name))
    ax.plot(factor, off[variable], ":", color=color, linewidth=1.2)
