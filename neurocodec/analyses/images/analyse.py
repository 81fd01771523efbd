"""The whole analysis of a network that sees images, in one call: figures 3, 5 and 6 of CODEC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import xarray as xr

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import LEAST, RESPONSES, STATISTICS, ImageAnalysis
from neurocodec.analyses.images.maps import map_modes
from neurocodec.analyses.images.modes import find_again, fit_kinds, score_modes
from neurocodec.analyses.images.perturbation import (
    Classes,
    Perturbations,
    perturb_layers,
    superclass_categories,
)
from neurocodec.analyses.images.pictures import picture_modes, require_maps
from neurocodec.analyses.images.study import Halves, ImageStudy, some_of
from neurocodec.analyses.options import (
    EXPANSION,
    IMAGE_STEPS,
    PARTS,
    PER_CLASS,
    STABILITY,
    TARGETS,
)
from neurocodec.analyses.stages import Stages
from neurocodec.arguments import one_of, whole
from neurocodec.attribution.contributions import contributions
from neurocodec.attribution.plan import require_one
from neurocodec.categories.hierarchies import Source
from neurocodec.categories.masks import class_masks, group_masks
from neurocodec.errors import InputError, unknown_name
from neurocodec.modes.sparse import SparseModes
from neurocodec.network import Network
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Entropy, Label, Margin, Output, TopK
from neurocodec.statistics import dimensionality, hoyer, sign_correlation

_TARGETS: Final[dict[str, Target]] = dict(
    zip(
        TARGETS,
        (TopK(1, hold=True), TopK(5, hold=True), Entropy(), Margin(), Label()),
        strict=True,
    )
)
"""Targets by name.

