"""Whether the graph of an analysis is true: predicted against measured changes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.concept_graphs.interventions import concept_interventions
from neurocodec.concept_graphs.tables import ANSWER
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network
from neurocodec.nn.attribution.targets import Label
from neurocodec.storage.files import existing_folder

MOST: Final = 12
"""Images, evenly among those of the page: each takes as long as its whole graph does."""
TARGETS: Final = 2
"""Concept vectors of the next layer in each image: its strongest."""
DRAWS: Final = 8
FRACTIONS: Final = (0.0, 0.5)
"""One concept vector alone, and half of those that are active."""
TO_LAYER: Final = "to_layer"


def interventions_of(
    net: Network,
    images: xr.DataArray,  # with the category of each as its label
    vectors: Mapping[str, ConceptVectors],  # in the order of the network
    *,
    folder: Path | None,  # of what goes on where it was stopped
    seed: int,
    settings: Mapping[str, Any],
) -> xr.Dataset:
    """`median_correlation` (layer, graph, fraction) of predicted with measured changes.

    Of each layer to the next, and of the last to the answer.
    """
    count = images.sizes[v.STIMULUS]
    few = np.linspace(0, count - 1, min(count, MOST)).round().astype(int)
    images = images.isel({v.STIMULUS: few})
    names = [*vectors]
    found = list[xr.Dataset]()
    for source, target in pairwise([*names, ANSWER]):
        last = target == ANSWER
        aim: dict[str, Any] = {"target": Label() if last else vectors[target]}
        if not last:
            aim["targets"] = min(TARGETS, vectors[target].dictionary.sizes[v.MODE])
        told = concept_interventions(
            net,
            images,
            source=vectors[source],
            fractions=FRACTIONS,
            draws=DRAWS,
            seed=seed,
            out=None
            if folder is None
            else existing_folder(folder) / f"{source}-to-{target}-scaled.nc",
            **aim,
            **settings,
        )
        name = v.MEDIAN_CORRELATION
        found.append(told[[name, f"{name}_interval"]].reset_coords(drop=True).load())
    made = xr.concat(found, v.LAYER).assign_coords(
        {v.LAYER: names, TO_LAYER: (v.LAYER, [*names[1:], ANSWER])}
    )
    made = made.assign_coords({"n_images": images.sizes[v.STIMULUS]})
    facts = labels.provenance(told)  # of the last; the others differ in their vectors alone
    facts.pop("function")
    return labels.stamp(made, "nc.analyse_concepts", **facts)
