"""`nc.describe_fields`: centre, size, polarity, orientation, surround and time course of fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.field_shape import Shape, describe
from neurocodec.kernels.separable import separable_components
from neurocodec.labels import labelled, stamp

BLOCK_BYTES = 2**26
"""Of whole fields that are split into components at once."""

_MAP = (v.Y, v.X)
_WHOLE = (v.LAG, v.Y, v.X)


def describe_fields(fields: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Describe receptive fields by a few numbers each.

    Whole fields (`irf`, `sta`) are described by their first separable component, time course u
    times map m; given components each by itself. m smoothed by a pixel gives the sign of the peak
    where it is largest in size; p is the pixel with the most of that sign there or beside it. The
    centre C is the connected region around p in which m has the sign. A field with a number that
    is not finite is not described: NaN, and no polarity.

    Parameters
    ----------
    fields
        From `nc.receptive_fields` or `nc.spike_triggered_average`, or one array of whole fields
        (..., lag, y, x).

    Returns
    -------
    xarray.Dataset
        Over the dims that are left of the fields:

        - `y_center`, `x_center`: mean position, weighted by the excess of m over half of m(p), in
          the connected region where there is one; in the units of the coordinates y and x.
        - `radius`: radius of the circle with the area of the centre's ellipse of one standard
          deviation, sqrt(sigma_1 sigma_2), from the second moments of the same excess, divided by
          what they are for a Gaussian of standard deviation 1.
        - `polarity`: "ON" where m(p) has the sign of the recent phase of u (the newest lag at
          which u reaches half of its largest size), else "OFF"; empty where there is no field.
        - `orientation` (degrees, of the preferred bars: 0 along x, 90 along y) and
          `orientation_index` = |sum P exp(2ia)| / sum P over the power spectrum P(k) of m, a
          being the angle of k: 0 where round, |s1 - s2| / (s1 + s2) for a Gaussian of
          standard deviations s1 and s2, 1 for a grating.
        - `surround_strength` = 1 - (sum of m) / (sum of m in C): what the rest of the map takes
          from the centre's response to full-field light; 0 without surround, 1 where balanced.
        - `biphasic_index`: smaller over larger of |max u| and |min u| of opposite sign.
        - `peak_lag`: lag at which |u| is largest, in the units of `lag`.

        Known centres of cells among the coordinates give way to the measured ones.

    Raises
    ------
    InputError
        Where there are neither whole fields nor components.

    Examples
    --------
    >>> y, x = np.mgrid[:21, :21]
    >>> off = -np.exp(-((y - 10) ** 2 + (x - 8) ** 2) / 18.0)
    >>> field = np.multiply.outer([0.0, -0.2, 1.0], off)
    >>> found = describe_fields(xr.DataArray(field, dims=("lag", "y", "x")))
    >>> str(found.polarity.values), float(found.radius.round(1)), float(found.peak_lag)
    ('OFF', 3.0, 2.0)
    """
    temporal, spatial = first_components(fields)
    rest = [str(d) for d in spatial.dims[:-2]]
    shape = spatial.shape[:-2]
    found = describe(
        temporal.values.reshape(-1, temporal.sizes[v.LAG]),
        spatial.values.reshape(-1, *spatial.shape[-2:]),
    )
    variables = {
        name: labelled(values.reshape(shape), rest, name=name, units=units)
        for name, (values, units) in _variables(found, temporal, spatial).items()
    }
    keep = {
        name: c.variable
        for name, c in spatial.coords.items()
        if not {v.Y, v.X} & set(c.dims) and name not in variables
    }
    return stamp(xr.Dataset(variables).assign_coords(keep), "nc.describe_fields")


