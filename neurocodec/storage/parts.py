"""Parts of a run on disk: numbered files of rows, and how they become one result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from neurocodec.errors import InputError, StorageError
from neurocodec.storage.encoding import StoredGroup, StoredVariable, Writables, stored_values
from neurocodec.storage.files import fill

Arrays = Mapping[str, NDArray[Any]]
"""Path of a variable ("layer1/contribution") -> its rows, sample axis first."""

KEPT: Final = "kept"
"""Arrays of this name (bool) say which samples the result shall have; it does not hold them."""

_PART: Final = re.compile(r"rows-(\d+)-(\d+)\.safetensors")


def end_of(block: tuple[int, Arrays]) -> int:
    """Position after the last sample of a block: position of the first sample, and its rows."""
    start, rows = block
    return start + len(next(iter(rows.values())))


def bytes_of(blocks: Iterable[tuple[int, Arrays]]) -> int:
    """Memory that blocks of rows take."""
    return sum(v.nbytes for _, rows in blocks for v in rows.values())


def parts_in(folder: Path) -> list[Path]:
    """Parts in the folder of a run, in the order of their samples."""
    return sorted(folder.glob("rows-*.safetensors"))


def range_of(part: Path) -> tuple[int, int]:
    """First sample of a part, and the position after its last."""
    found = _PART.fullmatch(part.name)
    if found is None:
        raise StorageError(
            came=f"{str(part)!r}, which is no part of a run", hint=f"delete {str(part)!r}"
        )
    return int(found[1]), int(found[2])


def require_rows(start: int, rows: Arrays, size: int) -> None:
    """Refuse rows of different lengths, beyond the end of the run, or that are no numbers."""
    lengths = {name: len(v) for name, v in rows.items()}
    if len(set(lengths.values())) != 1 or not 0 <= start <= start + max(lengths.values()) <= size:
        raise InputError(
            came=f"rows from {start} with lengths {lengths}",
            expected=f"one length for all, within the {size} samples of the run",
        )
    for name, values in rows.items():
        if values.dtype.kind not in "biuf" or values.dtype.char == "g":
            raise InputError(
                came=f"rows of {name!r} of dtype {values.dtype}",
                expected="real numbers or booleans; text belongs to the template",
            )


def kept_samples(parts: Iterable[Path], size: int) -> NDArray[np.bool_]:
    """Which samples of a run its result shall have."""
    kept = np.ones(size, bool)
    for part in parts:
        start, stop = range_of(part)
        with _readable(part), safe_open(part, "numpy") as file:
            if KEPT in file.keys():  # noqa: SIM118 - it has no other way to ask
                kept[start:stop] = file.get_tensor(KEPT)
    return kept


def variables_of(groups: Sequence[StoredGroup]) -> dict[str, StoredVariable]:
    """Path of a variable -> the variable."""
    return {g.key(name): v for g in groups for name, v in g.variables.items()}


def require_fit(groups: Sequence[StoredGroup], rows: Arrays, size: int) -> None:
    """Refuse rows for which the template of a result of `size` samples has no place."""
    wanted = {k: (v.source.dtype, v.shape) for k, v in variables_of(groups).items()}
    for key, values in rows.items():
        came = (values.dtype, (size, *values.shape[1:]))
        if wanted.get(key) != came:
            raise InputError(
                came=f"rows of {key!r} of dtype {came[0]} for the shape {came[1]}",
                expected=f"as in the template: {wanted.get(key, 'no such variable')}",
            )


def copy_parts(
    groups: Sequence[StoredGroup], arrays: Writables, parts: Sequence[Path], kept: NDArray[np.bool_]
) -> None:
    """Write a result, with memory for one part."""
    written = set(load_part(parts[0])) - {KEPT} if parts else set()
    fill(groups, arrays, written)
    for part in parts:
        start, stop = range_of(part)
        rows, whole = load_part(part), kept[start:stop]
        first = int(kept[:start].sum())
        place = slice(first, first + int(whole.sum()))
        for key in written if whole.any() else ():
            found = rows[key] if whole.all() else rows[key][whole]
            arrays[key][place] = stored_values(found)


def load_part(part: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a part."""
    with _readable(part):
        return load_file(part)


@contextmanager
def _readable(part: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        raise StorageError(
            came=f"{str(part)!r}, which is damaged: {error}",
            expected="a whole part",
            hint=f"delete {str(part)!r} and make the same call again",
        ) from error
