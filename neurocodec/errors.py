"""The errors that neurocodec raises: what came, what was expected, what to type."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class NeurocodecError(Exception):
    """Base class of every error that neurocodec raises on purpose.

    Parameters
    ----------
    came
        What was found, with its name, shape or value.
    expected
        What would have been right.
    hint
        What to type instead.

    Examples
    --------
    >>> raise NeurocodecError(came="3 cells", expected="4 cells", hint="rates.isel(cell=range(4))")
    Traceback (most recent call last):
    ...
    neurocodec.errors.NeurocodecError: 3 cells
      expected: 4 cells
      try: rates.isel(cell=range(4))
    """

    def __init__(self, *, came: str, expected: str = "", hint: str = "") -> None:
        self.came, self.expected, self.hint = came, expected, hint
        lines = [came]
        if expected:
            lines.append(f"  expected: {expected}")
        if hint:
            lines.append(f"  try: {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the three parts (keyword-only arguments defeat the default)."""
        return _rebuild, (type(self), self.came, self.expected, self.hint)


def _rebuild(kind: type[NeurocodecError], came: str, expected: str, hint: str) -> NeurocodecError:
    return kind(came=came, expected=expected, hint=hint)


class InputError(NeurocodecError, ValueError):
    """An argument has a wrong value, shape, dimension or label."""


class CaptureError(NeurocodecError, RuntimeError):
    """A layer cannot be captured, or the network cannot be analysed sample by sample."""


class StorageError(NeurocodecError, OSError):
    """A file is not a whole neurocodec result, belongs to another run, or cannot be written."""


class UnknownNameError(InputError, LookupError):
    """A name is not among those that exist; near names are listed."""


class NeurocodecWarning(UserWarning):
    """A result was computed, but the data or settings give a reason to doubt it."""


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextmanager
def collected() -> Iterator[list[str]]:
    """Keep the warnings of this thread, which `warn` would give, for the one who asked.

    Returns
    -------
    list of str
        Messages, as they come, in a ``with`` block.

    Examples
    --------
    >>> with collected() as messages:
    ...     warn("few rows")
    >>> messages
    ['few rows']
    """
    # Not by warnings.catch_warnings, which changes the filters of all threads.
    found: list[str] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def warn(message: str) -> None:
    """Warn of a doubtful result, at the line outside neurocodec that led to it.

    Parameters
    ----------
    message
        The reason to doubt it.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter("always")
    ...     warn("few rows")
    >>> str(found[0].message)
    'few rows'
    """
    kept = _collected.get()
    if kept is not None:
        kept.append(message)
        return
    frame, level = inspect.currentframe(), 1
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("neurocodec."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, NeurocodecWarning, stacklevel=level)


def unknown_name(kind: str, name: object, known: Iterable[object]) -> UnknownNameError:
    """Build the error for a name that does not exist.

    Parameters
    ----------
    kind
        What the name should have named ("layer", "cell", "model").
    name
        The name that came.
    known
        Every name that exists.

    Examples
    --------
    >>> raise unknown_name("layer", "layer11", ["layer1", "layer2"])
    Traceback (most recent call last):
    ...
    neurocodec.errors.UnknownNameError: there is no layer 'layer11'
      expected: one of 'layer1', 'layer2'
      try: 'layer1'
    """
    names = [str(n) for n in known]
    near = difflib.get_close_matches(str(name), names, n=5, cutoff=0.6)
    shown = near or names[:10]
    more = f" ({len(names)} in all)" if len(names) > len(shown) else ""
    return UnknownNameError(
        came=f"there is no {kind} {str(name)!r}",
        expected=f"one of {', '.join(map(repr, shown))}{more}" if names else f"no {kind} exists",
        hint=repr(near[0]) if near else "",
    )
