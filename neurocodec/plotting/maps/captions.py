"""Texts of figures of maps: what an image is, what a map adds up to, titles and captions."""

from __future__ import annotations

import textwrap
from pathlib import PurePosixPath
from typing import Final

import xarray as xr
from matplotlib.figure import Figure

from neurocodec import vocabulary as v
from neurocodec.plotting import style

LARGE_ERROR: Final = 0.01
"""A map's sum is written where it misses the contribution by this part of it."""
SMALL: Final = style.TEXT - 2
LINE: Final = 1.35 * SMALL / 72
"""Height of a line of text in inches."""


def value_text(one: xr.Dataset | xr.DataArray, least: float = 0.0) -> str:
    """Contribution of one map, and the sum of the map where the two differ.

    Parameters
    ----------
    one
        One map's `contribution` and `map_completeness_error`; empty text without the former.
    least
        Size of a difference that is rounding.

    Examples
    --------
    >>> one = xr.Dataset({"contribution": 0.5, "map_completeness_error": 0.1})
    >>> value_text(one), value_text(one.assign(map_completeness_error=1e-4))
    ('0.5 (map 0.6)', '0.5')
    """
    if not isinstance(one, xr.Dataset) or v.CONTRIBUTION not in one:
        return ""
    value = float(one[v.CONTRIBUTION])
    error = float(one[v.MAP_ERROR]) if v.MAP_ERROR in one else 0.0
    missed = abs(error) > max(LARGE_ERROR * abs(value), least)
    return f"{value:.3g} (map {value + error:.3g})" if missed else f"{value:.3g}"


def target_text(one: xr.Dataset | xr.DataArray) -> str:
    """Target of one image.

    Parameters
    ----------
    one
        The result for one image; empty text without `target`.

    Examples
    --------
    >>> target_text(xr.Dataset({"target": ((), 12.345, {"units": "bit"})}))
    'target 12.3 bit'
    """
    if not isinstance(one, xr.Dataset) or v.TARGET not in one or one[v.TARGET].ndim:
        return ""
    units = one[v.TARGET].attrs.get("units", "")
    return f"target {float(one[v.TARGET]):.3g} {'' if units == '1' else units}".rstrip()


def rank_text(one: xr.Dataset) -> str:
    r"""Class, source and loading of one image of a mode; empty text where the mode has none.

    Parameters
    ----------
    one
        One mode and rank: `loading`, and the coordinates of the image.

    Examples
    --------
    >>> one = xr.Dataset({"loading": 0.934}, {"label": "black widow", "source": "a/b.jpg"})
    >>> rank_text(one)
    'black widow\nb.jpg\nloading 0.93'
    """
    known = one.reset_coords("loading") if "loading" in one.coords else one
    loading = float(known["loading"]) if "loading" in known else None
    if loading is not None and loading != loading:  # noqa: PLR0124 - NaN
        return ""
    image = image_text(one)
    return "\n".join(t for t in (image, "" if loading is None else f"loading {loading:.2f}") if t)


def values_caption(maps: xr.Dataset | xr.DataArray) -> str:
    """What the numbers at the maps are.

    Parameters
    ----------
    maps
        As `nc.contribution_maps` returns them.

    Examples
    --------
    >>> values_caption(xr.DataArray(0.0))
    ''
    """
    if not isinstance(maps, xr.Dataset) or v.CONTRIBUTION not in maps:
        return ""
    units = maps[v.CONTRIBUTION].attrs.get("units")
    text = f"Number at a map: {style.with_units('contribution to the target', units)}"
    part = f"{100 * LARGE_ERROR:g} % of it"
    return f"{text}; in brackets the sum of the map where it misses this by over {part}."


def image_text(one: xr.DataArray | xr.Dataset) -> str:
    r"""Class and source of one image, its number where neither is known.

    Parameters
    ----------
    one
        Anything with the scalar coordinates of one stimulus.

    Examples
    --------
    >>> image_text(xr.DataArray(0.0, {"label": "black widow", "source": "spiders/a1.jpg"}))
    'black widow\na1.jpg'
    """
    names = (v.LABEL, v.SOURCE, v.STIMULUS)
    known = {n: str(one[n].item()) for n in names if n in one.coords and not one[n].ndim}
    source = shortened(PurePosixPath(known.get(v.SOURCE, "")).name)
    label = textwrap.fill(known.get(v.LABEL, ""), 18)
    lines = [text for text in (label, source) if text]
    return "\n".join(lines) or (f"image {known[v.STIMULUS]}" if v.STIMULUS in known else "")


def shortened(text: str, most: int = 20) -> str:
    """Cut the middle out of a long name.

    Parameters
    ----------
    text
        The name.
    most
        Characters that are left.

    Examples
    --------
    >>> shortened("n01774384_spider_00000123.jpg", 12)
    'n0177….jpg'
    """
    return text if len(text) <= most else f"{text[: most - 7]}…{text[-4:]}"


def captioned(figure: Figure, *parts: str, title: str = "") -> Figure:
    """Write a title above and a caption below a figure, which grows by their lines.

    Parameters
    ----------
    figure
        The figure.
    *parts
        Sentences; empty ones are left out.
    title
        Written above.

    Examples
    --------
    >>> captioned(style.new_figure(2.0), "Median of 3 x 3 pixels.", "").get_supxlabel()
    'Median of 3 x 3 pixels.'
    """
    if title:
        figure.suptitle(title, fontsize=style.TEXT, fontweight="bold", x=0.01, ha="left")
    lines = textwrap.wrap(" ".join(p for p in parts if p), int(figure.get_figwidth() * 17))
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=SMALL, x=0.01, ha="left", color=style.INK)
    figure.set_figheight(figure.get_figheight() + LINE * (len(lines) + 2 * bool(title)))
    return figure
