"""Figures of the parts of images that act through channels and modes (CODEC fig. 7)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import require_finite, require_same
from neurocodec.network import Preprocessing
from neurocodec.plotting import style
from neurocodec.plotting.maps import captions, panels
from neurocodec.plotting.maps.displayable import displayable
from neurocodec.plotting.maps.grid import below, head, panel_grid, side
from neurocodec.plotting.maps.layout import (
    Layout,
    Maps,
    Result,
    Series,
    aligned,
    item_names,
    layout_of,
    results_of,
    series_of,
)
from neurocodec.plotting.maps.panels import Kind, Look

ROUNDING: Final = 1e-5
"""Part of the largest contribution that a map may miss by rounding."""
_TITLES: Final = {"signed": "signed map", "masked": "masked image"}


def plot_maps(
    maps: Result | Sequence[Result],
    images: xr.DataArray,
    *,
    kind: Kind = "both",
    rows: str | None = None,
    columns: str | None = None,
    filter: int | None = None,  # noqa: A002 - what the option does
    contrast: float = 0.7,
    quantile: float = 0.99,
    shared: bool = False,
    preprocessing: Preprocessing | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Draw which part of images acts, beside the images: CODEC fig. 7.

    A signed map is the sum over color of a map, red where a pixel raises the target. Pixels that
    act through excitatory positions may have either sign, so that excitatory and inhibitory
    positions have panels of their own. A masked image is the image times the mask
    min(1, s / q) ** contrast, s being the median over neighbours of abs(sum over color) and q a
    quantile of s.

    Parameters
    ----------
    maps
        As `nc.contribution_maps` returns them or `nc.open` reads them, or only the array: over
        stimulus, mode or channel, and sign, or over mode and channel for one stimulus. Several
        results over the same stimuli are drawn beside each other: the whole network, then a mode,
        then its channels.
    images
        The images (stimulus, color, y, x), at least those of the maps: as the network takes them,
        with ``preprocessing=net.preprocessing``, or as they can be looked at (from 0 to 1).
    kind
        ``"signed"`` maps, ``"masked"`` images, or ``"both"``.
    rows, columns
        Dims along the rows and columns; by default stimuli along the rows, and along the columns
        where each has one map.
    filter
        Width of the median filter in pixels, odd, 1 for none; by default 3, for images of 224
        pixels 5.
    contrast
        Exponent of the masks: below 1 shows what acts little, above 1 only what acts most.
    quantile
        Part of a map's pixels below full color and brightness.
    shared
        Whether all maps have one scale, in place of one each.
    preprocessing
        What made the images of photographs, undone for display; without it images that are not
        between 0 and 1 are stretched from their smallest to their largest value.
    title
        Written above.
    note
        Written first in the caption.

    Returns
    -------
    matplotlib.figure.Figure
        The original beside its maps; the values of filter, contrast and quantile in the caption,
        the contribution under each map, with the map's own sum where it differs by over 1 %.

    Raises
    ------
    InputError
        Where maps and images do not fit each other, or options are out of range.

    Examples
    --------
    >>> dims = ("stimulus", "mode", "color", "y", "x")
    >>> maps = xr.DataArray(np.ones((2, 3, 3, 8, 8)), {"mode": [0, 4, 7]}, dims)
    >>> images = xr.DataArray(np.ones((2, 3, 8, 8)), dims=("stimulus", "color", "y", "x"))
    >>> figure = plot_maps(maps, images, kind="signed")
    >>> [ax.get_title() for ax in figure.axes[:4]]
    ['image', 'mode 0', 'mode 4', 'mode 7']
    """
    groups = results_of(maps)
    arrays = [_finite(panels.map_array(group)) for group in groups]
    layout = layout_of(arrays, rows, columns)
    pairs = zip(groups, arrays, strict=True)
    series = [one for pair in pairs for one in series_of(*pair, [layout.main])]
    look = panels.look_of(
        arrays, kind=kind, filter=filter, contrast=contrast, quantile=quantile, shared=shared
    )
    pictures, how = displayable(aligned(images, arrays[0]), preprocessing)
    sheet = _Sheet(pictures, series, look, _rounding(groups))
    names = item_names(arrays[0], layout)
    figure, axes = _maps_grid(sheet, layout, names)
    for i, line in enumerate(axes[1:] if layout.apart else axes):
        place = {layout.main: i} if layout.main else {}
        (sheet.draw_maps if layout.apart else sheet.draw)(line, place)
    if layout.apart:
        sheet.draw_image(axes[0, 0], {})
        panels.empty_all(axes[0, 1:])
    if look.signed_limit is not None and "signed" in look.kinds:
        _scale(figure, axes, arrays[0], look.signed_limit)
    values = captions.values_caption(groups[0])
    return captions.captioned(figure, note, look.caption(), how, values, title=title)


