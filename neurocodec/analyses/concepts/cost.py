"""What an analysis of concept vectors takes, from a few images and vectors drawn at random."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import Any, Final

import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.analyses.concepts.study import Study
from neurocodec.attribution.point_vectors import point_vectors
from neurocodec.concept_graphs.contributions import concept_contributions
from neurocodec.concept_graphs.graph import ANSWER_STEPS, STEPS
from neurocodec.engine.estimate import Estimate, peak_memory
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.nn.attribution.targets import Output

FEW: Final = 2
"""Images that a run is estimated from."""


def estimated(study: Study) -> Estimate:
    """What all of it takes, but clusters, pictures and interventions."""
    images, count = study.images, len(study.category)
    every = study.stimulus.sizes[v.STIMULUS]
    few = images.isel({v.STIMULUS: slice(FEW)}).load()
    some = min(FEW, count)
    start = time.monotonic()
    quiet = {**study.settings, "progress": False}
    tree = point_vectors(
        study.net, few, [*study.net.layers], per_image=study.sizes.per_image, **quiet
    )
    seconds = (time.monotonic() - start) / some * every
    rows: dict[str, xr.Dataset] = {name: tree[name].to_dataset() for name in study.net.layers}
    made = {name: _random(study, own[v.ACTIVATION]) for name, own in rows.items()}
    took, size = _of_graph(study, made, few)
    seconds += took / some * count
    size = size / some * count + sum(own.nbytes for own in rows.values()) / some * every
    return Estimate(
        samples=every,
        layers=len(made),
        batch_size=study.settings["batch_size"] or FEW,
        sample_bytes=round(size / every),
        output_bytes=round(size),
        memory_bytes=peak_memory(),
        device_bytes=0,
        seconds=seconds,
    )


def _of_graph(
    study: Study, made: dict[str, ConceptVectors], few: xr.DataArray
) -> tuple[float, float]:
    """Seconds and bytes of the contributions of a few images."""
    names = sorted({*study.category.tolist()})
    many = min(2 * study.chosen["top"] * len(names) + study.chosen["shared"], 200)
    steps, quiet = study.chosen["steps"], {**study.settings, "progress": False}
    seconds, size = 0.0, 0.0
    for source, target in pairwise([*made, ""]):
        start = time.monotonic()
        aim: dict[str, Any] = {"target": Output(str(names[0])), "steps": steps or ANSWER_STEPS}
        found = concept_contributions(study.net, few, source=made[source], **aim, **quiet)
        seconds += 1.25 * (time.monotonic() - start)  # the controls too
        if target:
            start = time.monotonic()
            asked = list(range(min(many, made[target].dictionary.sizes[v.MODE])))
            aim = {"target": made[target], "targets": asked, "steps": steps or STEPS}
            found = concept_contributions(study.net, few, source=made[source], **aim, **quiet)
            seconds += time.monotonic() - start
        size += found.nbytes
    return seconds, size


def _random(study: Study, rows: xr.DataArray) -> ConceptVectors:
    channels = rows.sizes[v.CHANNEL]
    count = max(1, math.ceil(study.sizes.per_channel * channels))
    active = min(study.sizes.active, channels, count)
    return ConceptVectors("random", vectors=count, active=active).fit(rows)
