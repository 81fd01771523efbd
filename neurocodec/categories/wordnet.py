"""The nouns of WordNet and their hypernyms, from its own files and ImageNet's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from neurocodec.errors import InputError

Parents: TypeAlias = dict[str, tuple[str, ...]]
Names: TypeAlias = dict[str, str]

_HYPERNYMS: Final = ("@", "@i")
"""Pointers of a noun to what it is a kind of, and to what it is an instance of."""
_ID: Final = re.compile(r"n\d{8}")


def read_data_noun(lines: Iterable[str]) -> tuple[Parents, Names]:
    """Read WordNet 3.0's `data.noun` (Debian: package wordnet-base, /usr/share/wordnet).

    One synset in a line, as wndb(5WN) describes it: ``offset file n words word id ... pointers
    symbol offset pos source/target ... | gloss``, with the number of words in hexadecimal.

    Parameters
    ----------
    lines
        Of the file; those of the licence begin with spaces.

    Returns
    -------
    parents : dict
        Id ("n" and the eight digits of the offset, as ImageNet writes it) -> ids of hypernyms.
    names : dict
        Id -> its words, such as "dog, domestic dog, Canis familiaris".

    Raises
    ------
    InputError
        Where a line is no noun.

    Examples
    --------
    >>> line = "02084071 05 n 02 dog 0 domestic_dog 0 002 @ 02083346 n 0000 ~ 01322604 n 0000 | a"
    >>> read_data_noun([line])
    ({'n02084071': ('n02083346',)}, {'n02084071': 'dog, domestic dog'})
    """
    parents, names = dict[str, tuple[str, ...]](), dict[str, str]()
    for number, line in enumerate(lines, 1):
        if line.startswith(" ") or not line.strip():
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
    """Read ImageNet's `wordnet.is_a.txt`: in each line a parent and a child.

    Parameters
    ----------
    lines
        Of the file.

    Returns
    -------
    dict
        Id of a child -> ids of its parents.

    Raises
    ------
    InputError
        Where a line has not two ids.

    Examples
    --------
    >>> read_is_a(["n02083346 n02084071"])
    {'n02084071': ('n02083346',), 'n02083346': ()}
    """
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
    r"""Read ImageNet's `words.txt`: in each line an id, a tab and words.

    Parameters
    ----------
    lines
        Of the file.

    Examples
    --------
    >>> read_words(["n02084071\tdog, domestic dog"])
    {'n02084071': 'dog, domestic dog'}
    """
    pairs = (line.rstrip("\n").partition("\t") for line in lines)
    return {key: words for key, _, words in pairs if words}


def looks_like(first: str) -> str:
    """Tell the format of a file from its first line that is not empty.

    Parameters
    ----------
    first
        The line, with the spaces that it begins with.

    Returns
    -------
    str
        "data.noun", "is_a" or "table".

    Examples
    --------
    >>> looks_like("  1 This software"), looks_like("n01 n02"), looks_like("class,concept")
    ('data.noun', 'table', 'table')
    """
    fields = first.split()
    if first.startswith("  ") or (len(fields) > 3 and fields[0].isdigit() and fields[2] == "n"):
        return "data.noun"
    return "is_a" if len(fields) == 2 and all(map(_ID.fullmatch, fields)) else "table"


def lines_of(path: Path) -> Iterator[str]:
    """Lines of a text file.

    Parameters
    ----------
    path
        Of a file in UTF-8.

    Raises
    ------
    InputError
        Where there is no such file, or it is no text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            came=f"{str(path)!r}, which cannot be read: {error}",
            expected="a text file: data.noun, wordnet.is_a.txt, or a table class,concept",
            hint="apt-get install wordnet-base, then '/usr/share/wordnet/data.noun'",
        ) from error
