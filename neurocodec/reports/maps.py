"""What both reports say about maps in the pixels of images and movies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import EACH_CHANNEL, EACH_MODE, ImageAnalysis
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.maps.examples import largest
from neurocodec.plotting.fields import signs_said
from neurocodec.reports.page import Drawing, Part, table

_CLASSES: Final = ("class it follows best", "shown images of that class")
_NO_CLASS: Final = "-"
_STEPWISE: Final = ("ActGrad", "IntegratedGradients")
"""Whose maps are sums over steps of a path; those of InputGrad add up but for rounding."""
_FROM_BASELINE: Final = "ActGrad"
_ROUNDING: Final = 1e-4
"""Part of a contribution that is not worth telling."""


def image_maps_part(analysis: ImageAnalysis, drawn: Mapping[str, Drawing]) -> Part | None:
    """Section about maps of images: intro, texts, tables and notes; None without maps."""
    if not analysis.maps:
        return None
    trees = analysis.maps.values()
    nodes = [node.to_dataset() for tree in trees for node in tree.children.values()]
    made = labels.provenance(next(iter(trees)))["maps"]
    title = "The modes shown, and the channels that stand for each, the largest weight first."
    columns = ["mode", *_CLASSES, "channels"]
    rows = [row for layer in analysis.maps for row in _rows(analysis, layer)]
    if all(row[2] == _NO_CLASS for row in rows):
        columns, rows = ["mode", "channels"], [[*row[:2], row[-1]] for row in rows]
    return {
        "intro": _choice(analysis),
        "texts": [text for text in _captions(analysis) if text[0] in drawn],
        "tables": [table(title, columns, rows, text=True)],
        "notes": [_completeness(nodes, made, _method(analysis.tree))],
    }


def _choice(analysis: ImageAnalysis) -> str:
    """Which layers, modes and images are shown."""
    layers = " and ".join(analysis.maps)
    classes = [v.CONCEPT in tree[EACH_MODE].coords for tree in analysis.maps.values()]
    best = "those that follow a class best, of different classes as far as there are any"
    most = "those that explain most variance"
    which = best if all(classes) else f"{best}, or {most}" if any(classes) else most
    return (
        f"Shown are modes of {layers}: {which}; on the images with their largest loadings, none "
        "of which the modes were fitted to."
    )


def _captions(analysis: ImageAnalysis) -> Iterator[tuple[str, str]]:
    for layer, tree in analysis.maps.items():
        each, single = tree[EACH_MODE], tree[EACH_CHANNEL]
        top, count = labels.provenance(tree)["top"], each.sizes[v.RANK]
        channels = "channel" if top == 1 else f"{top} channels"
        best = (
            f"{layer}. One mode in each row, and the {count} held-out images with its largest "
            "loadings, or fewer if it is active on fewer; beside each image the part of it that "
            f"acts through the {channels} of largest weight of the mode, at their excitatory "
            "positions, which modes are made of; dark where nothing does."
        )
        yield f"maps-{layer}", best
        alone = (
            f"{layer}, the first image of mode {single[v.MODE].item()}: what acts through single "
            "channels of the mode at excitatory positions, red where it raises the target "
            "and blue where it lowers it."
        )
        yield f"map-channels-{layer}", alone
        looked_for = (
            f"{layer}, synthetic: no photographs, but what the channels of each mode, weighted as "
            "in it, answer most to, made by ascent; white where nothing depends on it. Above each "
            "the mode, and its answer in standard deviations above the mean over the images."
        )
        yield f"pictures-{layer}", looked_for


def _rows(analysis: ImageAnalysis, layer: str) -> Iterator[list[str]]:
    tree = analysis.maps[layer]
    each, top = tree[EACH_MODE].to_dataset(), labels.provenance(tree)["top"]
    dictionary = analysis.modes[v.CONTRIBUTION][layer].dictionary
    for mode in each[v.MODE].values.tolist():
        one = each.sel({v.MODE: mode})
        yield [
            layer,
            str(mode),
            *_class_of(analysis, layer, one),
            _channels(dictionary.sel({v.MODE: mode}), top),
        ]


def _channels(row: xr.DataArray, top: int) -> str:
    """Names of the channels of largest weight."""
    order = largest(row.values, top)
    names = row[v.CHANNEL].values if v.CHANNEL in row.coords else np.arange(row.size)
    return ", ".join(map(str, names[order]))


def class_text(name: str, r: float, one: xr.Dataset) -> str:
    """Class of a mode with its correlation, how many images it has, and what chance reaches."""
    told = f"{name} {r:.2f}"
    if "n_images" not in one:  # of an older run
        return told
    return f"{told} ({int(one['n_images'])} images, chance {float(one['chance_correlation']):.2f})"


def _class_of(analysis: ImageAnalysis, layer: str, one: xr.Dataset) -> tuple[str, str]:
    """Class that a mode follows best, with the correlation, and how many of its images have it."""
    if v.CONCEPT not in one.coords:
        return _NO_CLASS, _NO_CLASS
    name = str(one[v.CONCEPT].item())
    found = labels.class_names(one[v.LABEL])[one["loading"].values > 0]
    share = f"{int((found == name).sum())} of {len(found)}"
    r = float(one["correlation"])
    if analysis.concepts is None or layer not in analysis.concepts.children:
        return f"{name} {r:.2f}", share
    table = analysis.concepts[layer]["contribution_mode"].to_dataset()
    return class_text(name, r, table.sel({v.MODE: one[v.MODE].item()}).isel({v.RANK: 0})), share


def retina_maps_part(analysis: RetinaAnalysis, drawn: Mapping[str, Drawing]) -> Part | None:
    """Section about maps of a movie: texts, rows and completeness; None without maps."""
    if analysis.maps is None:
        return None
    texts, rows = [], []
    for layer, node in analysis.maps.children.items():
        maps = node.to_dataset()
        top = labels.provenance(maps)["top"]
        if f"maps-{layer}" in drawn:
            texts.append((f"maps-{layer}", _movie_caption(layer, maps)))
        dictionary = analysis.modes[layer].dictionary
        names = maps[v.MODE].values.tolist()
        rows += [[layer, str(m), _channels(dictionary.sel({v.MODE: m}), top)] for m in names]
    nodes = [node.to_dataset() for node in analysis.maps.children.values()]
    told = _completeness(nodes, labels.provenance(nodes[0]), _method(analysis.tree))
    return {"texts": texts, "rows": rows, "completeness": told}


def _movie_caption(layer: str, maps: xr.Dataset) -> str:
    lag = -1000 * float(maps[v.LAG].values[0])
    raised, lowered = signs_said(colors=v.COLOR in maps[v.CONTRIBUTION_MAP].dims)
    return (
        f"{layer}. Columns, {maps.sizes[v.MODE]} of the most used modes; rows, the time at which "
        "the first of them is at its strongest, then that of the second, and so on, each at least "
        f"half a second from the others. Shown is what of the last {lag:.0f} ms of the movie acts "
        f"on the target through the channels of the mode at excitatory positions, {raised} where "
        f"it raises the target and {lowered} where it lowers it."
    )


def _method(tree: xr.DataTree) -> Mapping[str, Any]:
    """Of the contributions."""
    found: Mapping[str, Any] = labels.provenance(tree)["method"]
    return found


def _completeness(
    found: Iterable[xr.Dataset], made: Mapping[str, Any], method: Mapping[str, Any]
) -> str:
    """How far the maps add up, and to what."""
    kind = made["method"]["kind"]
    told = [_missed(np.concatenate([_errors(maps) for maps in found]))]
    if kind != method["kind"]:
        told.append(
            f"Contributions by {method['kind']} are no sums over pixels; maps are {kind}'s."
        )
    if kind == _FROM_BASELINE:
        told.append("Contributions of maps start at the activation at zero input, not at 0.")
    if kind in _STEPWISE:
        told.append("More steps make the difference smaller.")
    return " ".join(told)


def _missed(errors: NDArray[np.float64]) -> str:
    """Half of the maps, and the worst."""
    if errors.max(initial=0.0) < _ROUNDING:
        return "Summed over its pixels, every map is the contribution of its channels."
    median, worst = (f"{100 * x:.2g} %" for x in (np.median(errors), errors.max()))
    return (
        "Summed over its pixels, a map should be the contribution of its channels: half of the "
        f"maps miss it by less than {median}, the worst by {worst}."
    )


def _errors(maps: xr.Dataset) -> NDArray[np.float64]:
    """Completeness errors of the maps that are shown, relative to the contributions."""
    shown = maps[[v.CONTRIBUTION, v.MAP_ERROR]].sel({v.SIGN: v.EXCITATORY})
    size = abs(shown[v.CONTRIBUTION])
    errors = (abs(shown[v.MAP_ERROR]) / size.where(size > 0)).values.ravel()
    return np.asarray(errors[np.isfinite(errors)])
