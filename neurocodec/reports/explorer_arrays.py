"""Fields, rates, frames and modes as the explorer's page holds them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.modes.merge import merge_modes
from neurocodec.plotting import style

LEVELS: Final = 127
"""Steps from zero to the largest magnitude of a spatial map, as signed bytes hold them.

No value is off by more than 1/254 of the largest.
"""
FINE_LEVELS: Final = 32767
"""Steps from 0 to 1 of a temporal course, which is held to 1/65,534."""

_FIELD_DIMS: Final = {
    v.TEMPORAL: (v.CELL, v.TIME, v.COMPONENT, v.LAG),
    v.SPATIAL: (v.CELL, v.TIME, v.COMPONENT, v.Y, v.X),
    v.ENERGY_SHARE: (v.CELL, v.TIME, v.COMPONENT),
}


def field_arrays(fields: xr.Dataset) -> dict[str, xr.DataArray]:
    """`temporal`, `spatial` and `energy_share`, with their dims in order and their times rising."""
    missing = [name for name in _FIELD_DIMS if name not in getattr(fields, "data_vars", ())]
    if missing:
        found = list(getattr(fields, "data_vars", [type(fields).__name__]))
        raise InputError(
            came=f"fields with {', '.join(map(repr, found)) or 'nothing'}",
            expected=f"a Dataset with {', '.join(map(repr, _FIELD_DIMS))}",
            hint="nc.receptive_fields(net, movie, times=..., rank=1)",
        )
    colors = (v.COLOR,) if v.COLOR in fields[v.SPATIAL].dims else ()
    wanted = _FIELD_DIMS | {v.SPATIAL: (*_FIELD_DIMS[v.SPATIAL][:-2], *colors, v.Y, v.X)}
    parts = {k: labels.require_dims(fields[k], dims, k) for k, dims in wanted.items()}
    for name, part in parts.items():
        labels.require_finite(part, name)
        if not part.size:
            raise InputError(came=f"{name} of shape {part.shape}", expected="at least one field")
    labelled = all(dim in fields.coords for dim in (v.TIME, v.CELL, v.LAG))
    if not labelled:
        raise InputError(
            came=f"fields with coordinates {sorted(map(str, fields.coords))}",
            expected="coordinates 'time', 'cell' and 'lag'",
            hint="fields.assign_coords(time=..., cell=..., lag=...)",
        )
    return {name: part.sortby(v.TIME) for name, part in parts.items()}


def places(whole: xr.DataArray, part: xr.DataArray, dim: str, what: str) -> NDArray[np.intp]:
    """Positions in one array of the labels of the fields, each of which must be there once."""
    hint = f"fields and {what} of the same network and movie"
    index = whole.get_index(dim)
    if dim not in whole.coords or not index.is_unique:
        came = f"{what} without labels along {dim!r}, or with the same label twice"
        raise InputError(came=came, expected=f"a label for every {dim}", hint=hint)
    found = index.get_indexer(part.get_index(dim))
    if (found < 0).any():
        absent = part[dim].values[found < 0][:3].tolist()
        raise InputError(
            came=f"fields of {dim} {absent}, which the {what} do not have",
            expected=f"every {dim} of the fields among those of the {what}",
            hint=hint,
        )
    return np.asarray(found)


def pack_cells(fields: xr.Dataset, rates: xr.DataArray) -> dict[str, Any]:
    """Names of the cells, and their types where the fields or the rates have `cell_type`."""
    typed = [s["cell_type"] for s in (fields, rates) if "cell_type" in s.coords]
    types = [[str(t) for t in c.values] for c in typed if c.dims == (v.CELL,)]
    return {
        "names": [str(name) for name in rates[v.CELL].values],
        "types": types[0] if types else None,
    }


def pack_trace(rates: xr.DataArray) -> dict[str, Any]:
    """Rates (cell, time) in single precision, with their units."""
    values = pack(rates.transpose(v.CELL, v.TIME).values, np.float32)
    return {"units": str(rates.attrs.get("units", v.HERTZ)), "values": values}


def pack_recorded(recorded: xr.DataArray, rates: xr.DataArray) -> dict[str, Any]:
    """Recorded rates in the order of the model's; cells that were not recorded are NaN."""
    recorded = labels.require_dims(recorded, (v.TIME, v.CELL), "recorded rates")
    labels.require_same(recorded, rates, v.TIME, "recorded rates and rates")
    return pack_trace(recorded.reindex({v.CELL: rates[v.CELL].values}).assign_attrs(recorded.attrs))


