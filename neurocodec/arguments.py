"""Checks of plain arguments: whole numbers, shares, one of a few names, bytes, intervals."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from neurocodec.errors import InputError, unknown_name


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of Python, numpy or torch; true and false are none."""
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        return False
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return not getattr(value, "ndim", 0)


def whole(name: str, value: Any, least: int | None = 1, *, hint: str = "") -> int:
    """Take a whole number of at least `least`, or any, as Python's own int."""
    if not is_whole(value) or (least is not None and value < least):
        at_least = "" if least is None else f", at least {least}"
        raise InputError(came=f"{name}={value!r}", expected=f"a whole number{at_least}", hint=hint)
    return operator.index(value)


def whole_or_none(name: str, value: Any, least: int = 1, *, hint: str = "") -> int | None:
    """Take a whole number of at least `least`, or None, which leaves the choice to us."""
    return None if value is None else whole(name, value, least, hint=hint)


def several(name: str, value: Any, expected: str, *, hint: str = "") -> list[Any]:
    """Take one name, or several in their order, as a list."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable):
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return list(value)


def flag(name: str, value: Any, *, hint: str = "") -> bool:
    """Take true or false, as Python's own bool."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(came=f"{name}={value!r}", expected="True or False", hint=hint)
    return bool(value)


def at_least(name: str, value: Any, least: float, *, hint: str = "") -> float:
    """Take a finite number of at least so much."""
    expected = f"a number of at least {least:g}"
    found = number(name, value, expected, hint=hint)
    if found < least:
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return found


def path(name: str, value: Any, *, hint: str = "") -> Path:
    """Take the path of a file or folder."""
    if isinstance(value, str | PathLike):
        return Path(value)
    raise InputError(came=f"{name}={value!r}", expected="the path of a file or folder", hint=hint)


def batch_size(value: Any) -> int | None:
    """Take a number of samples that are computed together, or None."""
    return whole_or_none("batch_size", value)


def workers(value: Any) -> int | None:
    """Take a number of processes that read ahead, or None; 0 reads in the main process."""
    return whole_or_none("workers", value, 0, hint="workers=0 reads in the main process")


def number(name: str, value: Any, expected: str, *, hint: str = "") -> float:
    """Take a finite number; `expected` says in the message which range it has."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    known = isinstance(value, int | float | np.integer | np.floating)
    if not known or isinstance(value, bool) or not _finite(value):
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return float(value)


def frame_rate(value: Any, name: str = "frame_rate") -> float:
    """Take a number of frames per second, above 0."""
    expected, hint = "frames per second, above 0", f"{name}=100.0"
    found = number(name, value, expected, hint=hint)
    if found <= 0:
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return found


def sample_rate(value: Any, name: str = "sample_rate") -> float:
    """Take a number of samples per second, as spike sorters have them, above 0."""
    expected, hint = "samples per second, above 0", "sample_rate=30000.0"
    found = number(name, value, expected, hint=hint)
    if found <= 0:
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return found


def between(name: str, value: Any, *, hint: str = "") -> float:
    """Take a number above 0 and below 1."""
    expected = "a number between 0 and 1"
    found = number(name, value, expected, hint=hint)
    if not 0 < found < 1:
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return found


def cosine(value: Any) -> float:
    """Take a cosine above 0, up to 1, from which on two modes are the same."""
    found = number("cosine", value, "above 0, up to 1", hint="cosine=0.9")
    if not 0 < found <= 1:
        raise InputError(came=f"cosine={value!r}", expected="above 0, up to 1", hint="cosine=0.9")
    return found


def size_in_bytes(name: str, value: Any) -> int:
    """Take a number of bytes above 0; 2e9 is a whole number as well."""
    found = number(name, value, "a number of bytes", hint=f"{name}=2**31")
    if found <= 0 or not found.is_integer():
        raise InputError(
            came=f"{name}={value!r}", expected="a number of bytes", hint=f"{name}=2**31"
        )
    return int(value)


def one_of(what: str, value: Any, known: Iterable[Any]) -> Any:
    """Take one of a few names; near ones are offered for another."""
    names = tuple(known)
    if not isinstance(value, Hashable) or value not in names:
        raise unknown_name(what, value, names)
    return value


def interval(bootstrap: Any, confidence: Any, *, least: int = 0) -> tuple[int, float]:
    """Take draws of a bootstrap (0 for no interval, where it may be) and a confidence."""
    draws = whole("bootstrap", bootstrap, least, hint="bootstrap=1000")
    return draws, between("confidence", confidence, hint="confidence=0.95")
