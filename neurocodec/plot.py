"""`nc.plot.maps(...)` is short for `nc.plotting.plot_maps(...)`, and so for all figures.

Matplotlib is loaded when a figure is first asked for, or when `dir` lists them.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from neurocodec.errors import unknown_name

PREFIX: Final = "plot_"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # what Python and its tools ask every module for
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    plotting = importlib.import_module("neurocodec.plotting")
    known = __dir__()
    if name not in known:
        raise AttributeError(str(unknown_name("figure in nc.plot", name, known)))
    return getattr(plotting, PREFIX + name)


def __dir__() -> list[str]:
    plotting = importlib.import_module("neurocodec.plotting")
    return sorted(n.removeprefix(PREFIX) for n in plotting.__all__ if n.startswith(PREFIX))
