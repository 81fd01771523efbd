"""Recordings as named arrays: `.npz`, netCDF, HDF5 and Zarr."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock, terms
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.lazy import stored_variable
from neurocodec.adapters.recordings.spikes.cells import require_different
from neurocodec.errors import InputError
from neurocodec.labels import time_coordinate

DIMS: Final[dict[str, tuple[str, ...]]] = {
    "stimulus": (v.TIME, v.Y, v.X),
    "intensity": (v.TIME,),
    "firing_rate": (v.TIME, v.CELL),
    "spike_count": (v.REPEAT, v.TIME, v.CELL),
    "membrane_potential": (v.TIME, v.INTERNEURON),
    "fluorescence": (v.TIME, v.INTERNEURON),
    "time": (v.TIME,),
    "segment": (v.TIME,),
    "cell": (v.CELL,),
    "cell_type": (v.CELL,),
    "y_center": (v.CELL,),
    "x_center": (v.CELL,),
    "reliable": (v.CELL,),
    "interneuron": (v.INTERNEURON,),
    "interneuron_cell_type": (v.INTERNEURON,),
    "interneuron_y_center": (v.INTERNEURON,),
    "interneuron_x_center": (v.INTERNEURON,),
    "repeat": (v.REPEAT,),
    "y": (v.Y,),
    "x": (v.X,),
    "bin_width": (),
    "frame_rate": (),
}
"""Arrays that are read, and their axes where the file does not name them."""
DATA: Final = tuple(DIMS)[:6]
REPEATED: Final = ("membrane_potential", "fluorescence")
"""Responses that may have a leading axis of repeats."""
WHOLE: Final = "recording"
"""Name of the only part of a file that has no parts."""


def read_groups(path: Path, engine: str) -> dict[str, xr.Dataset]:
    """Group ("recording" for the root) -> named arrays of a netCDF, HDF5 or Zarr file."""
    # `engine` is xarray's: "h5netcdf", "netcdf4" (netCDF 3) or "zarr". The stimulus stays in the
    # file.
    parts: dict[str, dict[str, xr.Variable]] = {}
    there: list[str] = []
    for where, group in _opened(path, engine).items():
        with group:
            there += [f"{where.strip('/')}/{name}".strip("/") for name in group.variables]
            known = [str(name) for name in group.variables if name in DIMS]
            if known:
                parts[where.strip("/") or WHOLE] = {
                    name: _variable(path, engine, where, name, group[name].variable)
                    for name in known
                }
    require_data(parts, path, there)
    leave("arrays:", [name for name in there if name.rpartition("/")[2] not in DIMS])
    return {name: assemble(variables, f"{path.name}/{name}") for name, variables in parts.items()}


def _opened(path: Path, engine: str) -> dict[str, xr.Dataset]:
    plain: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}
    options: dict[str, Any] = {"phony_dims": "access"} if engine == "h5netcdf" else {}
    return dict(xr.open_groups(path, engine=engine, **options, **plain))


def _variable(path: Path, engine: str, where: str, name: str, found: xr.Variable) -> xr.Variable:
    if not DIMS[name]:
        return scalar(name, found.to_numpy(), path, found.attrs)
    named = {*map(str, found.dims)} <= {d for dims in DIMS.values() for d in dims}
    dims = tuple(map(str, found.dims)) if named else positional_dims(name, found.shape)
    if name == v.STIMULUS and engine == "h5netcdf":
        coded = found.encoding
        fill = coded.get("_FillValue", np.nan)
        return stored_variable(
            path,
            f"{where}/{name}",
            dims,
            found.attrs,
            scale=float(coded.get("scale_factor", 1.0)),
            offset=float(coded.get("add_offset", 0.0)),
            fill=None if np.isnan(fill) else float(fill),
        )
    values = found.to_numpy()
    if values.dtype.kind in "OS":
        values = texts(values)
    return xr.Variable(dims, values, found.attrs)


def texts(values: NDArray[Any]) -> NDArray[np.str_]:
    """Bytes and objects as text."""
    found = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in values.ravel()]
    return np.array(found, dtype=str).reshape(values.shape)


def scalar(
    name: str, values: NDArray[Any], path: Path, attrs: Mapping[Any, Any] | None = None
) -> xr.Variable:
    """A single number, such as a frame rate."""
    if values.size != 1 or values.dtype.kind not in "fiu":
        raise InputError(
            came=f"the array {name!r} of {values.dtype} and shape {values.shape} in {str(path)!r}",
            expected="one number",
        )
    return xr.Variable((), values.item(), attrs)


def _require_numbers(variables: Mapping[str, xr.Variable], where: str) -> None:
    """Refuse stimuli, responses or times of text, and counts below 0."""
    for name, variable in variables.items():
        kinds = "biuf" if name in DATA else "biufmM" if name == v.TIME else ""
        if kinds and variable.dtype.kind not in kinds:
            raise InputError(came=f"{name!r} of {where}, of {variable.dtype}", expected="numbers")
    counts = variables.get("spike_count")
    if counts is not None and bool((counts < 0).any()):
        raise InputError(came=f"'spike_count' of {where} below 0", expected="numbers of spikes")


def positional_dims(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Axes of an array of `DIMS` whose file does not name them."""
    # Potentials may have repeats before time, spike counts may have none.
    dims = DIMS[name]
    if name in REPEATED and len(shape) == 3:
        return (v.REPEAT, *dims)
    if name == "spike_count" and len(shape) == 2:
        return dims[1:]
    if name == v.STIMULUS and len(shape) == 1:
        return dims[:1]  # full-field light
    if len(shape) != len(dims):
        raise InputError(came=f"the array {name!r} of shape {shape}", expected=f"axes {dims}")
    return dims


