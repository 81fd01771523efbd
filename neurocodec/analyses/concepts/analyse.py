"""`nc.analyse_concepts`: concept vectors of layers, and which make which up to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from neurocodec.analyses.concepts.cards import Cards
from neurocodec.analyses.concepts.cost import estimated
from neurocodec.analyses.concepts.study import GRAPH, Sizes, Study
from neurocodec.analyses.stages import Stages
from neurocodec.engine.estimate import Estimate
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network

__all__ = ["GRAPH", "ConceptAnalysis", "analyse_concepts", "estimate_concepts"]


@dataclass(frozen=True)
class ConceptAnalysis:
    """What `analyse_concepts` found."""

    model: str
    vectors: Mapping[str, ConceptVectors]  # by layer
    graph: xr.DataTree
    cards: xr.DataTree  # by layer: examples, places in images, scores
    interventions: xr.Dataset | None  # correlation of predicted with measured changes, by layer
    controls: xr.Dataset  # how well codes of concept vectors and of controls describe rows
    pictures: xr.DataArray  # of some images of the graph, from 0 to 1
    files: Sequence[str]


def analyse_concepts(
    net: Network,
    stimulus: xr.DataArray,
    *,
    layers: Iterable[str],
    categories: Iterable[str] | None = None,
    per_category: int = 20,
    top: int = 5,
    shared: int = 3,
    keep: float = 0.8,
    per_channel: float = 8,
    per_image: int = 8,
    active: int = 12,
    examples: int = 10,
    shown: int = 3,
    steps: int | Literal["auto"] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> ConceptAnalysis:
    """Find concept vectors of layers, and follow answers back through them.

    Parameters
    ----------
    net, stimulus
        A network that sees images, and images (stimulus, color, y, x). Concept vectors are found in
        all of them, the graph is of those of the categories.
    layers
        Aliases in the order of the network. Of a block that ends in a nonlinearity the sum before
        it is taken (`net.pre_activation`).
    categories
        Names of outputs; those that images belong to where None.
    per_category
        Images of each category in the graph, at most.
    top, shared, keep
        As for `nc.concept_graph`.
    per_channel
        Concept vectors for each channel of a layer; fewer where there are too few rows.
    per_image
        Positions of each image that vectors are taken from.
    active
        Concept vectors of a position, at most.
    examples
        Nearest vectors of each concept vector that are shown.
    shown
        Images of each category whose own graph is shown, and in which concept vectors are scaled
        to see whether contributions predict what happens.
    steps
        Of the lines of the graph, as for `nc.concept_graph`.
    seed
        Of positions, clusters and intervals.
    batch_size, workers, progress
        As for `nc.contributions`.
    out
        Folder of the results; a call that was stopped goes on from there.

    Returns
    -------
    ConceptAnalysis
        `vectors` by layer, `graph` as `nc.concept_graph` returns it, `cards` of its nodes,
        `interventions`: `median_correlation` (layer, graph, fraction) of `nc.concept_interventions`
        from each layer to the next, and to the answer; `controls`: `relative_l2` (layer, kind) of
        held-out rows, of concept vectors, of rows drawn at random and of random directions.

    Raises
    ------
    InputError
        Where layers, categories or images do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...                              torch.nn.Linear(4, 2))
    >>> net = Network(module, layers={"early": "1", "late": "3"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype("float32"),
    ...                       {"label": ("stimulus", ["cat", "dog"] * 10)},
    ...                       ("stimulus", "color", "y", "x"))
    >>> found = analyse_concepts(net, images, layers=["early", "late"], per_category=2, top=2,
    ...                          per_channel=2, active=3, examples=2, progress=False)
    >>> [*found.vectors], found.graph["nodes"].sizes["category"]
    (['early', 'late'], 3)
    """
    study = Study.of(
        net,
        stimulus,
        layers,
        categories,
        sizes=Sizes(per_category, per_channel, per_image, active, examples, shown, seed),
        chosen={"top": top, "shared": shared, "keep": keep, "steps": steps},
        settings={"batch_size": batch_size, "workers": workers, "progress": progress},
    )
    stages = Stages(out)
    rows = study.rows(stages)
    vectors = {name: study.vectors(name, rows, stages) for name in study.net.layers}
    controls = study.controls(vectors, rows, stages)
    graph = study.graph(vectors, stages)
    told = study.interventions(vectors, stages)
    pictured = study.pictures(graph, stages)
    cards = Cards(study, vectors, rows, graph, pictured, stages)
    return ConceptAnalysis(
        model=net.name,
        vectors=vectors,
        graph=graph,
        cards=xr.DataTree.from_dict({name: xr.DataTree(cards.of(name)) for name in vectors}),
        interventions=told,
        controls=controls,
        pictures=pictured,
        files=list(dict.fromkeys(stages.files)),
    )


def estimate_concepts(
    net: Network,
    stimulus: xr.DataArray,
    *,
    layers: Iterable[str],
    categories: Iterable[str] | None = None,
    per_category: int = 20,
    top: int = 5,
    shared: int = 3,
    per_channel: float = 8,
    per_image: int = 8,
    active: int = 12,
    steps: int | Literal["auto"] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Estimate:
    """Size, memory and time that `analyse_concepts` will take, from a few images.

    Parameters
    ----------
    net, stimulus, layers, categories, per_category, top, shared, per_channel, per_image, active
        As for `analyse_concepts`.
    steps, seed, batch_size, workers
        As for `analyse_concepts`.

    Returns
    -------
    Estimate
        Prints as one line; clusters, pictures and interventions are not counted, which take minutes
        at most.

    Raises
    ------
    InputError
        Where layers, categories or images do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...                              torch.nn.Linear(4, 2))
    >>> net = Network(module, layers={"maps": "1"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype("float32"),
    ...                       {"label": ("stimulus", ["cat", "dog"] * 10)},
    ...                       ("stimulus", "color", "y", "x"))
    >>> estimate_concepts(net, images, layers=["maps"], per_channel=2, active=3).samples
    20
    """
    study = Study.of(
        net,
        stimulus,
        layers,
        categories,
        sizes=Sizes(per_category, per_channel, per_image, active, 1, 0, seed),
        chosen={"top": top, "shared": shared, "keep": 0.8, "steps": steps},
        settings={"batch_size": batch_size, "workers": workers, "progress": False},
    )
    return estimated(study)
