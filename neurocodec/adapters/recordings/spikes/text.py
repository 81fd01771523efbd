"""Text files of spike times: one cell a file, one a line, or a table with a header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.spikes.cells import Cells, grouped
from neurocodec.errors import InputError

ENDINGS: Final = (".txt", ".csv", ".tsv", ".dat")
TIMES: Final = re.compile(
    r"(spike)?[ _]?times?([ _]?[(\[]?(s|sec|seconds|ms|us)[)\]]?)?$", re.IGNORECASE
)
"""Header of the column of times, with its units where it tells them."""
CELLS: Final = ("cell", "unit", "cluster", "neuron", "cell_id", "unit_id", "cluster_id", "id")
PER_SECOND: Final = {"ms": 1e3, "us": 1e6}
EXPECTED: Final = (
    "one time a line (a file a cell), a cell's name and its times a line, or a table with the"
    " columns 'cell' and 'time'"
)


def is_text(path: Path) -> bool:
    """Whether a file is called like a text file, or a folder holds such files."""
    if path.is_dir():
        return bool(text_files(path))
    return path.suffix.lower() in ENDINGS


def text_files(folder: Path) -> list[Path]:
    """Text files of a folder, in the order of their numbers."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file()]
    return sorted(
        found, key=lambda p: [t.zfill(9) if t.isdigit() else t for t in re.split(r"(\d+)", p.name)]
    )


def read_text(path: Path) -> Cells:
    """Spike times in seconds of the cells of a file, or of a folder with a file a cell."""
    if not path.is_dir():
        return Cells(_read(path))
    leave(
        "files that are no text:",
        sorted(p.name for p in path.iterdir() if p.suffix.lower() not in ENDINGS),
    )
    found: dict[str, np.ndarray] = {}
    for file in text_files(path):
        cells = _read(file)
        if len(cells) != 1:
            raise InputError(
                came=f"{file.name!r} in a folder of text files, with {len(cells)} cells",
                expected="one cell a file",
                hint=f"spike_times={str(file)!r}",
            )
        (times,) = cells.values()
        found[file.stem] = times
    return Cells(found)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            came=f"{str(path)!r}, which is no text: {error}", expected=EXPECTED
        ) from error
    lines = [line.split("#", 1)[0].strip() for line in text.replace('"', "").splitlines()]
    rows = [re.split(r"[\s,;]+", line.strip(",;")) for line in lines if line]
    if not rows:
        return {path.stem: np.empty(0)}
    header = re.split(r"\t|,|;|\s{2,}| (?![(\[])", next(line for line in lines if line))
    places = [i for i, name in enumerate(header) if TIMES.match(name.strip())]
    if places and not _is_number(header[0]) | _is_number(header[-1]):
        return _table(path, [h.strip() for h in header], places[0], rows[1:])
    if not _is_number(rows[0][0]):
        return _named_lines(path, rows)
    widths = {len(row) for row in rows}
    if widths != {1}:
        raise InputError(
            came=f"{str(path)!r} with lines of {sorted(widths)[:5]} numbers and no header",
            expected=EXPECTED,
            hint="put the line 'cell,time' on top",
        )
    return {path.stem: _numbers(path, [row[0] for row in rows])}


def _table(
    path: Path, header: list[str], time: int, rows: list[list[str]]
) -> dict[str, np.ndarray]:
    wrong = [i for i, row in enumerate(rows, 2) if len(row) != len(header)]
    if wrong:
        raise InputError(
            came=f"line {wrong[0]} of {str(path)!r}, which has {len(rows[wrong[0] - 2])} columns",
            expected=f"{len(header)}: {', '.join(header)}",
        )
    found = TIMES.match(header[time])
    units = (found.group(3) or "s").lower() if found else "s"
    times = _numbers(path, [row[time] for row in rows]) / PER_SECOND.get(units, 1.0)
    owner = next((i for i, h in enumerate(header) if h.lower() in CELLS), None)
    used = {time, owner}
    leave(f"columns of {path.name}:", [h for i, h in enumerate(header) if i not in used])
    if owner is None:
        if len(header) > 1:
            raise InputError(
                came=f"{str(path)!r} with the columns {header}",
                expected="a column 'cell' beside the times",
                hint=f"call one of the columns {' or '.join(map(repr, CELLS[:3]))}",
            )
        return {path.stem: times}
    names = [row[owner] for row in rows]
    whole = all(re.fullmatch(r"\d+", name) for name in names)
    cells = grouped(times, np.array([int(n) for n in names] if whole else names), str(path))
    return {f"unit {k}" if whole else str(k): x for k, x in cells.items()}


def _named_lines(path: Path, rows: list[list[str]]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for row in rows:
        name = row[0].rstrip(":")
        if name in found:
            raise InputError(
                came=f"{str(path)!r} with two lines of {name!r}", expected="one line a cell"
            )
        found[name] = _numbers(path, row[1:])
    return found


def _numbers(path: Path, texts: list[str]) -> np.ndarray:
    try:
        return np.array([float(x) for x in texts])
    except ValueError as error:
        raise InputError(came=f"{str(path)!r}: {error}", expected=EXPECTED) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
