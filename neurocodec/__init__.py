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
        rankings,
        statistics,
        stimuli,
        vocabulary,
    )
    from neurocodec.adapters.recordings import read_recording
    from neurocodec.agreement import cluster_agreement
    from neurocodec.analysis import analyse_retina
    from neurocodec.baselines import BaselineModes
    from neurocodec.cells import correlate
    from neurocodec.clustering import cluster_cells
    from neurocodec.combinations import combination_times, mode_combinations
    from neurocodec.concept_tables import concept_scores, describe_modes
    from neurocodec.concepts import class_masks, concept_masks
    from neurocodec.contribution import contributions, estimate
    from neurocodec.decomposition import Decomposition
    from neurocodec.ensembles import fit_modes
    from neurocodec.explained_fields import field_variance
    from neurocodec.field_shapes import describe_fields
    from neurocodec.fields import receptive_fields, spike_triggered_average
    from neurocodec.image_analysis import analyse_images
    from neurocodec.image_files import images
    from neurocodec.image_mosaics import mosaics
    from neurocodec.interneurons import compare_interneurons
    from neurocodec.localisation_comparison import compare_localisation
    from neurocodec.localisation_scores import localisation
    from neurocodec.maps import contribution_maps
    from neurocodec.modes import SparseModes
    from neurocodec.near_copies import merge_modes
    from neurocodec.network import Network
    from neurocodec.nn import methods, targets
    from neurocodec.nn.layer import Layer
    from neurocodec.object_masks import box_masks
    from neurocodec.perturb import ablate, preserve
    from neurocodec.perturbation import perturbation_curve
    from neurocodec.pixel_curves import deletion_curve
    from neurocodec.population import as_cells
    from neurocodec.responses import respond
    from neurocodec.retina_fitting import fit_retina
    from neurocodec.simulation import simulate_retina
    from neurocodec.stability import mode_stability
    from neurocodec.stable_clusters import cluster_stability, label_cells
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
    "compare_interneurons": "neurocodec.interneurons:compare_interneurons",
    "contribution_maps": "neurocodec.maps:contribution_maps",
    "contributions": "neurocodec.contribution:contributions",
    "SparseModes": "neurocodec.modes:SparseModes",
    "ablate": "neurocodec.perturb:ablate",
    "adapters": "neurocodec.adapters",
    "analyse_images": "neurocodec.image_analysis:analyse_images",
    "analyse_retina": "neurocodec.analysis:analyse_retina",
    "as_cells": "neurocodec.population:as_cells",
    "cluster_agreement": "neurocodec.agreement:cluster_agreement",
    "cluster_cells": "neurocodec.clustering:cluster_cells",
    "cluster_stability": "neurocodec.stable_clusters:cluster_stability",
    "combination_times": "neurocodec.combinations:combination_times",
    "field_variance": "neurocodec.explained_fields:field_variance",
    "localisation": "neurocodec.localisation_scores:localisation",
    "merge_modes": "neurocodec.near_copies:merge_modes",
    "mode_combinations": "neurocodec.combinations:mode_combinations",
    "box_masks": "neurocodec.object_masks:box_masks",
    "class_masks": "neurocodec.concepts:class_masks",
    "compare_localisation": "neurocodec.localisation_comparison:compare_localisation",
    "concept_masks": "neurocodec.concepts:concept_masks",
    "concept_scores": "neurocodec.concept_tables:concept_scores",
    "correlate": "neurocodec.cells:correlate",
    "datasets_available": "neurocodec.zoo:datasets_available",
    "deletion_curve": "neurocodec.pixel_curves:deletion_curve",
    "describe_fields": "neurocodec.field_shapes:describe_fields",
    "describe_modes": "neurocodec.concept_tables:describe_modes",
    "errors": "neurocodec.errors",
    "estimate": "neurocodec.contribution:estimate",
    "fit_modes": "neurocodec.ensembles:fit_modes",
    "fit_retina": "neurocodec.retina_fitting:fit_retina",
    "images": "neurocodec.image_files:images",
    "label_cells": "neurocodec.stable_clusters:label_cells",
    "labels": "neurocodec.labels",
    "load_dataset": "neurocodec.zoo:load_dataset",
    "load_model": "neurocodec.zoo:load_model",
    "methods": "neurocodec.nn.methods",
    "mode_stability": "neurocodec.stability:mode_stability",
    "models_available": "neurocodec.zoo:models_available",
    "mosaics": "neurocodec.image_mosaics:mosaics",
    "open": "neurocodec.storage:open",
    "perturbation_curve": "neurocodec.perturbation:perturbation_curve",
    "plot": "neurocodec.plot",
    "plotting": "neurocodec.plotting",
    "preserve": "neurocodec.perturb:preserve",
    "rankings": "neurocodec.rankings",
    "read_recording": "neurocodec.adapters.recordings:read_recording",
    "receptive_fields": "neurocodec.fields:receptive_fields",
    "respond": "neurocodec.responses:respond",
    "save": "neurocodec.storage:save",
    "save_model": "neurocodec.zoo:save_model",
    "simulate_retina": "neurocodec.simulation:simulate_retina",
    "statistics": "neurocodec.statistics",
    "stimuli": "neurocodec.stimuli",
    "spike_triggered_average": "neurocodec.fields:spike_triggered_average",
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
