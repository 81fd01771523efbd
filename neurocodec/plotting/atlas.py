"""Figures of an attribution atlas: icons in their places, bordered by what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import provenance
from neurocodec.plotting import style
from neurocodec.plotting.pictures import seen

INSET: Final = 0.1
"""Width of a border, in sides of a place."""
OF_IMAGES: Final = (v.EXCITATION, v.INHIBITION, v.TARGET, "icon_of_image")
OF_ICONS: Final = (v.IMAGE, v.OPACITY, v.TARGET, "mean_target", "n_images", "row", "column")


def plot_atlas(found: xr.DataTree, *, mask: bool = True, title: str = "") -> Figure:
    """Draw the icons of an attribution atlas in their places.

    Parameters
    ----------
    found
        As `nc.attribution_atlas` returns it.
    mask
        Whether what an icon does not depend on fades into white.
    title
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Borders have the colour of the icon's own target; dashed: it has not the sign of the mean
        of the images in its place.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 2, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"hidden": "1", "pre": "2"})
    >>> draw = np.random.default_rng(0)
    >>> images = xr.DataArray(draw.normal(size=(30, 3, 6, 6)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> unit = nc.targets.Feature("pre", [1.0, 0.0], position="center")
    >>> found = nc.attribution_atlas(net, images, "hidden", target=unit, grid=2, like=images,
    ...                              layout="pca", steps=3, progress=False)
    >>> figure = plot_atlas(found)
    """
    icons, grid = parts_of(found)
    limit = limit_of(icons)
    colors = colors_of(icons[v.TARGET].values, limit)
    figure = style.new_figure(style.WIDTH, style.WIDTH + 0.6)
    ax = figure.add_subplot()
    for i, color in enumerate(colors):
        one = icons.isel({v.ICON: i})
        x, y = float(one["column"]), float(one["row"])
        sure = bool(one[v.CONFIRMED])
        border: dict[str, Any] = {"facecolor": color, "edgecolor": style.MUTED, "linewidth": 0.4}
        if not sure:
            border |= {"edgecolor": style.INK, "linewidth": 1.2, "linestyle": (0, (2, 2))}
        ax.add_patch(Rectangle((x, y), 1, 1, **border))
        picture = seen(one[v.IMAGE], one[v.OPACITY] if mask else None)
        sides = (x + INSET, x + 1 - INSET, y + INSET, y + 1 - INSET)
        ax.imshow(picture, extent=sides, zorder=2)
    ax.set(xlim=(-0.1, grid + 0.1), ylim=(-0.1, grid + 0.1), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    scale = ScalarMappable(Normalize(-limit, limit), style.CONTRIBUTIONS)
    label = style.with_units("target of the icon", icons[v.TARGET].attrs.get("units", ""))
    figure.colorbar(scale, ax=ax, shrink=0.4, label=style.plain(label))
    said = _doubt(icons)
    if said:
        ax.set_xlabel(style.plain(said), fontsize=style.TEXT - 1, color=style.MUTED)
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure


def _doubt(icons: xr.Dataset) -> str:
    """How many icons have another sign than their images; of some, these have none."""
    unsure = ~icons[v.CONFIRMED]
    if not unsure.any():
        return ""
    said = f"dashed: {int(unsure.sum())} icons whose target has not the sign of their images'"
    if v.STANDARD_ERROR not in icons:  # as of an earlier version
        return said
    near = unsure & (abs(icons["mean_target"]) <= 2 * icons[v.STANDARD_ERROR])
    told = f"; of {int(near.sum())} the images' mean is within two standard errors of 0"
    return said + told * bool(near.any())


def parts_of(found: xr.DataTree) -> tuple[xr.Dataset, int]:
    """Icons of an atlas, and places along each side of its grid."""
    known = isinstance(found, xr.DataTree) and "icons" in found.children
    names = {*found["icons"].to_dataset(), *found.to_dataset()} if known else set()
    missing = [n for n in (*OF_IMAGES, *OF_ICONS, v.CONFIRMED) if n not in names]
    if missing:
        raise InputError(
            came=f"{type(found).__name__} without {', '.join(missing[:3])}",
            expected="an atlas, as nc.attribution_atlas returns it",
            hint="found = nc.attribution_atlas(net, images, layer, target=...)",
        )
    icons = found["icons"].to_dataset()
    last = int(max(icons["row"].max(), icons["column"].max()))
    asked = provenance(found).get("atlas", {})
    return icons, max(int(asked.get("grid", 0)), last + 1)


def limit_of(icons: xr.Dataset) -> float:
    """Target that has the strongest colour, above and below 0."""
    return style.robust_limit(icons[v.TARGET].values)


def colors_of(target: Any, limit: float) -> Sequence[str]:
    """Colour of each target, as code."""
    shades = mpl.colormaps[style.CONTRIBUTIONS](Normalize(-limit, limit)(target))
    return [to_hex(shade) for shade in shades]
