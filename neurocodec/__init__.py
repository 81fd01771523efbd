"""Contribution decomposition (CODEC) of trained networks, the retina first.

Everything public is an attribute of this package and is loaded when it is first used, so that
``import neurocodec as nc`` loads neither torch nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurocodec import errors, labels, plotting, vocabulary
    from neurocodec.analysis import analyse_retina
    from neurocodec.baselines import BaselineModes
    from neurocodec.cells import cluster_agreement, cluster_cells, correlate
    from neurocodec.contribution import contributions
    from neurocodec.decomposition import Decomposition
    from neurocodec.ensembles import fit_modes
    from neurocodec.modes import SparseModes
    from neurocodec.network import Network
    from neurocodec.nn import methods, targets
    from neurocodec.nn.layer import Layer
    from neurocodec.population import as_cells
    from neurocodec.samples import respond
    from neurocodec.simulation import simulate_retina
    from neurocodec.stability import mode_stability
    from neurocodec.storage import open, save  # noqa: A004
    from neurocodec.tuning import sweep
    from neurocodec.zoo import (
        datasets_available,
        load_dataset,
        load_model,
        models_available,
        save_model,
    )

__version__ = "0.1.0"

_PUBLIC = {
    "BaselineModes": "neurocodec.baselines:BaselineModes",
    "Decomposition": "neurocodec.decomposition:Decomposition",
    "Layer": "neurocodec.nn.layer:Layer",
    "Network": "neurocodec.network:Network",
    "contributions": "neurocodec.contribution:contributions",
    "SparseModes": "neurocodec.modes:SparseModes",
    "analyse_retina": "neurocodec.analysis:analyse_retina",
    "as_cells": "neurocodec.population:as_cells",
    "cluster_agreement": "neurocodec.cells:cluster_agreement",
    "cluster_cells": "neurocodec.cells:cluster_cells",
    "correlate": "neurocodec.cells:correlate",
    "datasets_available": "neurocodec.zoo:datasets_available",
    "errors": "neurocodec.errors",
    "fit_modes": "neurocodec.ensembles:fit_modes",
    "labels": "neurocodec.labels",
    "load_dataset": "neurocodec.zoo:load_dataset",
    "load_model": "neurocodec.zoo:load_model",
    "methods": "neurocodec.nn.methods",
    "mode_stability": "neurocodec.stability:mode_stability",
    "models_available": "neurocodec.zoo:models_available",
    "open": "neurocodec.storage:open",
    "plotting": "neurocodec.plotting",
    "respond": "neurocodec.samples:respond",
    "save": "neurocodec.storage:save",
    "save_model": "neurocodec.zoo:save_model",
    "simulate_retina": "neurocodec.simulation:simulate_retina",
    "sweep": "neurocodec.tuning:sweep",
    "targets": "neurocodec.nn.targets",
    "vocabulary": "neurocodec.vocabulary",
}
"""Public name -> module, or module:attribute."""

__all__ = [
    "BaselineModes",
    "Decomposition",
    "Layer",
    "Network",
    "SparseModes",
    "__version__",
    "analyse_retina",
    "as_cells",
    "cluster_agreement",
    "cluster_cells",
    "contributions",
    "correlate",
    "datasets_available",
    "errors",
    "fit_modes",
    "labels",
    "load_dataset",
    "load_model",
    "methods",
    "mode_stability",
    "models_available",
    "open",
    "plotting",
    "respond",
    "save",
    "save_model",
    "simulate_retina",
    "sweep",
    "targets",
    "vocabulary",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        from neurocodec.errors import unknown_name  # noqa: PLC0415

        raise AttributeError(str(unknown_name("name in neurocodec", name, __all__)))
    module, _, attribute = _PUBLIC[name].partition(":")
    value = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def __dir__() -> list[str]:
    return sorted(__all__)
