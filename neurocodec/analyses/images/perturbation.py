"""What ablating and preserving channels does, layer by layer, for channels ranked in five ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import LEAST, Modes
from neurocodec.analyses.images.study import Halves, ImageStudy
from neurocodec.attribution.contributions import contributions
from neurocodec.categories.hierarchies import Source, read_hierarchy
from neurocodec.errors import InputError
from neurocodec.network import Network
from neurocodec.nn.attribution.methods import Gradient
from neurocodec.nn.attribution.target import Target
from neurocodec.perturbation import rankings
from neurocodec.perturbation.curve import perturbation_curve

FRACTIONS: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
DRAWS: Final = 3
"""Of images of other classes, and of random rankings."""
MODES: Final = "contribution modes"
ACTIVATION_MODES: Final = "activation modes"
CHANNELS: Final = "single channels"
GRADIENT: Final = "gradient"
RANDOM: Final = "random"


@dataclass(frozen=True)
class Classes:
    """What is perturbed: classes, or concepts above them."""

    masks: xr.DataArray  # `member` (stimulus, category) or (stimulus, concept), of all images
    concepts: Mapping[str, Sequence[str]] | None = None  # concept -> categories; None: classes

    @property
    def dim(self) -> str:
        """`category` or `concept`."""
        return rankings.group_dim(self.masks)

    @property
    def part(self) -> str:
        """Of the analysis: what the result is called there."""
        return "superclasses" if self.dim == v.CONCEPT else "perturbation"

    @property
    def names(self) -> list[str]:
        """Of the categories or concepts."""
        return [str(name) for name in self.masks[self.dim].values]

    def enough(self, halves: Halves) -> Classes:
        """Those with enough images on both sides."""
        inside = [side(self.masks).sum(v.STIMULUS) for side in (halves.fitted, halves.judged)]
        least = np.minimum(*(n.values for n in inside))
        kept = self.masks.isel({self.dim: np.flatnonzero(least >= LEAST)})
        return Classes(kept, self.concepts)


def superclass_categories(
    net: Network, hierarchy: Source, names: Sequence[str]
) -> dict[str, list[str]]:
    """Concept -> all categories of a network that are kinds of it, or are it."""
    # A concept is an id, its first word, or any word that only one has. Where the hierarchy is
    # WordNet's, the outputs are known by their coordinate `wordnet_id`.
    outputs = [*(net.outputs or ())]
    if not outputs:
        raise InputError(
            came=f"superclasses {[*names]} of a network whose categories have no names",
            expected="names that the hierarchy has",
            hint="nc.Network(..., outputs=names)",
        )
    tree = read_hierarchy(hierarchy)
    keys = [str(key) for key in net.output_coords.get(v.WORDNET_ID, outputs)]
    below: dict[str, list[str]] = {}
    for category, key in zip(outputs, keys, strict=True):
        for concept in sorted(tree.above(key) | {key}) if key in tree else ():
            below.setdefault(concept, []).append(category)
    order = sorted(below, key=lambda concept: -len(below[concept]))
    return {name: below[tree.find("superclass", name, order)] for name in names}


@dataclass(frozen=True)
class Perturbations:
    """Settings of the curves of all layers."""

    layers: Sequence[str]  # to perturb
    target: Target  # that gradients are of
    per_class: int  # images of each class, and about as many others in all draws together
    fractions: Sequence[float] = FRACTIONS  # of the channels


def gradients(study: ImageStudy, classes: Classes, settings: Perturbations) -> xr.DataTree:
    """Gradients at images that rankings may see, as many of each class as are perturbed."""
    member = study.halves.fitted(classes.masks).values
    first = np.cumsum(member, axis=0) <= settings.per_class
    chosen = np.flatnonzero(~study.halves.held)[(member & first).any(axis=1)]
    facts = study.facts(
        images=chosen, target=settings.target, layers=settings.layers, what="gradients"
    )
    return study.stages.keep(
        f"gradients-{classes.dim}.nc", facts, partial(_gradients, study, chosen, settings)
    )


def _gradients(study: ImageStudy, chosen: NDArray[np.intp], settings: Perturbations) -> xr.DataTree:
    return contributions(
        study.net,
        study.images.isel({v.STIMULUS: chosen}),
        target=settings.target,
        method=Gradient(),
        layers=settings.layers,
        **study.computing,
    )


def rank(
    study: ImageStudy, layer: str, modes: Modes, classes: Classes, gradient: xr.DataTree
) -> dict[str, xr.DataArray]:
    """Scores (category or concept, channel) of a layer's channels, of five kinds, one random."""
    fitted = study.halves.fitted
    masks = fitted(classes.masks)
    rows = fitted(study.rows(layer, v.CONTRIBUTION))
    own = rankings.from_modes(modes[v.CONTRIBUTION][layer], masks)
    slopes = gradient.children[layer].to_dataset()
    shown = masks.sel({v.STIMULUS: slopes[v.STIMULUS].values})
    return {
        MODES: own,
        ACTIVATION_MODES: rankings.from_modes(modes[v.ACTIVATION][layer], masks),
        CHANNELS: rankings.from_correlation(rows, masks),
        GRADIENT: rankings.from_gradient(slopes, shown),
        RANDOM: rankings.at_random(own, draws=DRAWS, seed=study.seed),
    }


def perturb_layers(
    study: ImageStudy, modes: Modes, classes: Classes, settings: Perturbations
) -> dict[str, xr.Dataset]:
    """Layer -> perturbation curves, on images that modes and rankings have not seen."""
    # Each is kept as ``perturbation/category-<layer>.nc``; why one is missing is left in the study.
    found, failed = dict[str, xr.Dataset](), dict[str, str]()
    gradient = gradients(study, classes, settings)
    for layer in settings.layers:
        if any(layer not in of_kind for of_kind in modes.values()):
            failed[layer] = "it has no modes"
            continue
        try:
            found[layer] = _perturb(
                study, layer, rank(study, layer, modes, classes, gradient), classes, settings
            )
        except InputError as error:  # no loading varies: all other layers are worth having
            failed[layer] = error.came
    study.leave_out(classes.part, failed)
    return found


def _perturb(
    study: ImageStudy,
    layer: str,
    scores: dict[str, xr.DataArray],
    classes: Classes,
    settings: Perturbations,
) -> xr.Dataset:
    facts = study.facts(
        scores={name: labels.fingerprint(one) for name, one in scores.items()},
        classes=classes.concepts,
        settings=settings,
    )

    def make() -> xr.Dataset:
        curve = perturbation_curve(
            study.net,
            study.halves.judged(study.images),
            layer,
            scores,
            concepts=classes.concepts,
            fractions=settings.fractions,
            n_target=settings.per_class,
            n_off=-(-settings.per_class // DRAWS),
            draws=DRAWS,
            seed=study.seed,
            **study.computing,
        )
        return curve.assign({scores[MODES].name: scores[MODES]})

    return study.stages.keep(f"perturbation/{classes.dim}-{layer}.nc", facts, make)
