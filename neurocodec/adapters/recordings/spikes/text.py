"""Text files of spike times: one cell a file, one a line, or a table with a header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.spikes.cells import (
    Cells,
    grouped,
    in_seconds,
    require_different,
    unit_name,
)
from neurocodec.adapters.recordings.spikes.lines import (
    COMMA,
    EXPECTED,
    THREE,
    WHOLE,
    as_numbers,
    decimal_comma,
    fields,
    is_number,
    name_and_times,
    read_lines,
    separator_of,
)
from neurocodec.errors import InputError

ENDINGS: Final = (".txt", ".csv", ".tsv", ".dat")
TIMES: Final = re.compile(
    r"(spike)?[ _]?times?([ _]?[(\[]?(s|sec|seconds|ms|us)[)\]]?)?$", re.IGNORECASE
)
"""Header of the column of times, with its units where it tells them."""
CELLS: Final = ("cell", "unit", "cluster", "neuron", "cell_id", "unit_id", "cluster_id", "id")
"""Headers of the column of cells, the one that is taken before the others first."""
PER_SECOND: Final = {"ms": 1e3, "us": 1e6}
HEADER: Final = re.compile(r"\s{2,}| (?![(\[])")
"""Blanks between the columns of a header; one before units in brackets is none."""


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


def read_text(path: Path, sample_rate: float | None = None) -> Cells:
    """Spike times in seconds of the cells of a file, or of a folder with a file a cell."""
    if not path.is_dir():
        return Cells(_read(path, sample_rate))
    leave(
        "files that are no text:",
        sorted(p.name for p in path.iterdir() if p.suffix.lower() not in ENDINGS),
    )
    found: dict[str, np.ndarray] = {}
    require_different((p.stem for p in text_files(path)), f"the files of {str(path)!r}")
    for file in text_files(path):
        cells = _read(file, sample_rate)
        if len(cells) != 1:
            raise InputError(
                came=f"{file.name!r} in a folder of text files, with {len(cells)} cells",
                expected="one cell a file",
                hint=f"spike_times={str(file)!r}",
            )
        (times,) = cells.values()
        found[file.stem] = times
    return Cells(found)


def _read(path: Path, sample_rate: float | None) -> dict[str, np.ndarray]:
    lines = read_lines(path)
    if not lines:
        return {path.stem: np.empty(0)}
    separator = separator_of(lines[0])
    header = fields(lines[0], separator) if separator else HEADER.split(lines[0].replace('"', ""))
    places = [i for i, name in enumerate(header) if TIMES.match(name.strip())]
    if places and not is_number(header[0]) | is_number(header[-1]):
        rows = [_without_empty(fields(x, separator), len(header)) for x in lines[1:]]
        return _table(path, header, rows, separator, sample_rate)
    if is_number(re.split(r"[\s,;]+", lines[0].strip())[0]):
        times = {path.stem: _column(path, lines)}
    else:
        times = _named_lines(path, lines)
    return times if sample_rate is None else in_seconds(times, sample_rate)


def _column(path: Path, lines: list[str]) -> np.ndarray:
    """Times, one a line."""
    rows = [[x for x in re.split(r"[\s,;]+", line) if x] for line in lines]
    widths = {len(row) for row in rows}
    if widths == {1}:
        return as_numbers(path, [row[0] for row in rows])
    if all(COMMA.match(line) or WHOLE.match(line) for line in lines):
        raise decimal_comma(path, next(line for line in lines if COMMA.match(line)))
    raise InputError(
        came=f"{str(path)!r} with lines of {sorted(widths)[:5]} numbers and no header",
        expected=EXPECTED,
        hint="put the line 'cell,time' on top",
    )


def _table(
    path: Path,
    header: list[str],
    rows: list[list[str]],
    separator: str,
    sample_rate: float | None,
) -> dict[str, np.ndarray]:
    if not rows and len(header) == 1:
        return {path.stem: np.empty(0)}
    _require_columns(path, header, rows)
    (time,) = (i for i, name in enumerate(header) if TIMES.match(name))
    found = TIMES.match(header[time])
    told = (found.group(3) or "").lower() if found else ""
    if told and sample_rate is not None:
        raise InputError(
            came=f"sample_rate={sample_rate:g} beside the column {header[time]!r} of {str(path)!r}",
            expected="times in samples, or with units of their own",
            hint="leave sample_rate= out, or call the column 'time'",
        )
    times = _times(path, [row[time] for row in rows], separator)
    owner = next((header.index(h) for n in CELLS for h in header if h.lower() == n), None)
    used = {time, owner}
    leave(f"columns of {path.name}:", [h for i, h in enumerate(header) if i not in used])
    names = [path.stem] * len(rows) if owner is None else [row[owner] for row in rows]
    whole = all(name.isascii() and name.isdigit() and str(int(name)) == name for name in names)
    cells = grouped(times, np.array([int(n) for n in names] if whole else names), str(path))
    split = {unit_name(k): x for k, x in cells.items()}
    rate = sample_rate or PER_SECOND.get(told, 1.0)
    return in_seconds(split, rate)


def _times(path: Path, texts: list[str], separator: str) -> np.ndarray:
    """Times of a column; with commas as points, where another sign parts the columns."""
    commas = [x for x in texts if COMMA.match(x)]
    if not commas or not all(COMMA.match(x) or WHOLE.match(x) for x in texts):
        return as_numbers(path, texts)
    if separator != ";" and all(THREE.match(x) for x in commas):
        raise decimal_comma(path, commas[0], table=separator == ",")
    return as_numbers(path, [x.replace(",", ".") for x in texts])


def _without_empty(row: list[str], size: int) -> list[str]:
    """Fields without empty ones at the end, which a separator there makes."""
    while len(row) > size and not row[-1]:
        row = row[:-1]
    return row


def _require_columns(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Refuse a table whose rows have other columns, or that may be read in several ways."""
    needed = [i for i, name in enumerate(header) if TIMES.match(name) or name.lower() in CELLS]
    wrong = [
        k
        for k, row in enumerate(rows, 2)
        if len(row) != len(header) or not all(row[i] for i in needed)
    ]
    if wrong:
        row = rows[wrong[0] - 2]
        raise InputError(
            came=f"row {wrong[0]} of {str(path)!r}, {row}, which has {sum(map(bool, row))} columns",
            expected=f"{len(header)}: {', '.join(header)}",
        )
    if not rows:
        raise InputError(
            came=f"{str(path)!r} with the header {', '.join(header)} and no row",
            expected="a row for every spike; a line that begins with '#' is a comment",
            hint="quotes around a name that begins so: '\"#1\",0.1'",
        )
    times = [name for name in header if TIMES.match(name)]
    if len(times) > 1:
        raise InputError(
            came=f"{str(path)!r} with the columns {', '.join(times)}, all of which may be times",
            expected="one column of times",
            hint="rename the others",
        )
    owners = [name for name in header if name.lower() in CELLS[:-1]]
    if len(owners) > 1:
        raise InputError(
            came=f"{str(path)!r} with the columns {', '.join(owners)}, all of which may be cells",
            expected="one column of cells",
            hint="rename the others",
        )
    if len(header) > 1 and not any(h.lower() in CELLS for h in header):
        raise InputError(
            came=f"{str(path)!r} with the columns {header}",
            expected="a column 'cell' beside the times",
            hint=f"call one of the columns {' or '.join(map(repr, CELLS[:3]))}",
        )


