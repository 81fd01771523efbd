"""Contribution decomposition (CODEC) of trained networks, the retina first.

Everything public is an attribute of this package and is loaded when it is first used, so that
``import neurocodec as nc`` loads neither torch nor matplotlib. The names stand in `__init__.pyi`.
The rooms, in four groups:

- machinery (how is it computed, run, kept?): storage, kernels, nn, engine, rows
- sources (where do networks and data come from?): stimuli, simulation, adapters, zoo
- questions (what can be asked of a network?): attribution, modes, statistics, categories, cells,
  fields, maps, perturbation, interneurons, fitting, synthesis, concept_graphs
- answers (how do I see what was found?): analyses, plotting, reports, cli
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    alias.name: str(line.module)
    for line in ast.parse(pkgutil.get_data(__name__, "__init__.pyi") or b"").body
    if isinstance(line, ast.ImportFrom)
    for alias in line.names
}
"""Public name -> package or module that has it."""

__all__ = ["__version__"]
__all__ += sorted(_PUBLIC)  # noqa: PLE0605 - a list, of the names in the stub


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        from neurocodec.errors import unknown_name  # noqa: PLC0415

        raise AttributeError(str(unknown_name("name in neurocodec", name, __all__)))
    place = _PUBLIC[name]
    # some names are modules, which their package has as an attribute only once they are loaded
    known = None if place == __name__ else getattr(importlib.import_module(place), name, None)
    return importlib.import_module(f"{place}.{name}") if known is None else known


def __dir__() -> list[str]:
    return sorted(__all__)
