"""Panels of figures of maps: the image, its signed map, the masked image, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.kernels import map_pictures
from neurocodec.plotting import style

Kind = Literal["signed", "masked", "both"]

SPACE: Final = (v.COLOR, v.Y, v.X)


@dataclass(frozen=True)
class Look:
    """How maps are drawn."""

    kind: Kind = "both"
    filter: int = 3  # width of the median filter in pixels, odd
    contrast: float = 0.7  # exponent of the masks
    quantile: float = 0.99  # part of a map's pixels below full color or brightness
    signed_limit: float | None = None  # full color of all maps; each has its own where None
    masked_limit: float | None = None  # full brightness, likewise
    sharing: str = "all maps"  # which maps have one scale

    @property
    def kinds(self) -> tuple[str, ...]:
        """The panels of one map, from left to right."""
        return ("signed", "masked") if self.kind == "both" else (self.kind,)

    def shared(self, arrays: Sequence[xr.DataArray]) -> Look:
        """One scale for all of these maps (..., color, y, x); what is not finite does not count."""
        kinds = (map_pictures.signed_picture, map_pictures.size_picture)
        pooled = [np.concatenate([f(a.values, self.filter).ravel() for a in arrays]) for f in kinds]
        known = (values[np.isfinite(values)][None] for values in pooled)
        signed, masked = (float(map_pictures.size_limit(k, self.quantile)) for k in known)
        return replace(self, signed_limit=signed, masked_limit=masked)

    def caption(self) -> str:
        """How the panels were made, with all values."""
        median = f"median of {self.filter} x {self.filter} pixels" if self.filter > 1 else ""
        whose = "each map" if self.signed_limit is None else self.sharing
        ends = f"the {100 * self.quantile:g} % quantile of {whose}"
        signed = [
            "sum over color",
            median,
            f"red raises, blue lowers the target, full color at {ends}",
        ]
        masked = [
            f"image x mask, mask = min(1, size / q)^{self.contrast:g}",
            "size = |sum over color|" + (f", {median}" if median else ""),
            f"q = {ends}",
        ]
        texts = {"signed": f"Signed map: {', '.join(t for t in signed if t)}."}
        texts["masked"] = f"Masked image: {'; '.join(masked)}."
        return " ".join(texts[kind] for kind in self.kinds)


def look_of(
    arrays: Sequence[xr.DataArray],
    *,
    kind: Kind,
    filter: int | None,  # noqa: A002 - what the option does
    contrast: float,
    quantile: float,
    shared: bool,
) -> Look:
    """Check the options of a figure of maps; a filter of None goes by their size."""
    one_of("kind of picture", kind, get_args(Kind))
    width = min(arrays[0].sizes[v.Y], arrays[0].sizes[v.X])
    wanted = max(3, 2 * round(width / 90) + 1) if filter is None else filter
    map_pictures.mask(np.zeros((1, 1, 1)), size=wanted, quantile=quantile, contrast=contrast)
    look = Look(kind, wanted, contrast, quantile)
    return look.shared(arrays) if shared else look


def map_array(maps: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Take the maps (..., color, y, x) of a result; one grey image has one color."""
    array = maps.get(v.CONTRIBUTION_MAP) if isinstance(maps, xr.Dataset) else maps
    dims = tuple(map(str, getattr(array, "dims", ())))
    if array is None or v.LAG in dims or not {v.Y, v.X} <= set(dims):
        raise InputError(
            came=f"maps of type {type(maps).__name__} with dims {dims}",
            expected="maps of images over (..., color, y, x), from nc.contribution_maps",
            hint="nc.plotting.plot_movie_maps(maps, movie) for maps over (lag, y, x) of a movie",
        )
    require_any(array)
    if v.COLOR not in dims:
        array = array.expand_dims(v.COLOR)
    return array.transpose(..., *SPACE)


def require_any(array: xr.DataArray) -> None:
    """Refuse a selection of maps with none left."""
    if not array.size:
        raise InputError(came=f"maps over {dict(array.sizes)}", expected="at least one map")


def draw_image(ax: Axes, picture: NDArray[Any]) -> AxesImage:
    """Draw an image (color, y, x) between 0 and 1."""
    bare(ax)
    return ax.imshow(np.moveaxis(picture, 0, -1), interpolation="nearest")


def draw_map(
    ax: Axes, values: NDArray[Any], picture: NDArray[Any], kind: str, look: Look
) -> AxesImage:
    """Draw one map (color, y, x) as a "signed" picture, or as the "masked" image."""
    if kind == "masked":
        mask = map_pictures.mask(
            values,
            size=look.filter,
            quantile=look.quantile,
            contrast=look.contrast,
            limit=look.masked_limit,
        )
        return draw_image(ax, map_pictures.masked_image(picture, mask))
    bare(ax)
    signed = map_pictures.signed_picture(values, look.filter)
    limit = look.signed_limit or float(map_pictures.size_limit(signed, look.quantile)) or 1.0
    return ax.imshow(
        signed, cmap=style.CONTRIBUTIONS, vmin=-limit, vmax=limit, interpolation="nearest"
    )


def bare(ax: Axes) -> None:
    """Leave nothing of the axes but a thin frame and its labels."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(style.RECORDED)
    ax.spines[:].set_linewidth(0.6)


def empty_all(axes: Iterable[Axes]) -> None:
    """Leave nothing at all of some axes."""
    for ax in axes:
        bare(ax)
        ax.spines[:].set_visible(False)
        ax.patch.set_visible(False)  # it would hide the labels of its neighbours