The classes found at an image are held along the path to it: the largest logit at each point is that
of other classes on the way, which makes the path rough (CIFAR ResNet-56, 10 steps: the sum of the
contributions misses 8 % of the change of the target in place of 68 %).
"""
_OF_MODES: Final = {
    "maps": "of which they are",
    "perturbation": "by which channels are ranked",
    STABILITY: "of which it tells which come back",
}
"""Parts that need modes, and for what."""
OF_NETWORK: Final = {
    "model",
    "module_sha256",
    "outputs",
    "select",
    "perturbation",
    "history",
    "weights_sha256",
    "state_sha256",
}
"""What the provenance of answers has of that of contributions."""
SHOWN: Final = 5
"""Names that are written out of those that are left out."""
HELD_OUT: Final = 0.5
"""Part of the images of every class that modes and rankings do not see."""


def analyse_images(
    net: Network,
    images: xr.DataArray,
    *,
    layers: Iterable[str] | None = None,
    target: str | Target = "top1",
    method: Method | None = None,
    parts: Sequence[str] = PARTS,
    expansion: float | Literal["auto"] = EXPANSION,
    hierarchy: Source | None = None,
    categories: Sequence[str] | None = None,
    superclasses: Sequence[str] = (),
    perturb: Sequence[str] | None = None,
    per_class: int = PER_CLASS,
    pictures: bool = False,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    client: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = True,
) -> ImageAnalysis:
    """Analyse a network that classifies images: sections 3 to 5 of CODEC in one call.

    Contributions of all layers; their sparsity, signs and dimensionality beside those of the
    activations (figure 3); modes of both and how they go with the classes (figure 5); which images
    some modes are active on, and which part of these (figure 7); accuracy while channels are
    ablated or preserved (figures 6 and 11). Modes and rankings see one half of
    the images of every class and are judged on the other.

    Parameters
    ----------
    net
        A network that sees images, such as `nc.adapters.torchvision` gives.
    images
        As `nc.images` gives them, with the coordinate `label` where there are classes.
    layers
        Aliases; all of the network's where None.
    target
        "top1" (the logit of the class that the network answers with), "top5", "entropy",
        "margin", a category, or one of `nc.targets`.
    method
        One of `nc.methods`; ``IntegratedGradients(steps=10)`` where None.
    parts
        Of the analysis: "statistics", "modes", "maps" and "perturbation" (which need modes). And,
        where it is asked for, "stability": which modes of contributions come back in other fits
        (`nc.mode_stability`), seven of each layer.
    expansion
        Modes per channel; with "auto" as many as the rows have (`nc.SparseModes`).
    hierarchy
        Of the classes, as `nc.concept_masks` takes it, for `superclasses`.
    categories
        To perturb; all with at least 5 images on either side where None.
    superclasses
        Concepts of the hierarchy, such as "dog" or "n02084071", that are perturbed as if they were
        one class: with all of the network's categories that are below them.
    perturb
        Layers to perturb, of those that are analysed; all of them where None.
    per_class
        Images of each class, and as many others, that a perturbed network is shown.
    pictures
        Whether to make the picture that each mode with maps answers most to (`nc.visualise`).
    batch_size, device, workers, client
        As `nc.contributions` takes them.
    seed
        Of modes, halves and every draw.
    out
        Folder for the results. An interrupted analysis goes on there when the same call is made
        again.
    progress
        Whether to show bars.

    Returns
    -------
    ImageAnalysis
        All results, labelled. What there are no labels for, or too few images, is left out, with
        the reason in `left_out`.

    Raises
    ------
    InputError
        Where images, layers, target or categories do not fit the network.
    StorageError
        Where `out` holds another run, or cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    >>> net = nc.Network(module, {"conv": "1"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(
    ...     np.random.default_rng(0).random((24, 3, 6, 6), "float32"),
    ...     {"label": ("stimulus", ["cat", "dog"] * 12)}, ("stimulus", "color", "y", "x"),
    ... )
    >>> found = nc.analyse_images(net, images, parts=["statistics"], progress=False)
    >>> found.statistics["hoyer"]["hoyer"].sizes
    Frozen({'layer': 1, 'kind': 2})
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    wanted = list(net.select_layers(layers))
    chosen = _target(target, net)
    method = method or IntegratedGradients(steps=IMAGE_STEPS)
    per_class = whole("per_class", per_class)
    _require_parts(parts)
    require_maps(images, parts if pictures else None)
    _require_known(net, wanted, perturb, categories)
    concepts = _concepts(net, superclasses, hierarchy)
    settings = SparseModes(expansion=expansion, seed=seed, device=device, progress=False)
    images, stages = _numbered(images), Stages(out)
    computing: dict[str, Any] = {"batch_size": batch_size, "device": device}
    computing |= {"workers": workers, "progress": progress}
    call: dict[str, Any] = {"target": chosen, "method": method, "layers": wanted, "client": client}
    place = _place(stages, client)
    tree = contributions(net, images, out=place, outputs=True, **call, **computing)
    shown = _shown(images, tree)
    study = ImageStudy(net, shown, tree, Halves.of(shown, HELD_OUT, seed), stages, seed, computing)
    found: dict[str, Any] = {"responses": _responses(study)}
    if "statistics" in parts:
        found["statistics"] = _statistics(study)
    if "modes" in parts:
        found["modes"] = fit_kinds(study, settings)
        found["concepts"] = score_modes(study, found["modes"])
    if STABILITY in parts:
        found["mode_stability"] = find_again(study, found["modes"][v.CONTRIBUTION])
    if "maps" in parts:
        found["maps"] = map_modes(study, found["modes"], found["concepts"], chosen, method)
    found["pictures"] = picture_modes(study, found) if pictures else {}
    if "perturbation" in parts:
        settled = Perturbations(list(net.select_layers(perturb or wanted)), chosen, per_class)
        groups = _categories(study, categories), _superclasses(study, concepts)
        found |= {x.part: perturb_layers(study, found["modes"], x, settled) for x in groups if x}
    return ImageAnalysis(
        model=net.name,
        target=chosen,
        tree=tree,
        held=labels.labelled(study.halves.held, (v.STIMULUS,), study.labels, name="held_out"),
        left_out=study.left_out,
        files=tuple(stages.files),
        **found,
    )


def _target(target: str | Target, net: Network) -> Target:
    if isinstance(target, Target):
        require_one(target)
        return target
    if target in _TARGETS:
        return _TARGETS[target]
    if net.outputs is None or target in net.outputs:
        return Output(target)
    raise unknown_name("target", target, [*TARGETS, *net.outputs])


def _require_parts(parts: Sequence[str]) -> None:
    for part in parts:
        one_of("part of the analysis", part, (*PARTS, STABILITY))
    for part, why in _OF_MODES.items():
        if part in parts and "modes" not in parts:
            raise InputError(
                came=f"{part} without modes, {why}",
                expected="both parts",
                hint=f"parts=['modes', {part!r}]",
            )


def _require_known(
    net: Network,
    layers: Sequence[str],
    perturb: Sequence[str] | None,
    categories: Sequence[str] | None,
) -> None:
    """Refuse at the start what would be refused at the end."""
    for layer in net.select_layers(perturb) if perturb else ():
        one_of("layer that is analysed", layer, layers)
    for category in categories or ():
        if net.outputs is not None:
            one_of("category", category, net.outputs)


def _concepts(
    net: Network, superclasses: Sequence[str], hierarchy: Source | None
) -> dict[str, list[str]]:
    """Categories of each superclass."""
    if not superclasses:
        return {}
    if hierarchy is None:
        raise InputError(
            came=f"superclasses {list(superclasses)} without a hierarchy",
            expected="a file that says which classes they have",
            hint="hierarchy='data.noun' (WordNet 3.0), or a CSV with the columns class and concept",
        )
    return superclass_categories(net, hierarchy, superclasses)


def _numbered(images: xr.DataArray) -> xr.DataArray:
    """Images with numbers where they have no names, so that some of them can be told."""
    if v.STIMULUS not in getattr(images, "dims", ()) or v.STIMULUS in images.coords:
        return images
    return images.assign_coords({v.STIMULUS: range(images.sizes[v.STIMULUS])})


def _place(stages: Stages, client: Any) -> Path | None:
    """Zarr is what several workers write; netCDF is one file."""
    if stages.folder is None:
        return None
    name = f"contributions{'.nc' if client is None else '.zarr'}"
    stages.files.append(name)
    return stages.folder / name


def _shown(images: xr.DataArray, tree: xr.DataTree) -> xr.DataArray:
    """Images that the tree has, without those that were broken."""
    if images.sizes[v.STIMULUS] == tree.sizes[v.STIMULUS]:
        return images
    return images.sel({v.STIMULUS: tree[v.STIMULUS].values})


def _responses(study: ImageStudy) -> xr.DataArray:
    """Answers to the images, which the pass of the contributions has kept."""
    origin = labels.provenance(study.tree)

    def make() -> xr.DataArray:
        found = study.tree.dataset["response"]
        coords = {str(k): c.variable for k, c in found.coords.items()}
        dims = tuple(map(str, found.dims))
        named = labels.labelled(found.values, dims, coords, name="response")
        return labels.stamp(named, "nc.respond", **{k: origin[k] for k in OF_NETWORK & {*origin}})

    return study.stages.keep(RESPONSES, study.facts(what="responses"), make)


def _statistics(study: ImageStudy) -> xr.DataTree:
    classes = v.LABEL if study.has_classes else None

    def make() -> xr.DataTree:
        return xr.DataTree.from_dict(
            {
                "/hoyer": hoyer(study.tree, seed=study.seed),
                "/sign_correlation": sign_correlation(study.tree, seed=study.seed),
                "/dimensionality": dimensionality(study.tree, classes=classes, seed=study.seed),
            }
        )

    return study.stages.keep(STATISTICS, study.facts(what="statistics", classes=classes), make)


def _categories(study: ImageStudy, categories: Sequence[str] | None) -> Classes | None:
    """Classes to perturb: those that are wanted, or all with enough images."""
    known = [] if study.net.outputs is None else list(study.net.outputs)
    there = [name for name in known if name in study.classes]
    if not there or not study.has_classes:
        unknown = "no label of the images is one of the network's categories"
        study.left_out["perturbation"] = study.without_classes or unknown
        return None
    wanted = there if categories is None else [*dict.fromkeys(categories)]
    without = [name for name in wanted if name not in there]
    masks = class_masks(study.tree).sel({v.CATEGORY: [name for name in wanted if name in there]})
    return _enough(study, Classes(masks), without)


def _superclasses(study: ImageStudy, concepts: Mapping[str, Sequence[str]]) -> Classes | None:
    if not concepts:
        return None
    if not study.has_classes:
        study.left_out["superclasses"] = study.without_classes
        return None
    return _enough(study, Classes(group_masks(study.tree, concepts), concepts), [])


def _enough(study: ImageStudy, classes: Classes, without: Sequence[str]) -> Classes | None:
    """Those with enough images; which are not among them is noted."""
    enough = classes.enough(study.halves)
    few = [*without, *(name for name in classes.names if name not in enough.names)]
    if few:
        why = f"fewer than {LEAST} images to rank channels by, or to be judged on"
        study.leave_out(classes.part, {some_of(few): why})
    return enough if enough.names else None
