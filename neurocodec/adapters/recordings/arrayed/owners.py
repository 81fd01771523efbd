"""Which cell each spike is of, where a file has all spikes in one array and their cells beside."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurocodec import arguments
from neurocodec.adapters.recordings.arrayed.matlab import Opaque
from neurocodec.adapters.recordings.spikes.cells import (
    cell_names,
    grouped,
    require_different,
    unit_name,
)
from neurocodec.errors import InputError


def owned(spikes: Any, owners: Any, cells: Any, where: str) -> dict[str, Any]:
    """Times of each cell, in the order of the cells where they are listed, silent ones too."""
    split = grouped(spikes, _flat(owners), where)
    keys = cell_names(split, where)
    found = dict(zip(keys, split.values(), strict=True))
    if cells is None:
        return found
    names, numbered = _listed(cells, where)
    if {*keys} <= {*names}:
        return {name: found.get(name, np.empty(0)) for name in names}
    if numbered or {*keys} & {*names} or not all(map(arguments.is_whole, split)):
        beyond = [k for k in keys if k not in names]
        raise InputError(
            came=f"spikes of the cells {beyond[:5]} in {where}, with {names[:8]} as 'cell'",
            expected="every cell that has spikes among 'cell'",
        )
    first = _counts_from([*split], names, where)
    return {name: split.get(i + first, np.empty(0)) for i, name in enumerate(names)}


def _listed(cells: Any, where: str) -> tuple[list[str], bool]:
    """Names of cells, and whether they are numbers, also such that were written as text."""
    names = [str(x) for x in unit_names(cells)]
    written = all(name.isascii() and name.isdigit() for name in names)
    numbered = written or (isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu")
    named = [unit_name(int(x)) for x in names] if written else names
    return require_different(named, f"'cell' of {where}"), numbered


def _counts_from(places: list[int], names: list[str], where: str) -> int:
    """Number of the first name, 0 or 1, where the places that have spikes settle it."""
    least, most = min(places), max(places)
    fits = [first for first in (0, 1) if first <= least and most < len(names) + first]
    if len(fits) == 1:
        return fits[0]
    came = f"spikes of the cells {least} to {most} in {where}, with {len(names)} names"
    if not fits:
        raise InputError(came=came, expected="'spike_cell' as places in 'cell', from 0 or from 1")
    raise InputError(
        came=came,
        expected="spikes of cell 0 or of the last one, which tell whether 'spike_cell' counts"
        " from 0 or from 1",
        hint="spike_cell = cell(spike_cell) in MATLAB, cell[spike_cell] in Python: names in place"
        " of numbers",
    )


def unit_names(values: Any) -> list[str]:
    """Names of cells; numbers are those of units."""
    return [unit_name(x) for x in _each(values)]


def labels(values: Any) -> list[str]:
    """Labels of cells as text; whole floats, as MATLAB has all numbers, without a point."""
    return [unit_name(x).removeprefix("unit ") for x in _each(values)]


def _each(values: Any) -> list[Any]:
    if isinstance(values, str | bytes):
        return [_plain(values)]
    return [_plain(x) for x in (values if isinstance(values, list) else np.ravel(values).tolist())]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Opaque):
        raise InputError(
            came=f"a name or a label that is {value.kind}",
            expected="text, or numbers",
            hint="names = cellstr(names) in MATLAB, where they are text",
        )
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else value
    return value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else value


def _flat(values: Any) -> Any:
    """Cells of spikes as one array; text where they are a list of names."""
    return np.array(unit_names(values)) if isinstance(values, list | str) else np.ravel(values)
