"""Modes of contributions and of activations, fitted on some images and judged on the others."""

from __future__ import annotations

from functools import partial

import xarray as xr
from tqdm.auto import tqdm

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import CONCEPTS, KINDS, Modes
from neurocodec.analyses.images.study import ImageRun
from neurocodec.categories.masks import class_masks
from neurocodec.categories.scores import concept_scores
from neurocodec.errors import InputError
from neurocodec.modes.sparse import SparseModes

"""What modes are found of: what channels do, and for comparison what they represent."""


def fit_kinds(run: ImageRun, settings: SparseModes) -> dict[str, dict[str, SparseModes]]:
    """Fit modes of the contributions and of the activations of every layer.

    Parameters
    ----------
    run
        The images that are not held out are fitted; each fit is kept as a file,
        ``modes/contribution-<layer>.nc``.
    settings
        Modes that are not fitted: what each fit is made with.

    Returns
    -------
    dict
        Kind -> layer -> modes. Why there are none of a layer is left in the run.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import neurocodec as nc
    >>> from neurocodec.analyses.images.study import Halves
    >>> from neurocodec.analyses.stages import Stages
    >>> rows = np.abs(np.random.default_rng(0).normal(size=(40, 3)))
    >>> node = xr.Dataset({k: (("stimulus", "channel"), rows) for k in KINDS})
    >>> tree = xr.DataTree.from_dict({"/block": node})
    >>> halves = Halves.of(node["activation"], 0.5, seed=0)
    >>> net = nc.Network(torch.nn.Identity(), layers=[])
    >>> run = ImageRun(net, node["activation"], tree, halves, Stages(None))
    >>> found = fit_kinds(run, SparseModes(expansion=1, progress=False))
    >>> found["activation"]["block"].dictionary.sizes["mode"]
    3
    """
    found: dict[str, dict[str, SparseModes]] = {kind: {} for kind in KINDS}
    failed: dict[str, str] = {}
    fits = [(layer, kind) for layer in run.tree.children for kind in KINDS]
    progress = run.computing.get("progress", False)
    for layer, kind in tqdm(fits, desc="modes", unit="fit", disable=not progress):
        facts = run.facts(kind=kind, layer=layer, config=settings.config)
        make = partial(_fit, settings.copy(), run, run.rows(layer, kind))
        try:
            found[kind][layer] = run.stages.keep(f"modes/{kind}-{layer}.nc", facts, make)
        except InputError as error:  # a layer that never varies: all others are worth having
            failed[f"{layer}, {kind}"] = error.came
    run.leave_out("modes", failed)
    return found


def _fit(modes: SparseModes, run: ImageRun, rows: xr.DataArray) -> SparseModes:
    return modes.fit(run.halves.fitted(rows))


def score_modes(run: ImageRun, modes: Modes) -> xr.DataTree | None:
    """Correlate modes and channels with the classes, on the images that the modes have not seen.

    Parameters
    ----------
    run
        With labels; without, it is noted why there is nothing.
    modes
        Kind -> layer -> modes; layers without both kinds are left out.

    Returns
    -------
    xarray.DataTree or None
        As `nc.concept_scores` returns it.
    """
    layers = [layer for layer in run.tree.children if all(layer in modes[kind] for kind in KINDS)]
    if not run.has_classes or not layers:
        run.left_out["concepts"] = run.without_classes or "no layer has modes"
        return None
    made = [labels.fingerprint(modes[kind][layer].dictionary) for kind in KINDS for layer in layers]
    facts = run.facts(layers=layers, dictionaries=made)
    return run.stages.keep(CONCEPTS, facts, partial(_score, run, modes, layers))


def _score(run: ImageRun, modes: Modes, layers: list[str]) -> xr.DataTree:
    loadings = {
        kind: {layer: _loadings(run, modes[kind][layer], layer, kind) for layer in layers}
        for kind in KINDS
    }
    return concept_scores(
        _judged(run),
        run.halves.judged(class_masks(run.tree)),
        modes=loadings[v.CONTRIBUTION],
        activation_modes=loadings[v.ACTIVATION],
        layers=layers,
        seed=run.seed,
    )


def _loadings(run: ImageRun, modes: SparseModes, layer: str, kind: str) -> xr.DataArray:
    return modes.transform(run.halves.judged(run.rows(layer, kind)))


def _judged(run: ImageRun) -> xr.DataTree:
    """Rows of the images that are held out, of all layers."""
    nodes = {
        node.path: run.halves.judged(node.to_dataset(inherit=False))
        for node in run.tree.subtree
        if v.STIMULUS in node.dims
    }
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs.update(run.tree.attrs)
    return tree
