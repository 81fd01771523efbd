"""Hierarchies of concepts: which classes are kinds of which concepts."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from neurocodec.categories import wordnet
from neurocodec.errors import InputError, unknown_name

Source: TypeAlias = "Hierarchy | Mapping[str, Sequence[str] | str] | str | PathLike[str]"


@dataclass(frozen=True)
class Hierarchy:
    """Concepts and what they are kinds of."""

    parents: Mapping[str, tuple[str, ...]]  # class or concept -> concepts directly above it
    names: Mapping[str, str] = field(default_factory=dict)  # id -> words, where it has any
    _known: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __contains__(self, key: str) -> bool:
        if not self._known:
            self._known.update(dict.fromkeys(chain(self.parents, *self.parents.values()), -1))
        return key in self._known

    def name(self, key: str) -> str:
        """Words of an id, or the id."""
        return self.names.get(key, key)

    def above(self, key: str) -> frozenset[str]:
        """All concepts that a class or concept is a kind of, without itself."""
        found = set[str]()
        waiting = list(self.parents.get(key, ()))
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self.parents.get(one, ()))
        try:
            TopologicalSorter({one: self.parents.get(one, ()) for one in {key, *found}}).prepare()
        except CycleError as error:
            raise InputError(
                came=f"a hierarchy with the circle {' < '.join(map(self.name, error.args[1]))}",
                expected="no concept above itself",
                hint="leave out one of these lines",
            ) from error
        return frozenset(found)

    def depth(self, key: str) -> int:
        """Steps up to a concept that has none above it, on the shortest way."""
        level, here, seen = 0, {key}, set[str]()
        while here and all(self.parents.get(one) for one in here):
            seen |= here
            here = {above for one in here for above in self.parents[one]} - seen
            level += 1
        return level

    def find(self, what: str, name: str, among: Collection[str]) -> str:
        """Id of the concept that a text means: its id, else first word, else any of its words."""
        words = {key: self.name(key).split(", ") for key in among}
        levels = (
            # as `nc.concept_masks` writes it where two share the word: "dog (n02084071)"
            [key for key, own in words.items() if name in (key, f"{own[0]} ({key})")],
            [key for key, own in words.items() if name == own[0]],
            [key for key, own in words.items() if name in own],
        )
        found = next(filter(None, levels), [])
        if not found:
            raise unknown_name(what, name, [own[0] for own in words.values()])
        if len(found) > 1:
            raise InputError(
                came=f"{what} {name!r}, which may be {len(found)} concepts",
                expected="one of "
                + "; ".join(f"{key!r} ({self.name(key)})" for key in sorted(found)),
                hint=repr(min(found)),
            )
        return found[0]


def read_hierarchy(source: Source) -> Hierarchy:
    """Read a hierarchy of concepts, in any of the forms that `nc.concept_masks` takes."""
    if isinstance(source, Hierarchy):
        return source
    if isinstance(source, Mapping):
        return Hierarchy({str(k): _texts(above) for k, above in source.items()})
    if not isinstance(source, str | PathLike):
        raise InputError(
            came=f"a hierarchy of type {type(source).__name__}",
            expected="a mapping class -> concepts, or the path of a file",
            hint="{'pug': ['dog', 'animal']}",
        )
    path = Path(source)
    lines = [*wordnet.lines_of(path)]
    kind = wordnet.looks_like(next((line for line in lines if line.strip()), ""))
    if kind == "data.noun":
        return Hierarchy(*wordnet.read_data_noun(lines))
    if kind == "is_a":
        words = path.with_name("words.txt")
        names = wordnet.read_words(wordnet.lines_of(words)) if words.is_file() else {}
        return Hierarchy(wordnet.read_is_a(lines), names)
    return Hierarchy(_table(lines, path))


def _texts(above: Sequence[str] | str) -> tuple[str, ...]:
    return (above,) if isinstance(above, str) else tuple(map(str, above))


def _table(lines: Iterable[str], path: Path) -> dict[str, tuple[str, ...]]:
    rows = csv.DictReader(lines)
    if not {"class", "concept"} <= {*(rows.fieldnames or ())}:
        raise InputError(
            came=f"{str(path)!r} with the columns {rows.fieldnames}",
            expected="a table with the columns 'class' and 'concept', data.noun, or lines "
            "'parent child' of WordNet ids",
            hint="class,concept on the first line",
        )
    found: dict[str, list[str]] = {}
    for row in rows:
        name, concept = (row["class"] or "").strip(), (row["concept"] or "").strip()
        if not name or not concept:
            raise InputError(
                came=f"line {rows.line_num} of {str(path)!r} without a class or a concept",
                expected="both",
            )
        found.setdefault(name, []).append(concept)
    return {name: tuple(concepts) for name, concepts in found.items()}