def plot_mode_images(
    maps: xr.Dataset,
    images: xr.DataArray,
    *,
    kind: Kind = "masked",
    filter: int | None = None,  # noqa: A002 - what the option does
    contrast: float = 0.7,
    quantile: float = 0.99,
    shared: bool = False,
    preprocessing: Preprocessing | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Draw which images a mode is used for, and which part of them acts through it.

    Parameters
    ----------
    maps
        `contribution_map` (mode, rank, color, y, x), also over sign: of every mode its images, the
        one with the largest loading first. Beside it, where known, `contribution` and
        `map_completeness_error`, and `loading`, `label`, `source` and `stimulus` over mode and
        rank. Ranks that a mode does not have are NaN.
    images
        The images (mode, rank, color, y, x), as the network takes them or as they can be looked at.
    kind, filter, contrast, quantile, shared, preprocessing
        As `plot_maps` takes them.
    names
        What is written at the modes, in place of their numbers.
    title
        Written above.
    note
        Written first in the caption.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each mode; every image with its class and loading, and beside it the part that
        acts. The values of filter, contrast and quantile stand in the caption.

    Raises
    ------
    InputError
        Where maps and images do not fit each other, or options are out of range.

    Examples
    --------
    >>> dims = ("mode", "rank", "color", "y", "x")
    >>> images = xr.DataArray(np.ones((2, 3, 3, 8, 8)), dims=dims)
    >>> maps = xr.Dataset({"contribution_map": images, "loading": images[..., 0, 0, 0]})
    >>> figure = plot_mode_images(maps, images)
    >>> len(figure.axes), figure.axes[0].get_title()
    (12, 'loading 1.00')
    """
    array = _stacked(panels.map_array(maps), images)
    look = panels.look_of(
        [array], kind=kind, filter=filter, contrast=contrast, quantile=quantile, shared=shared
    )
    pictures, how = displayable(images, preprocessing)
    along = (v.MODE, v.RANK)
    modes, ranks = (array.sizes[d] for d in along)
    sheet = _Sheet(pictures, list(series_of(maps, array, along)), look, _rounding([maps]))
    width = 1 + sheet.count
    lines = modes * 5 + max(text.count("\n") for text in sheet.titles())
    figure, axes = panel_grid(modes, ranks * width, _aspect(pictures), lines=lines, groups=ranks)
    for i in range(modes):
        for j in range(ranks):
            part = axes[i, j * width : (j + 1) * width]
            sheet.draw(part, place := {v.MODE: i, v.RANK: j})
            for ax, text in zip(part, ["", *sheet.titles()], strict=True):
                head(ax, "" if i else text)
            head(part[0], captions.rank_text(maps.isel(place)))
    for ax, text in zip(
        axes[:, 0], names or item_names(array, Layout(v.MODE, on_rows=True)), strict=True
    ):
        side(ax, text)
    values = captions.values_caption(maps)
    return captions.captioned(figure, note, look.caption(), how, values, title=title)


@dataclass(frozen=True)
class _Sheet:
    """What is drawn of every image: itself, and its maps beside it."""

    pictures: xr.DataArray  # images between 0 and 1, (..., color, y, x)
    series: Sequence[Series]  # maps over the dims of the images
    look: Look
    least: float  # difference between a map's sum and its contribution that is rounding

    @property
    def count(self) -> int:
        """Panels of one image, beside itself."""
        return len(self.series) * len(self.look.kinds)

    def titles(self) -> list[str]:
        """What the panels beside an image are."""
        kinds = [_TITLES[k] if self.look.kind == "both" else "" for k in self.look.kinds]
        pairs = itertools.product((one.title for one in self.series), kinds)
        return ["\n".join(text for text in pair if text) for pair in pairs]

    def draw(self, axes: NDArray[Any], place: Mapping[str, int]) -> None:
        """Draw one image (`place`: dim -> number) and its maps; nothing where there is none."""
        picture = self._picture(place)
        known = [picture, *(one.array.isel(place) for one in self.series)]
        if not all(np.isfinite(array.values).all() for array in known):
            panels.empty_all(axes)
            return
        if picture.sizes == self.pictures.sizes and any(place.values()):
            panels.empty_all(axes[:1])  # one image for all maps, drawn once
        else:
            self.draw_image(axes[0], place)
        self.draw_maps(axes[1:], place)

    def draw_image(self, ax: Axes, place: Mapping[str, int]) -> None:
        """Draw one image, with its target."""
        panels.draw_image(ax, self._picture(place).values)
        below(ax, captions.target_text(_at(self.series[0].maps, place)))

    def draw_maps(self, axes: NDArray[Any], place: Mapping[str, int]) -> None:
        """Draw all maps of one image, with their contributions."""
        picture = self._picture(place).values
        for one, part in zip(self.series, axes.reshape(len(self.series), -1), strict=True):
            values = one.array.isel(place).values
            for ax, kind in zip(part, self.look.kinds, strict=True):
                panels.draw_map(ax, values, picture, kind, self.look)
            below(part[0], captions.value_text(_at(one.maps, place), self.least))

    def _picture(self, place: Mapping[str, int]) -> xr.DataArray:
        return self.pictures.isel({d: n for d, n in place.items() if d in self.pictures.dims})


def _finite(array: xr.DataArray) -> xr.DataArray:
    require_finite(array, "maps")
    return array


def _stacked(array: xr.DataArray, images: xr.DataArray) -> xr.DataArray:
    if not {v.MODE, v.RANK} <= set(array.dims) & set(images.dims):
        raise InputError(
            came=f"maps over {array.dims} and images over {images.dims}",
            expected="both over mode, rank, color, y and x: of every mode its images",
            hint="nc.plotting.plot_maps(maps, images) for maps over stimulus and mode",
        )
    for dim in (v.MODE, v.RANK, v.Y, v.X):
        require_same(array, images, dim, "maps and images")
    return array.transpose(v.MODE, v.RANK, ...)


def _rounding(groups: Sequence[Maps]) -> float:
    known = [g[v.CONTRIBUTION] for g in groups if isinstance(g, xr.Dataset) and v.CONTRIBUTION in g]
    return ROUNDING * max((float(np.abs(c).max()) for c in known), default=0.0)


def _maps_grid(sheet: _Sheet, layout: Layout, names: Sequence[str]) -> tuple[Figure, NDArray[Any]]:
    """Panels (item, image and its maps), named at the left and above."""
    titles = sheet.titles() if layout.apart else ["image", *sheet.titles()]
    of_rows, of_columns = (names, titles) if layout.on_rows else (titles, names)
    lines = len(of_rows) + max(text.count("\n") + 1 for text in of_columns)
    figure, grid = panel_grid(len(of_rows), len(of_columns), _aspect(sheet.pictures), lines=lines)
    for ax, text in zip(grid[:, 0], of_rows, strict=True):
        side(ax, text)
    for ax, text in zip(grid[0], of_columns, strict=True):
        head(ax, text)
    return figure, grid if layout.on_rows else grid.T


def _aspect(pictures: xr.DataArray) -> float:
    return pictures.sizes[v.Y] / pictures.sizes[v.X]


def _scale(figure: Figure, axes: NDArray[Any], array: xr.DataArray, limit: float) -> None:
    """Draw the color scale that all signed maps share."""
    ends = Normalize(-limit, limit)
    figure.set_figwidth(figure.get_figwidth() + 1.0)
    label = style.with_units("contribution of a pixel", array.attrs.get("units"))
    bar = figure.colorbar(
        ScalarMappable(ends, style.CONTRIBUTIONS), ax=axes.ravel().tolist(), shrink=0.5
    )
    bar.set_label(style.plain(label), fontsize=captions.SMALL)
    bar.ax.tick_params(labelsize=captions.SMALL)


def _at(maps: Maps, place: Mapping[str, int]) -> Maps:
    return maps.isel({d: n for d, n in place.items() if d in maps.dims})