def first_components(fields: xr.Dataset | xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Time courses (..., lag) and maps (..., y, x) of fields: the given ones, or the first."""
    if isinstance(fields, xr.Dataset) and {v.TEMPORAL, v.SPATIAL} <= set(fields.data_vars):
        temporal, spatial = fields[v.TEMPORAL], fields[v.SPATIAL]
        rest = [d for d in spatial.dims if d not in _MAP]
        if v.COLOR in rest and v.COLOR not in temporal.dims:  # all colours have one time course
            temporal = temporal.expand_dims({v.COLOR: spatial.sizes[v.COLOR]})
        return temporal.transpose(*rest, v.LAG), spatial.transpose(*rest, *_MAP)
    whole = _whole(fields)
    rest = [d for d in whole.dims if d not in _WHOLE]
    whole = whole.transpose(*rest, *_WHOLE)
    courses, maps = _split(whole)
    lag = whole.isel({v.Y: 0, v.X: 0}, drop=True)
    image = whole.isel({v.LAG: -1}, drop=True)
    name = {"attrs": {"units": whole.attrs.get("units", "")}}
    return lag.copy(data=courses), image.copy(data=maps).assign_attrs(name["attrs"])


def _whole(fields: xr.Dataset | xr.DataArray) -> xr.DataArray:
    found = fields
    if isinstance(fields, xr.Dataset):
        names = [n for n in (v.IRF, "sta") if n in fields]
        found = fields[names[0]] if names else fields
    if not isinstance(found, xr.DataArray) or not set(_WHOLE) <= set(found.dims):
        raise InputError(
            came=f"fields with {list(getattr(fields, 'data_vars', getattr(fields, 'dims', [])))}",
            expected="irf or sta (..., lag, y, x), or temporal and spatial components",
            hint="nc.receptive_fields(net, movie, rank=1)",
        )
    return found


def _split(whole: xr.DataArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """First components of many fields, block by block, as they may be lazily read."""
    shape = whole.shape[:-3]
    lags, *size = whole.shape[-3:]
    if not shape:
        one = separable_components(_known(whole.values), 1)
        return one.temporal[0], one.spatial[0]
    courses = np.empty((*shape, lags), np.result_type(whole.dtype, np.float32))
    maps = np.empty((*shape, *size), courses.dtype)
    step = max(1, BLOCK_BYTES * max(1, shape[0]) // max(1, whole.nbytes))
    for start in range(0, shape[0], step):
        rows = slice(start, start + step)
        found = separable_components(_known(whole[rows].values), 1)
        courses[rows], maps[rows] = found.temporal[..., 0, :], found.spatial[..., 0, :, :]
    return courses, maps


def _known(fields: NDArray[Any]) -> NDArray[Any]:
    """Fields with zeros in place of those that are not finite everywhere."""
    finite = np.isfinite(fields).all((-3, -2, -1), keepdims=True)
    return fields if finite.all() else np.where(finite, fields, 0)


def _variables(
    found: Shape, temporal: xr.DataArray, spatial: xr.DataArray
) -> dict[str, tuple[NDArray[Any], str | None]]:
    y, x = (_positions(spatial, d) for d in _MAP)
    step = np.sqrt(abs((y[-1] - y[0]) * (x[-1] - x[0])) / max(1, (y.size - 1) * (x.size - 1)))
    names = np.array(["OFF", "", "ON"])
    unit = spatial[v.Y].attrs.get("units", "pixel") if v.Y in spatial.coords else "pixel"
    lag = _positions(temporal, v.LAG)
    lag_unit = temporal[v.LAG].attrs.get("units") if v.LAG in temporal.coords else "frame"
    peak_lag = np.where(found.polarity == 0, np.nan, lag[found.peak])
    return {
        "y_center": (np.interp(found.y_center, np.arange(y.size), y), unit),
        "x_center": (np.interp(found.x_center, np.arange(x.size), x), unit),
        "radius": (found.radius * (step or 1.0), unit),
        "polarity": (names[found.polarity.astype(int) + 1], None),
        "orientation": (found.orientation, None),
        "orientation_index": (found.orientation_index, None),
        "surround_strength": (found.surround_strength, None),
        "biphasic_index": (found.biphasic_index, None),
        "peak_lag": (peak_lag, lag_unit),
    }


def _positions(data: xr.DataArray, dim: str) -> NDArray[np.float64]:
    if dim in data.coords:
        return np.asarray(data[dim].values, float)
    return np.arange(data.sizes[dim], dtype=float)
