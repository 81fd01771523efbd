"""Modes of contributions and of activations, fitted on some images and judged on the others."""

from __future__ import annotations

from functools import partial

import xarray as xr
from tqdm.auto import tqdm

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import CONCEPTS, KINDS, Modes
from neurocodec.analyses.images.study import ImageStudy
from neurocodec.categories.masks import class_masks
from neurocodec.categories.scores import concept_scores
from neurocodec.errors import InputError
from neurocodec.modes.sparse import SparseModes


def fit_kinds(study: ImageStudy, settings: SparseModes) -> dict[str, dict[str, SparseModes]]:
    """Kind -> layer -> modes of contributions and of activations, of images not held out."""
    # Each fit is kept as ``modes/<kind>-<layer>.nc``; why a layer has none is left in the study.
    found: dict[str, dict[str, SparseModes]] = {kind: {} for kind in KINDS}
    failed: dict[str, str] = {}
    fits = [(layer, kind) for layer in study.tree.children for kind in KINDS]
    progress = study.computing.get("progress", False)
    for layer, kind in tqdm(fits, desc="modes", unit="fit", disable=not progress):
        facts = study.facts(kind=kind, layer=layer, config=settings.config)
        make = partial(_fit, settings.copy(), study, study.rows(layer, kind))
        try:
            found[kind][layer] = study.stages.keep(f"modes/{kind}-{layer}.nc", facts, make)
        except InputError as error:  # a layer that never varies: all others are worth having
            failed[f"{layer}, {kind}"] = error.came
    study.leave_out("modes", failed)
    return found


def _fit(modes: SparseModes, study: ImageStudy, rows: xr.DataArray) -> SparseModes:
    return modes.fit(study.halves.fitted(rows))


def score_modes(study: ImageStudy, modes: Modes) -> xr.DataTree | None:
    """Correlate modes and channels with the classes, on images that the modes have not seen."""
    layers = [layer for layer in study.tree.children if all(layer in modes[kind] for kind in KINDS)]
    if not study.has_classes or not layers:
        study.left_out["concepts"] = study.without_classes or "no layer has modes"
        return None
    made = [labels.fingerprint(modes[kind][layer].dictionary) for kind in KINDS for layer in layers]
    facts = study.facts(layers=layers, dictionaries=made)
    return study.stages.keep(CONCEPTS, facts, partial(_score, study, modes, layers))


def _score(study: ImageStudy, modes: Modes, layers: list[str]) -> xr.DataTree:
    loadings = {
        kind: {layer: _loadings(study, modes[kind][layer], layer, kind) for layer in layers}
        for kind in KINDS
    }
    return concept_scores(
        _judged(study),
        study.halves.judged(class_masks(study.tree)),
        modes=loadings[v.CONTRIBUTION],
        activation_modes=loadings[v.ACTIVATION],
        layers=layers,
        seed=study.seed,
    )


def _loadings(study: ImageStudy, modes: SparseModes, layer: str, kind: str) -> xr.DataArray:
    return modes.transform(study.halves.judged(study.rows(layer, kind)))


def _judged(study: ImageStudy) -> xr.DataTree:
    """Rows of the images that are held out, of all layers."""
    nodes = {
        node.path: study.halves.judged(node.to_dataset(inherit=False))
        for node in study.tree.subtree
        if v.STIMULUS in node.dims
    }
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs.update(study.tree.attrs)
    return tree
