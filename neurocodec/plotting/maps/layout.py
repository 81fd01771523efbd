"""Where the panels of a figure of maps stand: images along one axis, their maps along the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import provenance, require_same
from neurocodec.plotting.maps.captions import image_text
from neurocodec.plotting.maps.displayable import require_images
from neurocodec.plotting.maps.panels import SPACE

Maps = xr.Dataset | xr.DataArray
Result = Maps | xr.DataTree
"""Maps, or a file of them as `nc.open` reads it."""


@dataclass(frozen=True)
class Layout:
    """What runs along which axis of a figure."""

    main: str  # dim of the images, or of the modes of one image; empty where there is no such dim
    on_rows: bool  # whether it runs from top to bottom
    apart: bool = False  # whether the one image stands before the first item, by itself


@dataclass(frozen=True)
class Series:
    """Maps along the main dim: of one mode or channel and one sign."""

    title: str  # mode or channel, and sign
    maps: Maps  # the result, (main)
    array: xr.DataArray  # its maps, (main, color, y, x)


def layout_of(arrays: Sequence[xr.DataArray], rows: str | None, columns: str | None) -> Layout:
    """Choose what runs along rows and columns, of maps (..., color, y, x) of the same stimuli."""
    free = list(dict.fromkeys(d for a in arrays for d in free_dims(a)))
    for wanted in (rows, columns):
        if wanted is not None and wanted not in free:
            raise unknown_name("dim of the maps beside sign, color, y and x", wanted, free)
    main = _main_dim(arrays, rows)
    if main is None or (rows is not None and rows == columns):
        raise InputError(
            came=f"maps over {free} with rows={rows!r} and columns={columns!r}",
            expected="stimuli and one more dim, or two dims for one stimulus",
            hint="maps.sel(stimulus=...) or maps.sel(mode=...)",
        )
    for array in arrays[1:]:
        if main:
            require_same(arrays[0], array, main, "maps")
    others = [d for d in free if d != main]
    several = bool(others) or any(v.SIGN in a.dims for a in arrays)
    if main != v.STIMULUS and main and not others:
        return Layout(main, rows == main, apart=True)
    on_rows = main in (rows, "") or (main != columns and rows is None and several)
    return Layout(main, on_rows or columns in others)


def results_of(maps: Result | Sequence[Result]) -> list[Maps]:
    """Results that are drawn beside each other, also where one came."""
    groups: Sequence[Result] = maps if isinstance(maps, list | tuple) else []
    if isinstance(maps, Result):
        groups = [maps]
    if not groups:
        raise InputError(
            came=f"{'no' if isinstance(maps, list | tuple) else type(maps).__name__} as maps",
            expected="what nc.contribution_maps returns, or several of these",
            hint="[maps_of_the_network, maps_of_a_mode]",
        )
    return [g.to_dataset() if isinstance(g, xr.DataTree) else g for g in groups]


def free_dims(array: xr.DataArray) -> list[str]:
    """Dims of maps that may be rows and columns."""
    return [str(d) for d in array.dims if d not in (v.SIGN, *SPACE)]


def _main_dim(arrays: Sequence[xr.DataArray], rows: str | None) -> str | None:
    """Dim along which the images or modes stand; None where there are too many dims."""
    free = [free_dims(a) for a in arrays]
    with_images = [v.STIMULUS in dims for dims in free]
    if max(map(len, free)) > 2 or any(with_images) != all(with_images):
        return None
    if all(with_images):
        return v.STIMULUS
    if len(arrays) > 1:
        return "" if max(map(len, free)) < 2 else None
    if len(free[0]) == 2:
        return rows or free[0][0]
    return free[0][0] if free[0] else ""


def series_of(maps: Maps, array: xr.DataArray, along: Sequence[str]) -> Iterator[Series]:
    """Maps along the dims of the images, one series for each mode or channel and sign."""
    others = [d for d in array.dims[:-3] if d not in along]
    others.sort(key=lambda d: d == v.SIGN)
    for place in itertools.product(*(range(array.sizes[d]) for d in others)):
        where = dict(zip(others, place, strict=True))
        one = array.isel(where)
        inside = {d: n for d, n in where.items() if d in maps.dims}
        yield Series(_series_title(one, maps, where, along), maps.isel(inside), one)


def _series_title(
    one: xr.DataArray, maps: Maps, where: dict[Any, int], along: Sequence[str]
) -> str:
    lines = []
    for dim in dict.fromkeys((v.MODE, v.CHANNEL, *where)):
        if dim in (*along, v.SIGN):
            continue
        if dim in one.coords and one[dim].ndim == 0:
            lines.append(f"{dim} {one[dim].item()}")
        elif dim in where:
            lines.append(f"{dim} {where[dim]}")
    if not lines and _of_whole_network(maps):
        lines.append("whole network")
    if v.SIGN in one.coords and one[v.SIGN].ndim == 0:
        lines.append(str(one[v.SIGN].item()))
    return "\n".join(lines)


def _of_whole_network(maps: Maps) -> bool:
    """Whether the maps go through no layer, by their provenance."""
    record = provenance(maps)
    return record.get("function") == "nc.contribution_maps" and not record.get("layers")


def item_names(array: xr.DataArray, layout: Layout) -> list[str]:
    """What stands along the main dim, by the labels of the maps."""
    main = layout.main
    if main in ("", v.STIMULUS):
        items = [array.isel({main: i}) for i in range(array.sizes[main])] if main else [array]
        return [image_text(item) for item in items]
    names = [f"{main} {value}" for value in array[main].values]
    return [image_text(array) or "image", *names] if layout.apart else names


def aligned(images: xr.DataArray, array: xr.DataArray) -> xr.DataArray:
    """Take the images of some maps, by the labels of their stimuli."""
    require_images(images)
    found = _of_the_same_stimuli(images, array)
    for dim in (v.Y, v.X):
        if found.sizes.get(dim) != array.sizes[dim]:
            raise InputError(
                came=f"images of {dim}={found.sizes.get(dim)} and maps of {dim}={array.sizes[dim]}",
                expected="maps of these images, as the network took them",
            )
    return found


def _of_the_same_stimuli(images: xr.DataArray, array: xr.DataArray) -> xr.DataArray:
    if v.STIMULUS not in images.dims:
        if v.STIMULUS not in array.dims:
            return images
    elif v.STIMULUS in images.coords and v.STIMULUS in array.coords:
        wanted = array[v.STIMULUS].values
        known = images[v.STIMULUS].values
        missing = np.setdiff1d(wanted, known)
        if not missing.size and np.unique(known).size == known.size:
            return images.sel({v.STIMULUS: wanted})
    elif images.sizes[v.STIMULUS] == array.sizes.get(v.STIMULUS, 1):
        return images if v.STIMULUS in array.dims else images.isel({v.STIMULUS: 0})
    raise InputError(
        came=f"images over {dict(images.sizes)} that are not those of maps over"
        f" {dict(array.sizes)}: {_stimuli(images)} and {_stimuli(array)}",
        expected="images with the stimuli of the maps, each once",
        hint="the images that were given to nc.contribution_maps",
    )


def _stimuli(data: xr.DataArray) -> str:
    if v.STIMULUS not in data.coords:
        return "unlabelled stimuli"
    return f"stimuli {np.ravel(data[v.STIMULUS].values)[:5].tolist()}"