def pack_fields(parts: Mapping[str, xr.DataArray]) -> dict[str, Any]:
    """Maps as bytes, in steps of 1/127 of their peaks; courses as two bytes a number."""
    spatial = _stacked(parts[v.SPATIAL]).values
    peak = np.abs(spatial).max(axis=(-2, -1))
    maps, corners = zip(*(_cropped(m, p) for m, p in zip(spatial, peak, strict=True)), strict=True)
    temporal = np.clip(parts[v.TEMPORAL].values, -1.0, 1.0) * FINE_LEVELS
    return {
        "units": str(parts[v.SPATIAL].attrs.get("units", "")),
        "lag": parts[v.TEMPORAL][v.LAG].values.astype(float).tolist(),
        "size": list(spatial.shape[-2:]),
        "colors": _colors(parts[v.SPATIAL]),
        "pixel": _pixel(parts[v.SPATIAL]),
        "levels": [LEVELS, FINE_LEVELS],
        "peak": pack(peak, np.float32),
        "corner": corners,
        "maps": maps,
        "temporal": pack(np.rint(temporal), np.int16),
        "share": pack(parts[v.ENERGY_SHARE].values, np.float32),
    }


def _stacked(pictures: xr.DataArray) -> xr.DataArray:
    """Pictures (..., y, x) of movies in colours: each colour below the one before."""
    if v.COLOR not in pictures.dims:
        return pictures
    pictures = pictures.transpose(..., v.COLOR, v.Y, v.X)
    *rest, colors, height, width = pictures.shape
    values = pictures.values.reshape(*rest, colors * height, width)
    return xr.DataArray(values, dims=(*pictures.dims[:-3], v.Y, v.X))


def _colors(spatial: xr.DataArray) -> list[dict[str, str]]:
    """Name and hue of every colour; empty where there are none."""
    names = [str(name) for name in spatial[v.COLOR].values] if v.COLOR in spatial.dims else []
    return [{"name": name, "hue": style.hue(name)} for name in names]


def _cropped(maps: NDArray[Any], peak: NDArray[Any]) -> tuple[dict[str, Any], list[int]]:
    """Maps (time, component, y, x) in steps of their peaks, cut to where there is anything."""
    scale = np.divide(LEVELS, peak, out=np.zeros(peak.shape), where=peak > 0)
    levels = np.rint(maps * scale[..., None, None]).astype(np.int8)
    spans = [np.flatnonzero(levels.any(axis=(0, 1, other))) for other in (3, 2)]
    (top, bottom), (left, right) = ((s[0], s[-1] + 1) if s.size else (0, 1) for s in spans)
    return pack(levels[..., top:bottom, left:right], np.int8), [int(top), int(left)]


def _pixel(spatial: xr.DataArray) -> dict[str, Any]:
    """Width of a pixel, in the units of the coordinate `x` where it has any."""
    units = str(spatial[v.X].attrs.get("units", "")) if v.X in spatial.coords else ""
    if units in ("", v.DIMENSIONLESS) or spatial.sizes[v.X] < 2:
        return {"width": 1.0, "units": "pixels"}
    ends = spatial[v.X].values[[0, -1]].astype(float)
    return {"width": float(abs(ends[1] - ends[0]) / (spatial.sizes[v.X] - 1)), "units": units}


def pack_frames(stimulus: xr.DataArray, spatial: xr.DataArray) -> dict[str, Any]:
    """Newest frame of the window of every field, in 256 greys from darkest to brightest."""
    colors = (v.COLOR,) if v.COLOR in spatial.dims else ()
    stimulus = labels.require_dims(stimulus, (v.TIME, *colors, v.Y, v.X), "stimulus")
    shape = spatial.shape[-2 - len(colors) :]
    if stimulus.shape[1:] != shape:
        raise InputError(
            came=f"frames of {stimulus.shape[1:]} pixels and fields of {shape}",
            expected="the stimulus that the fields belong to",
        )
    frames = stimulus.isel({v.TIME: places(stimulus, spatial, v.TIME, "frames")})
    labels.require_finite(frames, "stimulus")
    values = _stacked(frames).values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    grey = (values - low) * (255 / (high - low) if high > low else 0.0)
    units = str(stimulus.attrs.get("units", ""))
    return {"units": units, "range": [low, high], "frames": pack(np.rint(grey), np.uint8)}


