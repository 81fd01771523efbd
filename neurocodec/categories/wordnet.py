"""The nouns of WordNet and their hypernyms, from its own files and ImageNet's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from neurocodec.errors import InputError

Parents: TypeAlias = dict[str, tuple[str, ...]]
"""Id ("n" and eight digits, as ImageNet writes it) -> ids of what it is a kind of."""
Names: TypeAlias = dict[str, str]
"""Id -> its words, such as "dog, domestic dog, Canis familiaris"."""

_HYPERNYMS: Final = ("@", "@i")
"""Pointers of a noun to what it is a kind of, and to what it is an instance of."""
_ID: Final = re.compile(r"n\d{8}")


def read_data_noun(lines: Iterable[str]) -> tuple[Parents, Names]:
    """Read the lines of WordNet 3.0's `data.noun`: ids of hypernyms, and words, of each id."""
    parents, names = dict[str, tuple[str, ...]](), dict[str, str]()
    for number, line in enumerate(lines, 1):
        if line.startswith(" ") or not line.strip():  # lines of the licence begin with spaces
            continue
        try:
            key, found, words = _noun(line)
        except (ValueError, IndexError) as error:
            raise InputError(
                came=f"line {number} of data.noun: {line[:60]!r}",
                expected="a synset as wndb(5WN) describes it",
                hint="data.noun of WordNet 3.0, whole",
            ) from error
        parents[key], names[key] = found, words
    return parents, names


def _noun(line: str) -> tuple[str, tuple[str, ...], str]:
    """Id, ids of hypernyms and words of one synset, written as wndb(5WN) describes it."""
    # offset file n words word id ... pointers symbol offset pos source/target ... | gloss,
    # with the number of words in hexadecimal
    fields = line.split("|", maxsplit=1)[0].split()
    count = int(fields[3], 16)
    words = fields[4 : 4 + 2 * count : 2]
    rest = fields[4 + 2 * count :]
    pointers = [rest[i : i + 4] for i in range(1, 1 + 4 * int(rest[0]), 4)]
    above = (f"n{place}" for symbol, place, kind, _ in pointers if _is_hypernym(symbol, kind))
    key = f"n{int(fields[0]):08d}"
    return key, tuple(above), ", ".join(word.replace("_", " ") for word in words)


def _is_hypernym(symbol: str, kind: str) -> bool:
    return symbol in _HYPERNYMS and kind == "n"


def read_is_a(lines: Iterable[str]) -> Parents:
    """Read ImageNet's `wordnet.is_a.txt`, a parent and a child in each line: child -> parents."""
    parents: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        ids = line.split()
        if len(ids) != 2 or not all(_ID.fullmatch(one) for one in ids):
            raise InputError(
                came=f"line {number}: {line[:60]!r}",
                expected="two ids of WordNet, the parent first",
                hint="n02083346 n02084071",
            )
        parents.setdefault(ids[1], []).append(ids[0])
        parents.setdefault(ids[0], [])
    return {child: tuple(above) for child, above in parents.items()}


def read_words(lines: Iterable[str]) -> Names:
    """Read ImageNet's `words.txt`: in each line an id, a tab and words."""
    pairs = (line.rstrip("\n").partition("\t") for line in lines)
    return {key: words for key, _, words in pairs if words}


def looks_like(first: str) -> str:
    """Tell the format of a file, "data.noun", "is_a" or "table", from its first line with text."""
    fields = first.split()
    if first.startswith("  ") or (len(fields) > 3 and fields[0].isdigit() and fields[2] == "n"):
        return "data.noun"
    return "is_a" if len(fields) == 2 and all(map(_ID.fullmatch, fields)) else "table"


def lines_of(path: Path) -> Iterator[str]:
    """Lines of a text file in UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            came=f"{str(path)!r}, which cannot be read: {error}",
            expected="a text file: data.noun, wordnet.is_a.txt, or a table class,concept",
            hint="apt-get install wordnet-base, then '/usr/share/wordnet/data.noun'",
        ) from error
