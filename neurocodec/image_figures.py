"""The figures of the report about a network that sees images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import plotting
from neurocodec.image_findings import ImageAnalysis


def image_figures(analysis: ImageAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """Draw everything that the report shows.

    Parameters
    ----------
    analysis
        As `nc.analyse_images` returns it.

    Yields
    ------
    tuple
        Name, figure and description of each.
    """
    note = f"{analysis.model}, {analysis.tree.sizes['stimulus']} images"
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
    for curves in (analysis.perturbation, analysis.superclasses):
        if curves:
            yield from _perturbation(curves, note=held)


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


def group_of(curve: xr.Dataset) -> str:
    """`category` or `concept`, whichever the curve is of.

    Parameters
    ----------
    curve
        As `nc.perturbation_curve` returns it.

    Examples
    --------
    >>> group_of(xr.Dataset({"n": ("concept", [1])}))
    'concept'
    """
    return "category" if "category" in curve.dims else "concept"


def clearest(curves: Mapping[str, xr.Dataset]) -> str:
    """Layer at which ablation by the first ranking tells its class from others best.

    Parameters
    ----------
    curves
        Layer -> as `nc.perturbation_curve` returns it.
    """
    areas = [float(curve["area"].isel(ranking=0, kind=0)) for curve in curves.values()]
    return (
        list(curves)[int(np.nanargmax(areas))] if np.isfinite(areas).any() else next(iter(curves))
    )


def typical(curve: xr.Dataset) -> str:
    """Class whose area is the median one, so that an example is no exception.

    Parameters
    ----------
    curve
        As `nc.perturbation_curve` returns it.
    """
    area = curve["category_area"].isel(ranking=0, kind=0)
    order = np.argsort(area.values)[: max(1, int(np.isfinite(area.values).sum()))]  # NaN is last
    return str(area[group_of(curve)].values[order[(len(order) - 1) // 2]])
