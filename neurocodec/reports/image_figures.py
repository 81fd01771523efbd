"""The figures of the report about a network that sees images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import EACH_CHANNEL, EACH_MODE, ImageAnalysis
from neurocodec.plotting.perturbation import group_of


def image_figures(analysis: ImageAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """Draw everything that the report shows: name, figure and description of each."""
    note = f"{analysis.model}, {analysis.tree.sizes[v.STIMULUS]} images"
    if analysis.statistics is not None:
        found = {name: node.to_dataset() for name, node in analysis.statistics.children.items()}
        panels = plotting.plot_layer_statistics(
            found["hoyer"],
            found["sign_correlation"],
            found["dimensionality"],
            tree=analysis.tree,
            note=note,
        )
        yield "layers", panels, "sparsity, signs and dimensionality of every layer"
    held = f"{analysis.model}, {int(analysis.held.sum())} held-out images"
    if analysis.concepts is not None:
        scores = plotting.plot_concept_scores(analysis.concepts, note=held)
        yield "concepts", scores, "correlation of modes and channels with classes"
    for place, layer in enumerate(analysis.maps):
        yield from _maps(layer, analysis.maps[layer], alone=place == 0, note=held)
    for layer, made in analysis.pictures.items():
        title = f"synthetic pictures of modes of {layer}"
        yield f"pictures-{layer}", plotting.plot_pictures(made, title=title), title
    for curves in (analysis.perturbation, analysis.superclasses):
        if curves:
            yield from _perturbation(curves, note=held)


def _maps(
    layer: str, tree: xr.DataTree, *, alone: bool, note: str
) -> Iterator[tuple[str, Figure, str]]:
    """Modes and the images that they are most active on; of one layer also single channels."""
    each, single = (_excitatory(tree[node].to_dataset()) for node in (EACH_MODE, EACH_CHANNEL))
    said = f"{note}; images: {each['picture'].attrs['comment']}."
    shown = plotting.plot_mode_images(
        each, each["picture"], names=_mode_names(each), title=f"modes of {layer}", note=said
    )
    yield f"maps-{layer}", shown, f"images that modes of {layer} are most active on, and where"
    if alone:
        mode = single[v.MODE].item()
        one = single.isel({v.STIMULUS: 0}).drop_vars(v.MODE)
        channels = plotting.plot_maps(
            one,
            one["picture"],
            columns=v.CHANNEL,
            title=f"single channels of mode {mode} of {layer}",
            note=said,
        )
        yield f"map-channels-{layer}", channels, f"maps of single channels of mode {mode}"


def _excitatory(maps: xr.Dataset) -> xr.Dataset:
    """Excitatory positions, of which modes are made."""
    return maps.sel({v.SIGN: v.EXCITATORY}, drop=True)


def _mode_names(each: xr.Dataset) -> list[str]:
    names = [f"mode {mode}" for mode in each[v.MODE].values.tolist()]
    if v.CONCEPT not in each.coords:
        return names
    told = zip(names, each[v.CONCEPT].values, each["correlation"].values, strict=True)
    return [f"{name}\n{concept}\nr = {r:.2f}" for name, concept, r in told]


def _perturbation(curves: Mapping[str, xr.Dataset], note: str) -> Iterator[tuple[str, Figure, str]]:
    layer = clearest(curves)
    curve = curves[layer]
    group = group_of(curve)
    areas = plotting.plot_perturbation_areas(curves, note=f", {note}")
    yield f"areas-{group}", areas, "area between the curves of every layer, by ranking"
    mean = plotting.plot_perturbation(curve, note=f", {layer}")
    yield f"perturbation-{group}", mean, f"accuracy with channels of {layer} perturbed"
    one = plotting.plot_class_perturbation(
        curve, typical(curve), scores=curve["channel_score"], note=f", {layer}"
    )
    yield f"example-{group}", one, f"one {group} with channels of {layer} perturbed"


def clearest(curves: Mapping[str, xr.Dataset]) -> str:
    """Layer at which ablation by the first ranking tells its class from others best."""
    areas = [float(curve["area"].isel({v.RANKING: 0, v.KIND: 0})) for curve in curves.values()]
    return (
        list(curves)[int(np.nanargmax(areas))] if np.isfinite(areas).any() else next(iter(curves))
    )


def typical(curve: xr.Dataset) -> str:
    """Class whose area is the median one, so that an example is no exception."""
    area = curve["category_area"].isel({v.RANKING: 0, v.KIND: 0})
    order = np.argsort(area.values)[: max(1, int(np.isfinite(area.values).sum()))]  # NaN is last
    return str(area[group_of(curve)].values[order[(len(order) - 1) // 2]])