def require_data(parts: Mapping[str, Any], path: Path, there: list[str]) -> None:
    """Refuse a file in which no array has the name of a stimulus or a response."""
    if any({*DATA} & {*variables} for variables in parts.values()):
        return
    near = {n: difflib.get_close_matches(n.rpartition("/")[2], DATA, n=1) for n in there}
    hints = [f"call {n!r} {found[0]!r}" for n, found in near.items() if found]
    raise InputError(
        came=f"{str(path)!r} with the arrays {there[:12] or 'none'}",
        expected=f"at least one of {', '.join(map(repr, DATA))}, with 'time' or 'frame_rate'",
        hint=hints[0] if hints else "np.savez(path, stimulus=..., time=..., firing_rate=...)",
    )


def assemble(variables: Mapping[str, xr.Variable], where: str) -> xr.Dataset:
    """Put arrays with names from `DIMS` together, with a coordinate for every dimension."""
    _require_numbers(variables, where)
    variables = {name: _one_pixel(name, _repeated(name, x)) for name, x in variables.items()}
    sizes = _agreed_sizes(variables, where)
    if v.TIME not in sizes:
        raise InputError(
            came=f"{where} with {[*variables]}", expected="arrays with the axis 'time'"
        )
    coords: dict[str, Any] = {
        **{d: (d, _default_labels(d, n)) for d, n in sizes.items() if d != v.TIME},
        **{n: x for n, x in variables.items() if n not in (*DATA, "frame_rate", "bin_width")},
    }
    for dim in (v.CELL, v.INTERNEURON):
        if dim in variables and variables[dim].ndim == 1:
            require_different(variables[dim].values, f"{dim!r} of {where}")
    coords[v.TIME] = _time(variables, sizes[v.TIME], where)
    if "spike_count" in variables:
        width = _width(variables, coords[v.TIME].values, where)
        coords["bin_width"] = ((), width, {"units": v.SECONDS})
    data = {name: _described(name, variables[name]) for name in DATA if name in variables}
    return xr.Dataset(data, coords)


def _width(variables: Mapping[str, xr.Variable], time: NDArray[np.float64], where: str) -> float:
    """Bin of spike counts in seconds: as stored, or as long as a frame."""
    step = clock.step_of(time) if len(time) > 1 else np.nan
    if "bin_width" not in variables:
        return step
    width = clock.scalar_seconds(xr.DataArray(variables["bin_width"], name="bin_width"), where)
    if len(time) > 1:
        clock.require_width(width, step, where)
    return width


def _repeated(name: str, variable: xr.Variable) -> xr.Variable:
    """Spike counts of a single trial as one repeat."""
    if name != "spike_count" or v.REPEAT in variable.dims:
        return variable
    return xr.Variable((v.REPEAT, *variable.dims), variable.values[None], variable.attrs)


