"""Contribution decomposition (CODEC) of trained networks, the retina first.

Everything public is an attribute of this package and is loaded when it is first used, so that
``import neurocodec as nc`` loads neither torch nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurocodec import (
        adapters,
        errors,
        labels,
        plot,
        plotting,
        statistics,
        stimuli,
        vocabulary,
    )
    from neurocodec.adapters.images.images import images
    from neurocodec.adapters.recordings.read_recording import read_recording
    from neurocodec.analyses.images.analyse import analyse_images
    from neurocodec.analyses.retina.analyse import analyse_retina
    from neurocodec.attribution.contributions import contributions, estimate
    from neurocodec.categories.masks import class_masks, concept_masks
    from neurocodec.categories.scores import concept_scores, describe_modes
    from neurocodec.cells.agreement import cluster_agreement
    from neurocodec.cells.as_cells import as_cells
    from neurocodec.cells.cluster_stability import cluster_stability, label_cells
    from neurocodec.cells.clustering import cluster_cells
    from neurocodec.cells.combinations import combination_times, mode_combinations
    from neurocodec.cells.correlate import correlate
    from neurocodec.engine.respond import respond
    from neurocodec.fields.describe import describe_fields
    from neurocodec.fields.receptive_fields import receptive_fields, spike_triggered_average
    from neurocodec.fields.variance import field_variance
    from neurocodec.fitting.fit_retina import fit_retina
    from neurocodec.interneurons.compare import compare_interneurons
    from neurocodec.maps.compare_localisation import compare_localisation
    from neurocodec.maps.contribution_maps import contribution_maps
    from neurocodec.maps.deletion_curve import deletion_curve
    from neurocodec.maps.localisation import localisation
    from neurocodec.maps.masks import box_masks
    from neurocodec.maps.mosaics import mosaics
    from neurocodec.modes.baselines import BaselineModes
    from neurocodec.modes.decomposition import Decomposition
    from neurocodec.modes.fit_modes import fit_modes
    from neurocodec.modes.merge import merge_modes
    from neurocodec.modes.sparse import SparseModes
    from neurocodec.modes.stability import mode_stability
    from neurocodec.modes.sweep import sweep
    from neurocodec.network import Network
    from neurocodec.nn.attribution import methods, targets
    from neurocodec.nn.capture.layer import Layer
    from neurocodec.perturbation import rankings
    from neurocodec.perturbation.ablation import ablate, preserve
    from neurocodec.perturbation.curve import perturbation_curve
    from neurocodec.simulation import simulate_retina
    from neurocodec.storage import open, save  # noqa: A004
    from neurocodec.zoo import (
        datasets_available,
        load_dataset,
        load_model,
        models_available,
        save_model,
    )

__version__ = "0.1.0"

_PUBLIC = {
    "BaselineModes": "neurocodec.modes.baselines:BaselineModes",
    "Decomposition": "neurocodec.modes.decomposition:Decomposition",
    "Layer": "neurocodec.nn.capture.layer:Layer",
    "Network": "neurocodec.network:Network",
    "compare_interneurons": "neurocodec.interneurons.compare:compare_interneurons",
    "contribution_maps": "neurocodec.maps.contribution_maps:contribution_maps",
    "contributions": "neurocodec.attribution.contributions:contributions",
    "SparseModes": "neurocodec.modes.sparse:SparseModes",
    "ablate": "neurocodec.perturbation.ablation:ablate",
    "adapters": "neurocodec.adapters",
    "analyse_images": "neurocodec.analyses.images.analyse:analyse_images",
    "analyse_retina": "neurocodec.analyses.retina.analyse:analyse_retina",
    "as_cells": "neurocodec.cells.as_cells:as_cells",
    "cluster_agreement": "neurocodec.cells.agreement:cluster_agreement",
    "cluster_cells": "neurocodec.cells.clustering:cluster_cells",
    "cluster_stability": "neurocodec.cells.cluster_stability:cluster_stability",
    "combination_times": "neurocodec.cells.combinations:combination_times",
    "field_variance": "neurocodec.fields.variance:field_variance",
    "localisation": "neurocodec.maps.localisation:localisation",
    "merge_modes": "neurocodec.modes.merge:merge_modes",
    "mode_combinations": "neurocodec.cells.combinations:mode_combinations",
    "box_masks": "neurocodec.maps.masks:box_masks",
    "class_masks": "neurocodec.categories.masks:class_masks",
    "compare_localisation": "neurocodec.maps.compare_localisation:compare_localisation",
    "concept_masks": "neurocodec.categories.masks:concept_masks",
    "concept_scores": "neurocodec.categories.scores:concept_scores",
    "correlate": "neurocodec.cells.correlate:correlate",
    "datasets_available": "neurocodec.zoo:datasets_available",
    "deletion_curve": "neurocodec.maps.deletion_curve:deletion_curve",
    "describe_fields": "neurocodec.fields.describe:describe_fields",
    "describe_modes": "neurocodec.categories.scores:describe_modes",
    "errors": "neurocodec.errors",
    "estimate": "neurocodec.attribution.contributions:estimate",
    "fit_modes": "neurocodec.modes.fit_modes:fit_modes",
    "fit_retina": "neurocodec.fitting.fit_retina:fit_retina",
    "images": "neurocodec.adapters.images.images:images",
    "label_cells": "neurocodec.cells.cluster_stability:label_cells",
    "labels": "neurocodec.labels",
    "load_dataset": "neurocodec.zoo:load_dataset",
    "load_model": "neurocodec.zoo:load_model",
    "methods": "neurocodec.nn.attribution.methods",
    "mode_stability": "neurocodec.modes.stability:mode_stability",
    "models_available": "neurocodec.zoo:models_available",
    "mosaics": "neurocodec.maps.mosaics:mosaics",
    "open": "neurocodec.storage:open",
    "perturbation_curve": "neurocodec.perturbation.curve:perturbation_curve",
    "plot": "neurocodec.plot",
    "plotting": "neurocodec.plotting",
    "preserve": "neurocodec.perturbation.ablation:preserve",
    "rankings": "neurocodec.perturbation.rankings",
    "read_recording": "neurocodec.adapters.recordings.read_recording:read_recording",
    "receptive_fields": "neurocodec.fields.receptive_fields:receptive_fields",
    "respond": "neurocodec.engine.respond:respond",
    "save": "neurocodec.storage:save",
    "save_model": "neurocodec.zoo:save_model",
    "simulate_retina": "neurocodec.simulation:simulate_retina",
    "statistics": "neurocodec.statistics",
    "stimuli": "neurocodec.stimuli",
    "spike_triggered_average": "neurocodec.fields.receptive_fields:spike_triggered_average",
    "sweep": "neurocodec.modes.sweep:sweep",
    "targets": "neurocodec.nn.attribution.targets",
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
    "ablate",
    "adapters",
    "analyse_images",
    "analyse_retina",
    "as_cells",
    "box_masks",
    "class_masks",
    "cluster_agreement",
    "cluster_cells",
    "cluster_stability",
    "combination_times",
    "compare_interneurons",
    "compare_localisation",
    "concept_masks",
    "concept_scores",
    "contribution_maps",
    "contributions",
    "correlate",
    "datasets_available",
    "deletion_curve",
    "describe_fields",
    "describe_modes",
    "errors",
    "estimate",
    "field_variance",
    "fit_modes",
    "fit_retina",
    "images",
    "label_cells",
    "labels",
    "load_dataset",
    "load_model",
    "localisation",
    "merge_modes",
    "methods",
    "mode_combinations",
    "mode_stability",
    "models_available",
    "mosaics",
    "open",
    "perturbation_curve",
    "plot",
    "plotting",
    "preserve",
    "rankings",
    "read_recording",
    "receptive_fields",
    "respond",
    "save",
    "save_model",
    "simulate_retina",
    "spike_triggered_average",
    "statistics",
    "stimuli",
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
