"""Lines of a text file of spike times: fields, comments, names, and numbers that are doubted."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from neurocodec.adapters.recordings.account import leave
from neurocodec.errors import InputError

SEPARATORS: Final = ("\t", ";", ",")
"""Signs that part columns, the one that is no part of a name or number before the others."""
EXPECTED: Final = (
    "one time a line (a file a cell), a cell's name and its times a line, or a table with the"
    " columns 'cell' and 'time'"
)
COMMA: Final = re.compile(r"[+-]?\d+,\d+$")
THREE: Final = re.compile(r"[+-]?\d{1,3},\d{3}$")
"""Number that may also be one of thousands."""
WHOLE: Final = re.compile(r"[+-]?\d+$")
QUOTED: Final = re.compile(r'"([^"]*)"\s*([:,;\t]?)')
"""Name in quotes at the beginning of a line, and the sign after it."""


def read_lines(path: Path) -> list[str]:
    """Lines that have something; without comments, which are whole lines or follow a number."""
    try:
        text = path.read_text("utf-8-sig").replace("\u00a0", " ")
    except UnicodeDecodeError as error:
        raise InputError(
            came=f"{str(path)!r}, which is no text: {error}",
            expected=EXPECTED,
            hint="save it as UTF-8",
        ) from error
    plain = [line.strip(" \r\n\f\v") for line in text.splitlines()]  # a tab may part columns
    lines = [re.sub(r"(?<=[\d.])\s+#.*$", "", line) for line in plain if line.strip()]
    kept = [line for line in lines if line and not line.startswith("#")]
    leave(f"comments in {path.name}:", [x for x in lines if x.startswith("#")] if kept else [])
    return kept


def separator_of(header: str) -> str:
    """Sign between the columns of a table; nothing where blanks part them."""
    return next((sign for sign in SEPARATORS if sign in header), "")


def fields(line: str, separator: str) -> list[str]:
    """Fields of a line of a table; quotes keep a separator in a name."""
    if not separator:
        return re.split(r"\s+", line.strip().replace('"', ""))
    (row,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [x.strip() for x in row]


def name_and_times(line: str, path: Path) -> tuple[str, list[str]]:
    """Name of the cell of a line, and the texts of its times."""
    quoted = QUOTED.match(line)
    if quoted is not None:
        return quoted.group(1), numbers_in(line[quoted.end() :], path, quoted.group(2))
    for sign in (":", "\t", ";"):
        name, found, rest = line.partition(sign)
        if found:
            return name.strip(), numbers_in(rest, path, sign)
    name, comma, rest = line.partition(",")
    *others, last = re.split(r"\s+", name.strip())
    if comma and not (others and is_number(last)):
        return name.strip(), numbers_in(rest, path, ",")
    name, _, rest = line.replace("\t", " ").partition(" ")
    first = re.split(r"[\s,]+", rest.strip())[0]
    texts = numbers_in(rest, path, " ")
    if WHOLE.match(first):
        raise InputError(
            came=f"the line {line[:30]!r} of {str(path)!r}, of which {first!r} may be of the name,"
            " or a time",
            expected="a colon after the name",
            hint=f"'{name} {first}: ...', or '{name}: {first} ...'",
        )
    return name, texts


def numbers_in(text: str, path: Path, sign: str) -> list[str]:
    """Texts of times that are parted by blanks, semicolons or commas, after a name and a sign."""
    tokens = [x for x in re.split(r"[\s;]+", text) if x]
    doubted = [x for x in tokens if COMMA.match(x)]
    plain = all(COMMA.match(x) or WHOLE.match(x) for x in tokens)
    if doubted and plain and (sign != "," or len(tokens) > 1):
        if sign in ("\t", ";") and " " not in text.strip():
            return [x.replace(",", ".") for x in tokens]  # a sign of its own parts the columns
        raise decimal_comma(path, doubted[0])
    return [x for x in re.split(r"[\s,;]+", text) if x]


def decimal_comma(path: Path, text: str, *, table: bool = False) -> InputError:
    """Refusal of a comma that may part two numbers or thousands, or be the point of one."""
    if table:
        return InputError(
            came=f"{text!r} in {str(path)!r}, whose comma may be a point, or part thousands",
            expected="numbers without commas",
        )
    where = f"pathlib.Path({str(path)!r})"
    return InputError(
        came=f"{text!r} in {str(path)!r}, which may be one number or two",
        expected="decimal points, or a blank after a comma between two numbers",
        hint=f"{where}.write_text({where}.read_text().replace(',', '.')), where it is one",
    )


def as_numbers(path: Path, texts: Iterable[str]) -> np.ndarray:
    """Times as numbers."""
    found = [*texts]
    odd = [x for x in found if not is_number(x)]
    if odd:
        raise InputError(came=f"{str(path)!r}: {odd[0]!r}, no number", expected=EXPECTED)
    return np.array([float(x) for x in found])


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python reads in numbers, as in its own code
