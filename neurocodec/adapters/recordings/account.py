"""What a reader took of a file and what it left there, in one line of the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import xarray as xr

from neurocodec import clock
from neurocodec import vocabulary as v

READING: Final = "reading"
"""Attribute of a recording that keeps the line."""
MANY: Final = 8
"""Names that are listed; of more, how many there are."""

logger = logging.getLogger(__name__)
_left: ContextVar[list[str] | None] = ContextVar("left", default=None)


@contextmanager
def accounting() -> Iterator[list[str]]:
    """Collect what readers leave, as they say it by `leave`, in a ``with`` block."""
    found: list[str] = []
    token = _left.set(found)
    try:
        yield found
    finally:
        _left.reset(token)


def leave(what: str, names: Iterable[object] | None = None) -> None:
    """Say that something of a file is not read: a sentence, or a kind of thing and its names."""
    kept = _left.get()
    named = None if names is None else [*map(str, names)]
    if kept is None or named == []:
        return
    if named is None:
        kept.append(what)
        return
    shown = ", ".join(named[:MANY])
    kept.append(f"{what} {shown}" + (f", ... ({len(named)})" if len(named) > MANY else ""))


def tell(source: str, parts: Mapping[str, xr.Dataset], left: list[str]) -> str:
    """Log the line, and give it."""
    took = "; ".join(f"{name}: {described(part)}" for name, part in parts.items())
    line = f"{source}: took {took or 'nothing'}; left {'; '.join(dict.fromkeys(left)) or 'nothing'}"
    logger.info("%s", line)
    return line


def described(part: xr.Dataset) -> str:
    """A part in words: frames, rate, cells, repeats."""
    words = []
    if v.STIMULUS in part:
        sizes = part[v.STIMULUS].sizes
        colours = f"{sizes[v.COLOR]} colours, " if v.COLOR in sizes else ""
        pixels = " x ".join(str(sizes[d]) for d in (v.Y, v.X) if d in sizes)
        words.append(f"{sizes.get(v.TIME, 0)} frames ({colours}{pixels})")
    elif v.TIME in part.sizes:
        words.append(f"{part.sizes[v.TIME]} times")
    words += _rate(part)
    for dim, word in ((v.CELL, "cells"), (v.INTERNEURON, "interneurons"), (v.REPEAT, "repeats")):
        if part.sizes.get(dim, 0) > (1 if dim == v.REPEAT else 0):
            words.append(f"{part.sizes[dim]} {word}")
    return ", ".join(words)


def _rate(part: xr.Dataset) -> list[str]:
    if v.TIME not in part.coords or part.sizes[v.TIME] < 2 or part[v.TIME].dtype.kind not in "fiu":
        return []
    times = part[v.TIME].values
    gaps = len(clock.parts_of(times)) - 1
    return [f"{1 / clock.step_of(times):.4g} Hz", *([f"{gaps} pauses"] if gaps else [])]
