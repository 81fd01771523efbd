"""Effective fields in their context: what the nearest vectors of a concept vector saw."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.map_pictures import mask
from neurocodec.network import Preprocessing
from neurocodec.plotting import style
from neurocodec.plotting.maps.displayable import displayable, require_images

MOST: Final = 400
"""Fields in a figure."""
FILTER: Final = 3
"""Width in pixels of the median filter of what is drawn bright."""


def plot_effective_fields(
    fields: xr.Dataset,
    images: xr.DataArray,
    *,
    by: str | None = None,
    columns: int = 10,
    shade: float = 0.35,
    preprocessing: Preprocessing | None = None,
    title: str = "",
) -> Figure:
    """Draw a mosaic of effective fields, each in the square of its image around it.

    Parameters
    ----------
    fields
        Of `nc.effective_fields`.
    images
        The images that they are of: as the network takes them, with
        ``preprocessing=net.preprocessing``, or as they can be looked at (from 0 to 1).
    by
        Coordinate of the vectors, such as `mode`, whose values have a row each.
    columns
        Fields in a row; with `by` the first so many of each value are drawn.
    shade
        Brightness of the context, outside of the field: 1 is that of the image.
    preprocessing
        What made the images of photographs, undone for display.
    title
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        Under each square the label of the image, or its name.

    Raises
    ------
    InputError
        Where fields and images do not fit each other.

    Examples
    --------
    >>> import torch
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())
    >>> net = nc.Network(module, layers={"maps": "0"})
    >>> values = np.random.default_rng(0).random((4, 3, 8, 8), "float32")
    >>> images = xr.DataArray(values, dims=("stimulus", "color", "y", "x"))
    >>> found = nc.effective_fields(net, images, "maps", progress=False)
    >>> len(plot_effective_fields(found, images, columns=2).axes)
    4
    """
    columns = arguments.whole("columns", columns, hint="columns=10")
    shade = arguments.at_least("shade", shade, 0, hint="shade=0.35")
    dim = _dim(fields)
    rows = _rows(fields, dim, by, columns)
    count = sum(len(places) for _, places in rows)
    if count > MOST:
        raise InputError(
            came=f"{count} effective fields",
            expected=f"at most {MOST} in a figure",
            hint=f"fields.isel({dim}=slice(100))",
        )
    require_images(images)
    places = _places(fields, images, dim)
    figure = style.new_figure(0.5 + 1.15 * len(rows), 0.4 + 1.0 * columns)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    shown, _ = displayable(images.isel({v.STIMULUS: np.unique(places)}), preprocessing)
    where = {place: i for i, place in enumerate(np.unique(places))}
    for axes, (name, own) in zip(grid, rows, strict=True):
        for ax, i in zip(axes, own, strict=False):
            one = fields.isel({dim: int(i)})
            _draw(ax, one, np.asarray(shown[where[places[i]]]), shade, _words(one))
        for ax in axes[len(own) :]:
            ax.remove()
        if name:
            axes[0].set_ylabel(style.plain(name), fontsize=style.TEXT - 1)
    if title:
        figure.suptitle(style.plain(title), fontsize=style.TEXT + 1)
    return figure


def _dim(fields: xr.Dataset) -> str:
    if not isinstance(fields, xr.Dataset) or not {v.EFFECTIVE_FIELD, v.FIELD_BOX} <= {*fields}:
        raise InputError(
            came=f"fields of type {type(fields).__name__} with {sorted(map(str, fields))}",
            expected="a result of nc.effective_fields",
            hint="nc.effective_fields(net, images, layer, vectors)",
        )
    return str(fields[v.FIELD_BOX].dims[0])


def _rows(
    fields: xr.Dataset, dim: str, by: str | None, columns: int
) -> list[tuple[str, NDArray[np.intp]]]:
    """Name and fields of every row."""
    every = np.arange(fields.sizes[dim])
    if by is None:
        return [("", every[i : i + columns]) for i in range(0, len(every), columns)]
    if by not in fields.coords or fields[by].dims != (dim,):
        known = sorted(str(n) for n, c in fields.coords.items() if c.dims == (dim,))
        raise InputError(came=f"by={by!r}", expected=f"a coordinate of the vectors: {known}")
    values = fields[by].values
    return [(f"{by} {x}", every[values == x][:columns]) for x in dict.fromkeys(values.tolist())]


def _places(fields: xr.Dataset, images: xr.DataArray, dim: str) -> NDArray[np.intp]:
    """Place of the image of each field, by its label; by its number where images have none."""
    size = images.sizes.get(v.STIMULUS, 0)
    labels = images[v.STIMULUS].values.tolist() if v.STIMULUS in images.coords else range(size)
    known = {label: i for i, label in enumerate(labels)}
    own = fields[v.STIMULUS].values.tolist() if v.STIMULUS in fields.coords else None
    found = [known.get(label) for label in (range(fields.sizes[dim]) if own is None else own)]
    pixels = {d: images.sizes[d] for d in (v.Y, v.X)}
    same = {d: fields.sizes[d] for d in pixels} == pixels
    if any(place is None for place in found) or not same:
        raise InputError(
            came=f"fields of images that are not among those given, of {size} images {pixels}",
            expected="the images that the fields are of",
            hint="the images that nc.effective_fields was given",
        )
    return np.array(found, np.intp)


def _draw(
    ax: Axes, one: xr.Dataset, picture: NDArray[np.floating[Any]], shade: float, words: str
) -> None:
    """The square of an image around a field, dark outside of it."""
    field = one[v.EFFECTIVE_FIELD]
    maps = np.asarray(field.transpose(..., v.Y, v.X)).reshape(-1, *picture.shape[-2:])
    bright = mask(maps, size=FILTER, contrast=0.7)
    light = np.clip(picture * (shade + (1 - shade) * bright), 0, 1)
    top, bottom, left, right = map(int, one[v.FIELD_BOX].values)
    ax.imshow(light[:, top:bottom, left:right].transpose(1, 2, 0))
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel(style.plain(words), fontsize=style.TEXT - 2.5, labelpad=2)


def _words(one: xr.Dataset) -> str:
    """Label of an image, or its name."""
    known = next((n for n in (v.LABEL, v.STIMULUS) if n in one.coords), None)
    return "" if known is None else str(one[known].values)[:18]
