"""How many CPU threads a fit uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from neurocodec.nn.settings import THREADS

_SMALL: Final = 50_000
"""Channels times modes."""


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """One CPU thread for products of up to 50,000 channels times modes; else as many as before."""
    # For small products one thread is as fast as several. The numbers do not depend on the number
    # of cores then, and a busy machine does not slow the fit tenfold.
    if work > _SMALL:
        yield
        return
    with THREADS.put(1):
        yield
