"""Which images a mode is active on, and which part of them: maps of a few modes (CODEC fig. 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.images.findings import EACH_CHANNEL, EACH_MODE, Modes
from neurocodec.analyses.images.study import ImageStudy
from neurocodec.categories.masks import class_masks
from neurocodec.engine.samples import Samples
from neurocodec.errors import CaptureError, InputError
from neurocodec.maps.examples import decomposed, distinct, largest, top_channels
from neurocodec.maps.making import Asked, Making, map_maker
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target

SHOWN_MODES: Final = 5
"""Of a layer."""
SHOWN_IMAGES: Final = 4
"""Of a mode."""
LEAST: Final = 2
"""Held-out images that a mode is active on, and that its class has; one image is no pattern."""
SHOWN_CHANNELS: Final = 6
"""Of the one mode whose channels are shown one by one."""


class Shown(NamedTuple):
    """What maps are made of."""

    target: Target
    method: Method


@dataclass(frozen=True)
class Order:
    """The modes of a layer, those to be shown first."""

    modes: NDArray[np.intp]  # positions in the dictionary
    concept: NDArray[np.str_]  # class that each follows best; "" without classes
    correlation: NDArray[np.float64]  # with it, on the held-out images; NaN without classes

    @property
    def score(self) -> float:
        """How closely the modes that would be shown follow their classes; 0 without classes."""
        first = self.correlation[:SHOWN_MODES]
        return float(np.nan_to_num(first).mean()) if len(first) else -1.0


@dataclass(frozen=True)
class Examples:
    """Modes of a layer that are shown, and the images that they are shown with."""

    layer: str
    modes: Mapping[str, Any]  # coordinates (mode): name, and concept and correlation if any
    places: NDArray[np.intp]  # of images among all (mode, rank), the largest loading first
    loading: NDArray[np.float32]  # (mode, rank); where it is 0 there is no image to show
    top: int  # channels that stand for a mode


def map_modes(
    study: ImageStudy, modes: Modes, concepts: xr.DataTree | None, target: Target, method: Method
) -> dict[str, xr.DataTree]:
    """Map some modes of a late and a middle layer into the images that they are most active on."""
    # A mode is the sum of its channels of largest weight (`top_channels`), as in CODEC. Node
    # "modes": maps (mode, rank, sign, color, y, x) with `loading` and `picture`, NaN where there is
    # no image; node "channels": the first image of the first mode, channel by channel. Kept as
    # ``maps/<layer>.nc``; why a layer has none is left in the study.
    found: dict[str, xr.DataTree] = {}
    failed: dict[str, str] = {}
    wanted, why = _layers(study, modes, concepts)
    if why:
        study.left_out["maps"] = why
    shown = Shown(target, decomposed(method))
    progress = study.computing.get("progress", False)
    for layer, order in tqdm(wanted.items(), desc="maps", unit="layer", disable=not progress):
        fitted = modes[v.CONTRIBUTION][layer]
        try:
            examples = _examples(study, layer, fitted, order)
            found[layer] = study.stages.keep(
                f"maps/{layer}.nc",
                _facts(study, fitted, examples, shown),
                partial(_map, study, fitted, examples, shown),
            )
        except (InputError, CaptureError) as error:  # all else is still worth having
            failed[layer] = error.came
    study.leave_out("maps", failed)
    return found


def _layers(
    study: ImageStudy, modes: Modes, concepts: xr.DataTree | None
) -> tuple[dict[str, Order], str]:
    """Layers to look at, and the order of their modes; or why there are none."""
    # Of the second half, the one whose modes follow their classes best (without classes the last
    # one), and the one in the middle of all.
    if {*study.images.dims} != {v.STIMULUS, v.COLOR, v.Y, v.X}:
        dims = ", ".join(map(str, study.images.dims))
        return {}, f"the network sees ({dims}), which is no image (stimulus, color, y, x)"
    known = modes.get(v.CONTRIBUTION, {})
    orders = {
        k: _order(study, known[k], _table(concepts, k)) for k in study.tree.children if k in known
    }
    if not orders:
        return {}, "no layer has modes"
    names = list(orders)
    late = max(names[len(names) // 2 :][::-1], key=lambda name: orders[name].score)
    middle = names[(len(names) - 1) // 2]
    return {name: orders[name] for name in dict.fromkeys((late, middle))}, ""


def _table(concepts: xr.DataTree | None, layer: str) -> xr.Dataset | None:
    """How the modes of a layer go with the classes."""
    if concepts is None or layer not in concepts.children:
        return None
    return concepts[layer]["contribution_mode"].to_dataset()


def _order(study: ImageStudy, modes: SparseModes, table: xr.Dataset | None) -> Order:
    """Modes by their class; by what they explain where no class has enough images."""
    enough = _enough(study)
    if table is not None and enough:
        score = table["max_correlation"].values.astype(float)
        concept = table["best_concept"].values[:, 0].astype(str)
        order = _first_of_each(score, concept, enough)
        if len(order):
            return Order(order, concept[order], score[order])
    share = modes.summary["explained_variance"].values
    order = np.argsort(-np.nan_to_num(share, nan=-np.inf), kind="stable")
    order = order[share[order] > 0]
    return Order(order, np.full(len(order), ""), np.full(len(order), np.nan))


def _enough(study: ImageStudy) -> set[str]:
    """Classes of which enough images are held out to speak of a correlation."""
    if not study.has_classes:
        return set()
    members = study.halves.judged(class_masks(study.tree)).sum(v.STIMULUS)
    return {str(name) for name in members[v.CATEGORY].values[members.values >= LEAST]}


def _first_of_each(
    score: NDArray[np.float64], concept: NDArray[np.str_], enough: Iterable[str]
) -> NDArray[np.intp]:
    """Best mode of each class, the best of all first; then the second of each, and so on."""
    usable = np.isfinite(score) & np.isin(concept, [*enough])
    order = np.argsort(-np.where(usable, score, -np.inf), kind="stable")[: int(usable.sum())]
    seen: dict[str, int] = {}
    turn = []
    for name in concept[order].tolist():
        turn.append(seen.get(name, 0))
        seen[name] = turn[-1] + 1
    return np.asarray(order[np.argsort(turn, kind="stable")])


def _examples(study: ImageStudy, layer: str, modes: SparseModes, order: Order) -> Examples:
    """Choose modes that are active on enough images that they were not fitted to."""
    # The modes that come first, without near-copies; of each the held-out images with the largest
    # loadings.
    held = np.flatnonzero(study.halves.held)
    loadings = modes.transform(study.halves.judged(study.rows(layer, v.CONTRIBUTION))).values
    active = (loadings > 0).sum(axis=0)
    usable = np.flatnonzero(active[order.modes] >= LEAST)
    taken = usable[distinct(modes.dictionary.values, order.modes[usable], SHOWN_MODES)]
    if not len(taken):
        raise InputError(
            came=f"no mode that is active on {LEAST} images that it was not fitted to",
            expected="modes that are active",
        )
    chosen = order.modes[taken]
    count = min(SHOWN_IMAGES, int(active[chosen].max()))
    best = np.argsort(-loadings[:, chosen], axis=0, kind="stable")[:count].T
    names = {v.MODE: modes.dictionary[v.MODE].values[chosen]}
    if np.isfinite(order.correlation).any():
        names |= {v.CONCEPT: order.concept[taken], "correlation": order.correlation[taken]}
    size = modes.dictionary.sizes[v.CHANNEL]
    loading = np.take_along_axis(loadings[:, chosen].T, best, axis=1)
    return Examples(layer, names, held[best], loading, top_channels(size))


def _facts(
    study: ImageStudy, modes: SparseModes, examples: Examples, shown: Shown
) -> dict[str, Any]:
    return study.facts(
        what="maps",
        layer=examples.layer,
        modes=labels.fingerprint(modes.dictionary),
        names=examples.modes,
        places=examples.places,
        top=examples.top,
        channels=SHOWN_CHANNELS,
        target=shown.target,
        method=shown.method,
    )


def _map(study: ImageStudy, modes: SparseModes, examples: Examples, wanted: Shown) -> xr.DataTree:
    """Maps of every mode for its images, and of the first mode's channels for its first image."""
    chosen = modes.dictionary.sel({v.MODE: examples.modes[v.MODE]})
    layer, top, shown = examples.layer, examples.top, []
    first = study.images.isel({v.STIMULUS: examples.places[0, :1]}).load()
    alone = largest(chosen.values[0], min(SHOWN_CHANNELS, top))
    net, size = study.net.on(study.computing.get("device")), study.computing.get("batch_size")
    samples, making = Samples.of(net, first), Making(wanted.method)
    with map_maker(net, samples, layer, wanted.target, making, batch_size=size) as maker:
        for row, places in enumerate(examples.places):
            images = study.images.isel({v.STIMULUS: places}).load()
            asked = Asked(layer, modes=chosen.isel({v.MODE: [row]}), top=top)
            one = maker.maps(images, asked, wanted.target)
            shown.append(_with_pictures(study, one.isel({v.MODE: 0}, drop=True), images))
        single = maker.maps(first, Asked(layer, channels=alone), wanted.target)
    each = _ranked(shown, examples)
    single = _with_pictures(study, single, first).assign_coords(mode=examples.modes[v.MODE][0])
    tree = xr.DataTree.from_dict({f"/{EACH_MODE}": each, f"/{EACH_CHANNEL}": single})
    facts = labels.provenance(one)
    return labels.stamp(tree, "nc.analyse_images", maps=facts, top=examples.top)


