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
from neurocodec.analyses.images.findings import Modes
from neurocodec.analyses.images.study import Halves, ImageRun
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
LEAST: Final = 5
"""Images of a class that must be held out, and as many that rankings see."""
MODES: Final = "contribution modes"
ACTIVATION_MODES: Final = "activation modes"
CHANNELS: Final = "single channels"
GRADIENT: Final = "gradient"
RANDOM: Final = "random"


@dataclass(frozen=True)
class Classes:
    """What is perturbed: classes, or concepts above them.

    Parameters
    ----------
    masks
        `member` (stimulus, category) or (stimulus, concept), of all images.
    concepts
        Concept -> its categories; None for classes.
    """

    masks: xr.DataArray
    concepts: Mapping[str, Sequence[str]] | None = None

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
    """Find all of a network's categories that are kinds of each concept, or the concept itself.

    Parameters
    ----------
    net
        Its outputs have the coordinate `wordnet_id` where the hierarchy is WordNet's.
    hierarchy
        As `nc.concept_masks` takes it.
    names
        Of the concepts: an id, the first word, or any word that only one concept has.

    Returns
    -------
    dict
        Concept -> its categories, in the order of the outputs.

    Raises
    ------
    InputError
        Where no category is below such a concept, or a name may be several concepts.

    Examples
    --------
    >>> from torch import nn
    >>> net = Network(nn.Identity(), layers=[], outputs=["pug", "jeep", "husky"])
    >>> superclass_categories(net, {"pug": "dog", "husky": "dog", "jeep": "car"}, ["dog"])
    {'dog': ['pug', 'husky']}
    """
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
    """Settings of the curves of all layers.

    Parameters
    ----------
    layers
        Aliases of those to perturb.
    target
        That gradients are of.
    per_class
        Images of each class, and about as many of other classes in all draws together.
    fractions
        Of the channels.
    """

    layers: Sequence[str]
    target: Target
    per_class: int
    fractions: Sequence[float] = FRACTIONS


def gradients(run: ImageRun, classes: Classes, settings: Perturbations) -> xr.DataTree:
    """Gradients at images that rankings may see, as many of each class as are perturbed.

    Parameters
    ----------
    run
        The analysis.
    classes
        Of which images are wanted.
    settings
        Layers, target and number of images.
    """
    member = run.halves.fitted(classes.masks).values
    first = np.cumsum(member, axis=0) <= settings.per_class
    chosen = np.flatnonzero(~run.halves.held)[(member & first).any(axis=1)]
    facts = run.facts(
        images=chosen, target=settings.target, layers=settings.layers, what="gradients"
    )
    return run.stages.keep(
        f"gradients-{classes.dim}.nc", facts, partial(_gradients, run, chosen, settings)
    )


def _gradients(run: ImageRun, chosen: NDArray[np.intp], settings: Perturbations) -> xr.DataTree:
    return contributions(
        run.net,
        run.images.isel({v.STIMULUS: chosen}),
        target=settings.target,
        method=Gradient(),
        layers=settings.layers,
        **run.computing,
    )


def rank(
    run: ImageRun, layer: str, modes: Modes, classes: Classes, gradient: xr.DataTree
) -> dict[str, xr.DataArray]:
    """Rank the channels of a layer for every class, in five ways, the last one at random.

    Parameters
    ----------
    run
        The analysis; images that are held out are not looked at.
    layer
        Its alias.
    modes
        Fitted to the images that are not held out.
    classes
        To rank for.
    gradient
        As `gradients` returns it.
    """
    fitted = run.halves.fitted
    masks = fitted(classes.masks)
    rows = fitted(run.rows(layer, v.CONTRIBUTION))
    own = rankings.from_modes(modes[v.CONTRIBUTION][layer], masks)
    slopes = gradient.children[layer].to_dataset()
    shown = masks.sel({v.STIMULUS: slopes[v.STIMULUS].values})
    return {
        MODES: own,
        ACTIVATION_MODES: rankings.from_modes(modes[v.ACTIVATION][layer], masks),
        CHANNELS: rankings.from_correlation(rows, masks),
        GRADIENT: rankings.from_gradient(slopes, shown),
        RANDOM: rankings.at_random(own, draws=DRAWS, seed=run.seed),
    }


def perturb_layers(
    run: ImageRun, modes: Modes, classes: Classes, settings: Perturbations
) -> dict[str, xr.Dataset]:
    """Perturbation curves of every layer, on images that modes and rankings have not seen.

    Parameters
    ----------
    run
        The analysis; each layer is kept as a file, ``perturbation/category-<layer>.nc``.
    modes
        Fitted to the images that are not held out.
    classes
        To perturb for.
    settings
        Of the curves.

    Returns
    -------
    dict
        Layer -> as `nc.perturbation_curve` returns it. Why one is missing is left in the run.
    """
    found, failed = dict[str, xr.Dataset](), dict[str, str]()
    gradient = gradients(run, classes, settings)
    for layer in settings.layers:
        if any(layer not in of_kind for of_kind in modes.values()):
            failed[layer] = "it has no modes"
            continue
        try:
            found[layer] = _perturb(
                run, layer, rank(run, layer, modes, classes, gradient), classes, settings
            )
        except InputError as error:  # no loading varies: all other layers are worth having
            failed[layer] = error.came
    run.leave_out(classes.part, failed)
    return found


def _perturb(
    run: ImageRun,
    layer: str,
    scores: dict[str, xr.DataArray],
    classes: Classes,
    settings: Perturbations,
) -> xr.Dataset:
    facts = run.facts(
        scores={name: labels.fingerprint(one) for name, one in scores.items()},
        classes=classes.concepts,
        settings=settings,
    )

    def make() -> xr.Dataset:
        curve = perturbation_curve(
            run.net,
            run.halves.judged(run.images),
            layer,
            scores,
            concepts=classes.concepts,
            fractions=settings.fractions,
            n_target=settings.per_class,
            n_off=-(-settings.per_class // DRAWS),
            draws=DRAWS,
            seed=run.seed,
            **run.computing,
        )
        return curve.assign({scores[MODES].name: scores[MODES]})

    return run.stages.keep(f"perturbation/{classes.dim}-{layer}.nc", facts, make)
