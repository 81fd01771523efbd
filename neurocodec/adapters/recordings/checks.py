"""What is checked of every recording, and what is chosen from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.spikes.remedies import in_seconds_again
from neurocodec.arguments import is_whole, one_of, several
from neurocodec.errors import InputError, warn

Gaps = Literal["refuse", "drop", "interpolate"]
Parts = dict[str, xr.Dataset]
SLOW: Final = 1.0
"""Seconds from which on a frame is long enough to doubt that it was counted in seconds."""

RESPONSES: Final = {
    "firing_rate": v.CELL,
    "spike_count": v.CELL,
    "membrane_potential": v.INTERNEURON,
    "fluorescence": v.INTERNEURON,
}
"""Recorded variables, and the dimension that names who was recorded."""


def select_cells(parts: Parts, cells: str | Iterable[str | int] | None) -> Parts:
    """Keep some cells of every part that has cells, in this order, as `nc.read_recording`."""
    if cells is None:
        return parts
    if not any(v.CELL in part.dims for part in parts.values()):
        raise InputError(
            came=f"cells={cells!r} of a recording without ganglion cells",
            expected="parts with a dimension 'cell'",
            hint="nc.read_recording(path), and recording[part].sel(interneuron=[...])",
        )
    expected = "names or positions of cells, none of them twice"
    wanted = (
        cells if isinstance(cells, str) else several("cells", cells, expected, hint="cells=[0]")
    )
    return {
        name: part.isel({v.CELL: _places(part, wanted)}) if v.CELL in part.dims else part
        for name, part in parts.items()
    }


def _places(part: xr.Dataset, wanted: str | list[str | int]) -> list[int]:
    known = [str(name) for name in part[v.CELL].values]
    if wanted == "reliable" and "reliable" not in known:
        if "reliable" not in part.coords:
            raise InputError(
                came="cells='reliable' of a recording that does not say which are",
                expected="a coordinate 'reliable' (cell), or the attribute 'reliable_cells'",
                hint=f"cells={known[:3]}",
            )
        return [int(i) for i in np.flatnonzero(part["reliable"].values)]
    names = [wanted] if isinstance(wanted, str) else wanted
    places = [_place(name, known) for name in names]
    if not places or len({*places}) < len(places):
        raise InputError(
            came=f"cells={wanted!r}, which is {len({*places})} cells",
            expected="at least one cell, and none twice",
            hint=f"cells={[known[i] for i in dict.fromkeys(places or [0])]}",
        )
    return places


def _place(name: str | int, known: list[str]) -> int:
    if is_whole(name) and 0 <= name < len(known):
        return int(name)
    return known.index(one_of("cell", name, known))


def mend_gaps(parts: Parts, nan: Gaps) -> Parts:
    """Refuse, drop or interpolate in time what is NaN or infinite, as `nc.read_recording`."""
    one_of("way to treat NaN", nan, get_args(Gaps))
    return {name: _mended(name, part, nan) for name, part in parts.items()}


def _mended(name: str, part: xr.Dataset, nan: Gaps) -> xr.Dataset:
    for variable, dim in RESPONSES.items():
        if variable not in part or part[variable].dtype.kind not in "fc":
            continue
        gaps = part[variable].copy(data=~np.isfinite(part[variable].values))
        if not bool(gaps.any()):
            continue
        if nan == "refuse":
            _refuse(name, part[variable], gaps, dim)
        elif nan == "drop":
            whole = ~gaps.any([d for d in gaps.dims if d != dim])
            if not bool(whole.any()):
                raise InputError(
                    came=f"{variable} of {name!r} with NaN or infinite values of everyone",
                    expected=f"at least one {dim} without",
                    hint="nc.read_recording(path, nan='interpolate')",
                )
            part = part.isel({dim: np.flatnonzero(whole.values)})
        else:
            part = part.assign({variable: _interpolated(part[variable])})
    return part


def _refuse(name: str, data: xr.DataArray, gaps: xr.DataArray, dim: str) -> None:
    first = {str(d): int(i[0]) for d, i in zip(gaps.dims, np.nonzero(gaps.values), strict=True)}
    who = str(data[dim].values[first[dim]]) if dim in data.coords else str(first[dim])
    when = f"{float(data[v.TIME].values[first[v.TIME]]):g} s" if v.TIME in data.coords else "?"
    raise InputError(
        came=f"{data.name} of {name!r} with {int(gaps.sum())} NaN or infinite values, the first of"
        f" {who!r} at {when}",
        expected="finite numbers",
        hint="nc.read_recording(path, nan='interpolate'), or nan='drop' to leave out who has any",
    )


def _interpolated(data: xr.DataArray) -> xr.DataArray:
    def mend(row: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.isfinite(row)
        places = np.arange(len(row))
        return np.interp(places, places[known], row[known]) if known.any() else row

    mended = xr.apply_ufunc(
        mend, data, input_core_dims=[[v.TIME]], output_core_dims=[[v.TIME]], vectorize=True
    )
    result: xr.DataArray = mended.transpose(*data.dims).astype(data.dtype)
    result = result.assign_attrs(data.attrs)
    if not bool(np.isfinite(result).all()):
        raise InputError(
            came=f"{data.name} without a single finite value for some cell",
            expected="values to interpolate between",
            hint="nc.read_recording(path, nan='drop')",
        )
    return result


def report_slow(parts: Parts, *, of_tree: bool = False) -> None:
    """Warn of frames that last so long that their times may be in ms, where cells are recorded."""
    for name, part in parts.items():
        recorded = v.TIME in part.coords and any(x in part for x in RESPONSES)
        if not recorded or part.sizes[v.TIME] < 2:
            continue
        step = clock.step_of(clock.seconds(part[v.TIME].variable).values)
        if step >= SLOW:
            what = f"recording[{name!r}].to_dataset()" if of_tree else "recording"
            warn(
                f"frames of {name!r} last {step:g} s each; where its times are in ms:"
                f" {in_seconds_again(part, what)}"
            )


def report_silent(parts: Parts) -> None:
    """Warn, by name, of cells that have no spike in any part."""
    heard: dict[str, bool] = {}
    for part in parts.values():
        for name in ("firing_rate", "spike_count"):
            if name in part:
                found = (part[name] > 0).any([d for d in part[name].dims if d != v.CELL])
                for cell, spikes in zip(found[v.CELL].values, found.values, strict=True):
                    heard[str(cell)] = heard.get(str(cell), False) or bool(spikes)
    silent = [name for name, spikes in heard.items() if not spikes]
    if silent:
        warn(f"{len(silent)} of {len(heard)} cells have no spikes: {', '.join(silent[:10])}")