def pack_layers(
    loadings: Mapping[str, xr.DataArray],
    dictionaries: Mapping[str, xr.DataArray],
    rates: xr.DataArray,
    alike: float,
) -> list[dict[str, Any]]:
    """Modes of every layer: names, channels, dictionary, loadings, and which are alike."""
    if set(loadings) != set(dictionaries):
        raise InputError(
            came=f"loadings of {sorted(loadings)} and dictionaries of {sorted(dictionaries)}",
            expected="the same layers in both",
        )
    return [_layer(name, loadings[name], dictionaries[name], rates, alike) for name in loadings]


def _layer(
    name: str, loadings: xr.DataArray, dictionary: xr.DataArray, rates: xr.DataArray, alike: float
) -> dict[str, Any]:
    loadings = labels.require_dims(loadings, (v.TIME, v.MODE), f"loadings of {name}")
    signed = (v.SIGN,) if v.SIGN in dictionary.dims else ()
    dims = (v.MODE, *signed, v.CHANNEL)
    dictionary = labels.require_dims(dictionary, dims, f"dictionary of {name}")
    labels.require_same(loadings, rates, v.TIME, f"loadings of {name} and rates")
    labels.require_same(loadings, dictionary, v.MODE, f"loadings and dictionary of {name}")
    labels.require_finite(loadings, f"loadings of {name}")
    labels.require_finite(dictionary, f"dictionary of {name}")
    modes = loadings.sizes[v.MODE]
    rows = dictionary.values.reshape(modes, -1)
    numbers = loadings[v.MODE].values if v.MODE in loadings.coords else range(modes)
    return {
        "name": name,
        "modes": [str(number) for number in numbers],
        "channels": _channel_names(dictionary),
        "alike": mode_groups(loadings, dictionary, alike).tolist(),
        "dictionary": pack(rows, np.float32),
        "loadings": pack(loadings.transpose(v.MODE, v.TIME).values, np.float32),
    }


def mode_groups(
    loadings: xr.DataArray, dictionary: xr.DataArray, cosine: float
) -> NDArray[np.intp]:
    """Group of every mode: position of the most used mode that it is a near-copy of."""
    groups = np.arange(loadings.sizes[v.MODE])
    if not (loadings.values > 0).any():
        return groups
    loadings, dictionary = (a.assign_coords({v.MODE: groups}) for a in (loadings, dictionary))
    merged = merge_modes(loadings, dictionary, cosine=cosine)
    for head, members in zip(merged[v.MODE].values, merged["members"].values, strict=True):
        groups[np.array(members.split(), dtype=np.intp)] = head
    return groups


def _channel_names(dictionary: xr.DataArray) -> list[str]:
    """Cell type of every channel, or its number; with its sign where both signs were fitted."""
    count = dictionary.sizes[v.CHANNEL]
    named = dictionary.coords.get("cell_type", dictionary.coords.get(v.CHANNEL))
    plain = [str(n) for n in (range(count) if named is None else named.values)]
    signs = dictionary.sizes.get(v.SIGN, 0)
    return [f"{n} {s}" for s in ("+", "\N{MINUS SIGN}")[:signs] for n in plain] if signs else plain


_DTYPES: Final = {"|i1": "int8", "|u1": "uint8", "<i2": "int16", "<i4": "int32"} | {
    "<f4": "float32",
    "<f8": "float64",
}
"""Types that a browser has arrays of, by numpy's code and by name."""


def pack(values: ArrayLike, dtype: type[np.generic]) -> dict[str, Any]:
    """Pack numbers as deflated little-endian bytes in base64."""
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    packed = base64.b64encode(zlib.compress(array.tobytes())).decode()
    return {"dtype": _DTYPES[array.dtype.str], "shape": list(array.shape), "deflate": packed}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Numbers of a packed array."""
    dtype = np.dtype(str(packed["dtype"])).newbyteorder("<")
    flat = np.frombuffer(zlib.decompress(base64.b64decode(packed["deflate"])), dtype)
    return flat.reshape(packed["shape"])