def _require_no_header(path: Path, lines: list[str]) -> None:
    """Refuse a first line of words above numbers, none of which is the column of times."""
    words = [x for x in re.split(r"[\s,;]+", lines[0].strip()) if x]
    below = re.split(r"[\s,;]+", lines[1].strip()) if len(lines) > 1 else []
    alike = len(words) == len(below) > 1 and any(map(is_number, below))
    if alike and not any(map(is_number, words)):
        raise InputError(
            came=f"{str(path)!r} with the header {', '.join(words)}, no time among them",
            expected="a table with the columns 'cell' and 'time'",
            hint="call the column of times 'time'; sample_rate=30000.0, where they are samples",
        )


def _named_lines(path: Path, lines: list[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    _require_no_header(path, lines)
    for line in lines:
        name, texts = name_and_times(line, path)
        if is_number(name) and not texts:
            raise InputError(
                came=f"the number {name} alone in a line of {str(path)!r}, which begins with"
                f" {lines[0][:30]!r}",
                expected=EXPECTED,
                hint=f"'# {lines[0][:30]}', where the first line is a title",
            )
        if name in found or not name:
            raise InputError(
                came=f"{str(path)!r} with two lines of {name!r}"
                if name
                else f"the line {line[:30]!r} of {str(path)!r}, which has no name",
                expected="one line a cell",
            )
        found[name] = as_numbers(path, texts)
    return found
