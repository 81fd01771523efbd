"""Texts of figures of maps: what an image is, what a map adds up to, titles and captions."""

from __future__ import annotations

import textwrap
from pathlib import PurePosixPath
from typing import Final

import xarray as xr
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.labels import class_names
from neurocodec.plotting import style

LARGE_ERROR: Final = 0.01
"""A map's sum is written where it misses the contribution by this part of it."""
SMALL: Final = style.TEXT - 1
LINE: Final = 1.35 * SMALL / 72
"""Height of a line of text in inches."""


def value_text(one: xr.Dataset | xr.DataArray, least: float = 0.0) -> str:
    """Contribution of one map, and the map's sum where the two differ by more than rounding."""
    if not isinstance(one, xr.Dataset) or v.CONTRIBUTION not in one:
        return ""
    value = float(one[v.CONTRIBUTION])
    error = float(one[v.MAP_ERROR]) if v.MAP_ERROR in one else 0.0
    missed = abs(error) > max(LARGE_ERROR * abs(value), least)
    return f"{value:.3g} (map {value + error:.3g})" if missed else f"{value:.3g}"


def target_text(one: xr.Dataset | xr.DataArray) -> str:
    """Target of one image with its units; empty where it is not known."""
    if not isinstance(one, xr.Dataset) or v.TARGET not in one or one[v.TARGET].ndim:
        return ""
    units = one[v.TARGET].attrs.get("units", "")
    return f"target {float(one[v.TARGET]):.3g} {'' if units == v.DIMENSIONLESS else units}".rstrip()


def rank_text(one: xr.Dataset) -> str:
    """Class, source and loading of one image of a mode; empty where the mode has none (NaN)."""
    known = one.reset_coords("loading") if "loading" in one.coords else one
    loading = float(known["loading"]) if "loading" in known else None
    if loading is not None and loading != loading:  # noqa: PLR0124 - NaN
        return ""
    image = image_text(one)
    return "\n".join(t for t in (image, "" if loading is None else f"loading {loading:.2f}") if t)


def values_caption(maps: xr.Dataset | xr.DataArray) -> str:
    """What the numbers at the maps are; empty without contributions."""
    if not isinstance(maps, xr.Dataset) or v.CONTRIBUTION not in maps:
        return ""
    units = maps[v.CONTRIBUTION].attrs.get("units")
    text = f"Number at a map: {style.with_units('contribution to the target', units)}"
    part = f"{100 * LARGE_ERROR:g} % of it"
    return f"{text}; in brackets the sum of the map where it misses this by over {part}."


def image_text(one: xr.DataArray | xr.Dataset) -> str:
    """Class and source of one image by its scalar coordinates, or else its number."""
    names = (v.LABEL, v.SOURCE, v.STIMULUS)
    scalars = [n for n in names if n in one.coords and not one[n].ndim]
    known = {n: str(class_names(one[n])) for n in scalars}  # empty where there is none
    source = shortened(PurePosixPath(known.get(v.SOURCE, "")).name)
    label = textwrap.fill(known.get(v.LABEL, ""), 18)
    lines = [text for text in (label, source) if text]
    return "\n".join(lines) or (f"image {known[v.STIMULUS]}" if v.STIMULUS in known else "")


def shortened(text: str, most: int = 20) -> str:
    """Cut the middle out of a long name."""
    return text if len(text) <= most else f"{text[: most - 7]}…{text[-4:]}"


def captioned(figure: Figure, *parts: str, title: str = "") -> Figure:
    """Write a title above and sentences below a figure, which grows by their lines."""
    if title:
        figure.suptitle(
            style.plain(title), fontsize=style.TEXT, fontweight="bold", x=0.01, ha="left"
        )
    lines = textwrap.wrap(" ".join(p for p in parts if p), int(figure.get_figwidth() * 15))
    if lines:
        figure.supxlabel(
            style.plain("\n".join(lines)), fontsize=SMALL, x=0.01, ha="left", color=style.INK
        )
    figure.set_figheight(figure.get_figheight() + LINE * (len(lines) + 2 * bool(title)))
    return figure