def _one_pixel(name: str, variable: xr.Variable) -> xr.Variable:
    """Full-field light as a movie of one pixel."""
    if name != v.STIMULUS or variable.dims != (v.TIME,):
        return variable
    return xr.Variable((v.TIME, v.Y, v.X), variable.values[:, None, None], variable.attrs)


def _to_turn(
    dim: str, name: str, first: Mapping[str, str], variables: Mapping[str, xr.Variable]
) -> str:
    """Of two arrays that differ along `dim`, the one whose last axis has the other's length."""
    other = first[dim]
    for one, two in ((name, other), (other, name)):
        if variables[one].shape[-1] == variables[two].sizes[dim]:
            return one
    return name


def _turned(name: str, variables: Mapping[str, xr.Variable]) -> str:
    """How to turn the axes of an array: as the lengths of others tell, the last one first."""
    own = variables[name]
    others = [x for k, x in variables.items() if k != name]
    sizes = {str(d): n for other in others for d, n in other.sizes.items()}
    last = (own.ndim - 1, *range(own.ndim - 1))
    for order in (last, *itertools.permutations(range(own.ndim))):
        turned = dict(zip(map(str, own.dims), (own.shape[i] for i in order), strict=True))
        if all(sizes.get(dim, n) == n for dim, n in turned.items()):
            came = ", ".join(str(own.dims[order.index(i)]) for i in range(own.ndim))
            return f"np.transpose({name}, {order}), where its axes are ({came})"
    return f"np.transpose({name}) if its axes are in another order"


def _agreed_sizes(variables: Mapping[str, xr.Variable], where: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    first: dict[str, str] = {}
    for name, variable in variables.items():
        for dim, size in variable.sizes.items():
            if sizes.setdefault(str(dim), size) != size:
                raise InputError(
                    came=f"{name!r} of {where} with shape {variable.shape}, and"
                    f" {first[str(dim)]!r} with {sizes[str(dim)]} along {dim!r}",
                    expected=f"axes {tuple(map(str, variable.dims))} of the same lengths",
                    hint=_turned(_to_turn(str(dim), name, first, variables), variables),
                )
            first.setdefault(str(dim), name)
    return sizes


def _default_labels(dim: str, size: int) -> Any:
    if dim in (v.CELL, v.INTERNEURON):
        return [f"{dim}{i:02d}" for i in range(size)]
    return np.arange(size)


def _time(variables: Mapping[str, xr.Variable], size: int, where: str) -> xr.Variable:
    if v.TIME in variables:
        stored = clock.seconds(variables[v.TIME])
        time = clock.rising(stored.values, where=where)
        attrs = {k: x for k, x in stored.attrs.items() if k == clock.SINCE}
        _leave_rate(variables, time)
        return xr.Variable(v.TIME, time, {**attrs, "units": v.SECONDS, "long_name": "time"})
    if "frame_rate" not in variables:
        raise InputError(
            came=f"{where} without 'time' and 'frame_rate'",
            expected="'time' (one value a frame, in seconds), or 'frame_rate' in frames per second",
            hint="np.savez(path, ..., frame_rate=100.0)",
        )
    return time_coordinate(size, float(np.ravel(variables["frame_rate"].values)[0]))


def _leave_rate(variables: Mapping[str, xr.Variable], time: NDArray[np.float64]) -> None:
    """Say where a frame rate beside the times is another one."""
    if "frame_rate" in variables and len(time) > 1:
        rate, step = float(variables["frame_rate"].values), clock.step_of(time)
        if not abs(step * rate - 1) <= clock.RATE_DIFFERS:
            leave(f"frame_rate {rate:g}, as the times tell {1 / step:.4g} Hz")


def _described(name: str, variable: xr.Variable) -> xr.Variable:
    term = terms.VARIABLES[name]
    described = variable.copy(deep=False)
    known = {"units": term.units or "1", "long_name": term.long_name}
    described.attrs = {**known, **variable.attrs}
    wanted = [d for d in (v.REPEAT, v.TIME, *DIMS[name][-2:]) if d in variable.dims]
    order = tuple(dict.fromkeys(wanted))
    return described if described.dims == order else described.transpose(*order)
