"""Modes of contributions and of activations, fitted on some images and judged on the others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import CONCEPTS, KINDS, LEAST, Modes
from neurocodec.analyses.images.study import ImageStudy, some_of
from neurocodec.categories.masks import class_masks
from neurocodec.categories.scores import concept_scores
from neurocodec.errors import InputError
from neurocodec.kernels.class_correlation import chance_of_sizes
from neurocodec.kernels.correlation import unit_columns
from neurocodec.modes.sparse import SparseModes
from neurocodec.modes.stability import mode_stability

DRAWS: Final = 200
LEVEL: Final = 0.95
"""Part of the draws of as many random images that stay below what is called chance."""


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


def find_again(study: ImageStudy, modes: Mapping[str, SparseModes]) -> dict[str, xr.Dataset]:
    """Layer -> which of its modes come back, on the images that they were fitted to."""
    found: dict[str, xr.Dataset] = {}
    failed: dict[str, str] = {}
    progress = study.computing.get("progress", False)
    for layer, own in tqdm(modes.items(), desc="stability", unit="layer", disable=not progress):
        facts = study.facts(what="stability", layer=layer, config=own.config)
        rows = study.halves.fitted(study.rows(layer, v.CONTRIBUTION))
        make = partial(mode_stability, rows, own, progress=False)
        try:
            found[layer] = study.stages.keep(f"stability/{layer}.nc", facts, make)
        except InputError as error:  # the modes themselves are still worth having
            failed[layer] = error.came
    study.leave_out("stability", failed)
    return found


def _fit(modes: SparseModes, study: ImageStudy, rows: xr.DataArray) -> SparseModes:
    return modes.fit(study.halves.fitted(rows))


def score_modes(study: ImageStudy, modes: Modes) -> xr.DataTree | None:
    """Correlate modes and channels with the classes, on images that the modes have not seen."""
    layers = [layer for layer in study.tree.children if all(layer in modes[kind] for kind in KINDS)]
    if not study.has_classes or not layers:
        study.left_out["concepts"] = study.without_classes or "no layer has modes"
        return None
    masks = _ranked(study)
    if not masks.sizes[v.CATEGORY]:
        return None
    made = [labels.fingerprint(modes[kind][layer].dictionary) for kind in KINDS for layer in layers]
    facts = study.facts(layers=layers, dictionaries=made, least=LEAST, level=LEVEL, draws=DRAWS)
    return study.stages.keep(CONCEPTS, facts, partial(_score, study, modes, layers, masks))


def _ranked(study: ImageStudy) -> xr.DataArray:
    """Masks (held-out image, class) of the classes with enough images; the others are noted."""
    masks: xr.DataArray = study.halves.judged(class_masks(study.tree))
    enough = masks.sum(v.STIMULUS).values >= LEAST
    few = [str(name) for name in masks[v.CATEGORY].values[~enough]]
    if few:
        why = f"fewer than {LEAST} held-out images, of which no correlation says anything"
        study.leave_out("concepts", {some_of(few): why})
    return masks.isel({v.CATEGORY: np.flatnonzero(enough)})


def _score(study: ImageStudy, modes: Modes, layers: list[str], masks: xr.DataArray) -> xr.DataTree:
    loadings = {
        kind: {layer: _loadings(study, modes[kind][layer], layer, kind) for layer in layers}
        for kind in KINDS
    }
    found = concept_scores(
        _judged(study),
        masks,
        modes=loadings[v.CONTRIBUTION],
        activation_modes=loadings[v.ACTIVATION],
        layers=layers,
        seed=study.seed,
    )
    for layer in layers:
        node = found[f"{layer}/contribution_mode"]
        table = node.to_dataset()
        node.dataset = _with_chance(table, loadings[v.CONTRIBUTION][layer], masks, study.seed)
    return found


def _with_chance(
    table: xr.Dataset, loadings: xr.DataArray, masks: xr.DataArray, seed: int
) -> xr.Dataset:
    """Beside each class of a mode, how many images it has and what as many random ones reach."""
    sizes = masks.sum(v.STIMULUS).values
    columns = unit_columns(loadings.transpose(v.STIMULUS, v.MODE).values, 0)
    chance = chance_of_sizes(columns, sizes, draws=DRAWS, level=LEVEL, seed=seed)
    names = masks[v.CATEGORY].values.astype(str)
    best = table["best_concept"].values
    order = np.argsort(names)
    place = order[np.searchsorted(names, best, sorter=order).clip(max=len(names) - 1)]
    known = best != ""
    dims = (v.MODE, v.RANK)
    reached = np.where(known, np.take_along_axis(chance, place, axis=1), np.nan)
    count = np.where(known, sizes[place], 0)
    return table.assign(
        chance_correlation=labels.labelled(reached, dims, name="chance_correlation"),
        n_images=labels.labelled(count, dims, name="n_images"),
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