def _with_pictures(study: ImageStudy, maps: xr.Dataset, images: xr.DataArray) -> xr.Dataset:
    return maps.assign(picture=pictures(images, study.net.preprocessing).variable)


def _ranked(shown: Sequence[xr.Dataset], examples: Examples) -> xr.Dataset:
    """Put the modes below each other: what is known of an image becomes (mode, rank)."""
    rows, of_image = [], [k for k, c in shown[0].coords.items() if c.dims == (v.STIMULUS,)]
    for one, loading in zip(shown, examples.loading, strict=True):
        known = one.assign(loading=labels.labelled(loading, (v.STIMULUS,), name="loading"))
        indexed = [name for name in of_image if name in known.xindexes]
        row = known.drop_indexes(indexed).rename_dims({v.STIMULUS: v.RANK})
        there = xr.DataArray(loading > 0, dims=v.RANK)
        told = {name: row[name].where(there, _nothing(row[name])) for name in of_image}
        rows.append(row.where(there).assign_coords(told))
    stacked = xr.concat(
        rows,
        v.MODE,
        data_vars="all",
        coords=of_image,
        compat="override",
        join="exact",
        combine_attrs="override",
    )
    along = {k: x if k == v.MODE else (v.MODE, x) for k, x in examples.modes.items()}
    return stacked.assign_coords({**along, v.RANK: np.arange(examples.loading.shape[1])})


def _nothing(known: xr.DataArray) -> Any:
    """What stands where a mode has no image: no text, no number."""
    return {"U": "", "i": -1}.get(known.dtype.kind, np.nan)
