"""What ablating and preserving channels does, layer by layer, for channels ranked in five ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, rankings
from neurocodec import vocabulary as v
from neurocodec.concepts import concept_masks
from neurocodec.contribution import contributions
from neurocodec.errors import InputError, unknown_name
from neurocodec.image_modes import Modes
from neurocodec.image_run import Halves, ImageRun
from neurocodec.network import Network
from neurocodec.nn.methods import Gradient
from neurocodec.nn.target import Target
from neurocodec.perturbation import perturbation_curve

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

_WORDNET: Final = "wordnet_id"


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

    def enough(self, halves: Halves) -> Classes:
        """Those with enough images on both sides."""
        inside = [side(self.masks).sum(v.STIMULUS) for side in (halves.fitted, halves.judged)]
        least = np.minimum(*(n.values for n in inside))
        kept = self.masks.isel({self.dim: np.flatnonzero(least >= LEAST)})
        return Classes(kept, self.concepts)


def superclass_masks(
    net: Network, tree: xr.DataTree, hierarchy: str | Path | None, names: Sequence[str]
) -> Classes:
    """Concepts of a hierarchy, and the network's categories that each has.

    Parameters
    ----------
    net
        Its outputs have the coordinate `wordnet_id` where the hierarchy is WordNet's.
    tree
        Contributions, with labels.
    hierarchy
        As `nc.concept_masks` takes it.
    names
        Of the concepts.

    Raises
    ------
    UnknownNameError
        Where the hierarchy has no such concept above the classes of these images.
    """
    ids = None
    outputs = list(net.outputs or ())
    if outputs and _WORDNET in net.output_coords:
        ids = dict(zip(outputs, map(str, net.output_coords[_WORDNET]), strict=True))
    options: dict[str, Any] = {"ids": ids, "missing": "skip", "min_members": 1}
    masks = concept_masks(tree, hierarchy or {}, **options)
    known = masks[v.CONCEPT].values.tolist()
    for name in names:
        if name not in known:
            raise unknown_name("superclass", name, known)
    chosen = masks.sel({v.CONCEPT: list(names)})
    # all categories of the network that are below a concept, not only those of these images
    every = xr.DataArray(outputs, dims=v.STIMULUS)
    below = concept_masks(every, hierarchy or {}, **options, distinct=False, classes=True)
    member = below.set_index({v.CONCEPT: "concept_id"})
    categories = {
        name: np.array(outputs)[member.sel({v.CONCEPT: key}).values].tolist()
        for name, key in zip(names, chosen["concept_id"].values.tolist(), strict=True)
    }
    return Classes(chosen, categories)


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
    return {
        MODES: own,
        ACTIVATION_MODES: rankings.from_modes(modes[v.ACTIVATION][layer], masks),
        CHANNELS: rankings.from_correlation(rows, masks),
        GRADIENT: rankings.from_gradient(slopes, _same_images(masks, slopes)),
        RANDOM: rankings.at_random(own, draws=DRAWS, seed=run.seed),
    }


def _same_images(masks: xr.DataArray, rows: xr.Dataset) -> xr.DataArray:
    """Masks of the images that the rows are of."""
    if v.STIMULUS in rows.coords:
        return masks.sel({v.STIMULUS: rows[v.STIMULUS].values})
    return masks


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
    run.leave_out("perturbation", failed)
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
