"""Tense images beside pictures of what excites and what inhibits in them (Tense Images fig. 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.plotting import style
from neurocodec.plotting.pictures import deviations, displayed, seen

COLUMNS: Final = 6
FAILED: Final = "#b2182b"
"""Of what is written above a picture that does not do what it is for."""


def plot_inversions(
    inversion: xr.Dataset,
    accentuation: xr.Dataset,
    visualisation: xr.Dataset,
    images: xr.DataArray,
    *,
    title: str = "",
) -> Figure:
    """Draw a row for each image: what excites, what inhibits, and what the feature looks for.

    Parameters
    ----------
    inversion, accentuation
        As `nc.invert` returns them (stimulus, sign), of one feature: from noise, and from the
        images.
    visualisation
        As `nc.visualise` returns it, of the same feature; its first draw is in each row.
    images
        Pictures (stimulus, color, y, x) between 0 and 1, in the order of the others.
    title
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Each picture fades where nothing depends on it, and has its target in standard deviations
        above the mean; of those that do not do what they are for it is red, and says so.

    Examples
    --------
    >>> import torch
    >>> import neurocodec as nc
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 2, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"hidden": "1", "pre": "2"})
    >>> images = xr.DataArray(np.random.default_rng(0).uniform(size=(16, 3, 6, 6)),
    ...                       dims=("stimulus", "color", "y", "x")).astype("float32")
    >>> call = {"target": nc.targets.Feature("pre", [1.0, 0.0], "center"), "progress": False}
    >>> given = nc.contributions(net, images[:2], layers=["hidden"], reduce="none",
    ...                          method=nc.methods.ActGrad(), **call)["hidden/contribution"]
    >>> call = {**call, "like": images, "steps": 40, "kind": "pixels"}
    >>> figure = plot_inversions(nc.invert(net, "hidden", given, **call),
    ...                          nc.invert(net, "hidden", given, start=images[:2], **call),
    ...                          nc.visualise(net, **call), images[:2])
    """
    rows = images.sizes[v.STIMULUS]
    for name, found in (("inversion", inversion), ("accentuation", accentuation)):
        if {*found[v.OPACITY].dims} != {v.STIMULUS, v.SIGN, v.Y, v.X} or (
            found.sizes[v.STIMULUS] != rows
        ):
            raise InputError(
                came=f"{name} of {dict(found[v.OPACITY].sizes)} for {rows} images",
                expected="pictures (stimulus, sign) of one feature, both signs of each image",
                hint=f"{name}.squeeze('feature')",
            )
    figure = style.new_figure(0.7 + 1.75 * rows, 1.6 * COLUMNS)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for row, axes in enumerate(grid):
        axes[0].imshow(displayed(images.isel({v.STIMULUS: row})))
        axes[0].set_title("image", fontsize=style.TEXT - 1)
        shown = _row(inversion, accentuation, visualisation, row)
        for ax, (words, found) in zip(axes[1:], shown, strict=True):
            _draw(ax, words, found)
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure


def _row(
    inversion: xr.Dataset, accentuation: xr.Dataset, visualisation: xr.Dataset, row: int
) -> Iterator[tuple[str, xr.Dataset]]:
    """Pictures of a row behind its image, with their names."""
    for words, found in (("inversion", inversion), ("accentuation", accentuation)):
        for sign, short in zip(v.SIGNS, ("S+", "S\N{MINUS SIGN}"), strict=True):
            yield f"{short} {words}", found.isel({v.STIMULUS: row}).sel({v.SIGN: sign})
    outer: dict[Any, int] = {d: 0 for d in (v.DRAW, v.FEATURE) if d in visualisation.dims}
    yield "visualisation", visualisation.isel(outer)


def _draw(ax: Axes, words: str, found: xr.Dataset) -> None:
    picture: NDArray[np.float64] = seen(found[v.IMAGE], found[v.OPACITY])
    ax.imshow(picture)
    sure = bool(found[v.CONFIRMED])
    told = deviations(float(found[v.TARGET_SCORE])) + ("" if sure else ", not confirmed")
    color = style.INK if sure else FAILED
    ax.set_title(style.plain(f"{words}\n{told}"), fontsize=style.TEXT - 1, color=color)
