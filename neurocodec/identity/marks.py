"""Marks of what a run depends on, compared with those of an earlier one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

PYTHON: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""Version of Python, which decides what code is compiled to."""
AGREEMENT: Final = 1e-4
"""Largest difference of an answer from the one that was kept, relative to the largest number."""


@dataclass(frozen=True)
class Identity:
    """Marks of what a run depends on, and its answers to a few samples."""

    data: dict[str, str] = field(default_factory=dict)  # path -> mark
    code: dict[str, str] = field(default_factory=dict)  # function or class -> mark
    changed: tuple[str, ...] = ()  # paths that a pass changes by itself, and may add to
    answers: list[list[float]] = field(default_factory=list)  # one list for each way to answer
    python: str = PYTHON

    def differences(self, there: Identity) -> list[str]:
        """What is other than it was, in words."""
        free = {*self.changed, *there.changed}
        pairs = [(self.data, there.data)]
        # of another version of Python the same code has other marks; answers are compared
        pairs += [(self.code, there.code)] if self.python == there.python else []
        found = [
            f"{path} {'was not there' if path not in old else 'is other than it was'}"
            for new, old in pairs
            for path in sorted({*new, *old})
            if new.get(path) != old.get(path) and path not in free
            # a pass that fills a table may add what is below it, but not change what was there
            if (path in new and path in old) or free.isdisjoint(above(path))
        ]
        if not found and not _agree(self.answers, there.answers):
            found.append("answers to the same few samples are others")
        return found


def above(path: str) -> Iterator[str]:
    """A path and all that it is part of."""
    yield path
    for place, letter in enumerate(path):
        if letter in ".[":
            yield path[:place]


def _agree(here: list[list[float]], there: list[list[float]]) -> bool:
    """Whether answers differ by rounding alone."""
    if [len(a) for a in here] != [len(a) for a in there]:
        return False
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(here, there, strict=True) if a]
    return all(np.abs(a - b).max() <= AGREEMENT * np.abs(b).max() for a, b in pairs)
