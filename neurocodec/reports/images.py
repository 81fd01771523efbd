"""One self-contained page about the analysis of a network that sees images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import (
    CONCEPTS,
    KINDS,
    RESPONSES,
    STATISTICS,
    ImageAnalysis,
)
from neurocodec.categories.scores import SUMMARY
from neurocodec.nn.attribution.targets import Output, TopK
from neurocodec.plotting.perturbation import group_of
from neurocodec.reports.image_figures import clearest, image_figures, typical
from neurocodec.reports.maps import class_text, image_maps_part
from neurocodec.reports.page import (
    Drawing,
    Part,
    completeness_rows,
    filled,
    mode_row,
    run_facts,
    table,
    write_page,
)
from neurocodec.statistics.dimensions import CLASS_MEAN, SAMPLE

BEST: Final = 12
"""Modes in the table of those that go best with a class."""


def write_image_report(
    analysis: ImageAnalysis, folder: str | Path, *, settings: dict[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file."""
    return write_page(
        folder,
        image_figures(analysis),
        lambda drawn: render_images(analysis, drawn, settings or {}),
    )


def render_images(
    analysis: ImageAnalysis, drawn: Mapping[str, Drawing], settings: Mapping[str, Any]
) -> str:
    """Fill the template; `settings` are further lines for the table of what was run."""
    return filled(
        "images.html.j2",
        analysis=analysis,
        figures=drawn,
        count=f"{analysis.tree.sizes[v.STIMULUS]:,}",
        facts=[*_facts(analysis), *settings.items()],
        versions=labels.versions(),
        completeness=completeness_rows(analysis),
        statistics=_statistics(analysis),
        stepwise="steps" in labels.provenance(analysis.tree)["method"],
        modes=list(_modes(analysis)),
        again=list(_found_again(analysis)),
        concepts=_concepts(analysis),
        maps=image_maps_part(analysis, drawn),
        perturbation=_perturbation(analysis),
        files=list(_files(analysis)),
    )


def _facts(analysis: ImageAnalysis) -> list[tuple[str, str]]:
    """What was run: the lines of the first table."""
    lines = run_facts(
        analysis,
        "network",
        layers=analysis.layers,
        data=("images", f"{analysis.tree.sizes[v.STIMULUS]:,}"),
        fingerprint="images (SHA-256 of names, sizes and labels, or of pixels)",
        target=_target_name(analysis),
    )
    if analysis.accuracy is None:
        return lines
    share, count = analysis.accuracy
    return [*lines, ("accuracy", f"{100 * share:.1f} % of {count:,} labelled images")]


def _target_name(analysis: ImageAnalysis) -> str:
    target = analysis.target
    if isinstance(target, Output):
        return f"logit of {target.which}"
    if isinstance(target, TopK):
        one, many = {"logits": ("logit", "logits")}.get(target.of, ("probability", "probabilities"))
        name = f"largest {one}" if target.k == 1 else f"sum of the {target.k} largest {many}"
        return name + (", of the classes found at the image" if target.hold else "")
    return type(target).__name__.lower()


def _statistics(analysis: ImageAnalysis) -> Part | None:
    if analysis.statistics is None:
        return None
    hoyer, signs, dims = (
        analysis.statistics[name].to_dataset()
        for name in ("hoyer", "sign_correlation", "dimensionality")
    )
    points = CLASS_MEAN if CLASS_MEAN in dims[v.POINTS].values else SAMPLE
    rows: tuple[list[list[str]], ...] = ([], [])
    for layer in hoyer[v.LAYER].values.tolist():
        sparse, sign = (data.sel({v.LAYER: layer}) for data in (hoyer, signs))
        size = dims.sel({v.LAYER: layer, v.POINTS: points})
        sparse_of, size_of = ([x.sel({v.KIND: kind}) for kind in KINDS] for x in (sparse, size))
        told = [_with_ends(one, "hoyer") for one in sparse_of]
        told += [_with_ends(sparse, "difference"), _with_ends(sign, "sign_correlation")]
        rows[0].append([layer, *told])
        counts = [f"{float(one['components']):.0f}" for one in size_of]
        ratios = [f"{float(one['participation_ratio']):.1f}" for one in size_of]
        rows[1].append([layer, *counts, *ratios])
    of = "class means" if points == CLASS_MEAN else "images"
    columns = ["Hoyer, contributions", "Hoyer, activations", "difference", "signs"]
    sizes = ["components, contributions", "components, activations"]
    sizes += ["participation, contributions", "participation, activations"]
    text = (
        "Hoyer sparsity: 0 where all channels are equally active, 1 where a single one is. "
        "Signs: correlation of a channel's excitatory with its inhibitory part (sizes), over the "
        "channels of an image: 1 where the two always balance. Components: principal components "
        f"with 95 % of the variance of {of}. Below, the excitatory against the inhibitory part "
        "of the channels of some layers."
    )
    return {
        "texts": [("layers", text)],
        "tables": [
            table("Sparsity and signs; in brackets, 95 % intervals.", columns, rows[0]),
            table(f"Dimensionality of {of}.", sizes, rows[1]),
        ],
        "notes": list(_class_sizes(dims)),
    }


def _with_ends(data: xr.Dataset, name: str) -> str:
    """Value with its interval."""
    value = float(data[name])
    if not np.isfinite(value):
        return "-"
    low, high = data[f"{name}_interval"].values.tolist()
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _class_sizes(dims: xr.Dataset) -> Iterator[str]:
    if "images_per_class" not in dims:
        yield "Without two or more classes, the dimensionality is that of single images."
        return
    sizes = dims["images_per_class"].values
    span = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    few = " Means of few images hold the noise of single images: read them with care."
    yield f"{len(sizes)} classes with {span} images each." + (few if np.median(sizes) < 10 else "")


def _modes(analysis: ImageAnalysis) -> Iterator[Part]:
    for layer in analysis.layers:
        for kind in KINDS:
            modes = analysis.modes.get(kind, {}).get(layer)
            if modes is not None:
                yield {"kind": f"{kind}s", **mode_row(layer, modes)}


def _found_again(analysis: ImageAnalysis) -> Iterator[Part]:
    for layer, found in analysis.mode_stability.items():
        yield {
            "layer": layer,
            "seeds": int((found[v.KIND] == "seed").sum()),
            "modes": found.sizes[v.MODE],
            "above": int(found["above_chance"].sum()),
            "replicated": float(found["replicated_share"]),
            "chance": float(found["found_in_shuffled_share"]),
        }


def _concepts(analysis: ImageAnalysis) -> Part | None:
    if analysis.concepts is None:
        return None
    found = analysis.concepts[SUMMARY].to_dataset()
    kinds = found[v.KIND].values.tolist()
    names = [kind.replace("_", " ") + "s" for kind in kinds]
    by_layer = {
        str(x): [found.sel({v.LAYER: x, v.KIND: kind}) for kind in kinds]
        for x in found[v.LAYER].values
    }
    medians = [[x, *(_with_ends(one, "median") for one in row)] for x, row in by_layer.items()]
    above = [[x, *(_above(one) for one in row)] for x, row in by_layer.items()]
    text = (
        "Above, how the largest correlation with any class is spread over the modes and the "
        "channels of some layers; below, how many are above 0.2 and the median, by layer. Marks "
        "show what the largest of all reaches if the classes are shuffled."
    )
    return {
        "held_out": f"{int(analysis.held.sum()):,}",
        "texts": [("concepts", text)],
        "tables": [
            table("Median of the largest correlations [95 % interval]:", names, medians),
            table("Modes and channels whose largest correlation is above 0.2:", names, above),
            _best_modes(analysis.concepts),
        ],
        "notes": [],
    }


def _above(found: xr.Dataset) -> str:
    return f"{int(found['n_above'])} of {int(found['n_units'])}"


def _best_modes(concepts: xr.DataTree) -> Part:
    """The contribution modes that go best with a class, over all layers."""
    rows = []
    for layer, node in concepts.children.items():
        if layer == SUMMARY:
            continue
        found = node["contribution_mode"].to_dataset()
        for mode in found[v.MODE].values:
            one = found.sel({v.MODE: mode})
            ranked = (one.isel({v.RANK: i}) for i in range(one.sizes[v.RANK]))
            named = (
                (str(x["best_concept"].item()), float(x["best_correlation"]), x) for x in ranked
            )
            shown = [class_text(*each) for each in named if each[0] and each[1] > 0]
            rows.append((float(one["max_correlation"]), [layer, str(mode), ", ".join(shown)]))
    best = sorted((row for row in rows if np.isfinite(row[0])), key=lambda row: -row[0])[:BEST]
    return table(
        f"The {len(best)} contribution modes that follow a class best; in brackets the held-out "
        "images of the class, and the correlation that as many random images stay below 95 times "
        "of 100:",
        ["mode", "classes and correlations"],
        [row for _, row in best],
        text=True,
    )


def _perturbation(analysis: ImageAnalysis) -> Part | None:
    parts = [curves for curves in (analysis.perturbation, analysis.superclasses) if curves]
    if not parts:
        return None
    intro = (
        "Are the channels that a mode names necessary and sufficient? For each class, channels "
        "are ranked and the first of them are set to zero (ablation), or all others are "
        "(preservation). Rankings saw one half of the images, accuracy is measured on the other: "
        "on images of the class, and on as many of other classes."
    )
    return {
        "intro": intro,
        "texts": [text for curves in parts for text in _texts(curves)],
        "tables": [table for curves in parts for table in _areas(curves)],
        "notes": [],
    }


def _texts(curves: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, str]]:
    layer = clearest(curves)
    curve = curves[layer]
    group = group_of(curve)
    areas = (
        "The area between the curves of target and other classes, layer by layer: larger where "
        "the channels matter for their class and not for others; bands are 95 % intervals."
    )
    yield f"areas-{group}", areas
    mean = (
        f"{layer}, where ablation by contribution modes is clearest: accuracy relative to the "
        f"unperturbed network, mean over {curve.sizes[group]} classes; dotted, other classes."
    )
    yield f"perturbation-{group}", mean
    one = (
        f"{typical(curve)}, the class with the median area, in {layer}: the channels of its mode, "
        "and accuracy on its images and on others."
    )
    yield f"example-{group}", one


def _areas(curves: Mapping[str, xr.Dataset]) -> Iterator[Part]:
    first = next(iter(curves.values()))
    names = first[v.RANKING].values.tolist()
    for kind in first[v.KIND].values.tolist():
        rows = [
            [layer, *(_with_ends(curve.sel({v.KIND: kind, v.RANKING: x}), "area") for x in names)]
            for layer, curve in curves.items()
        ]
        verb = {"ablate": "Ablation", "preserve": "Preservation"}.get(kind, kind)
        of = {v.CATEGORY: "classes", v.CONCEPT: "superclasses"}[group_of(first)]
        what = f"{verb}, {of} ({first.sizes[group_of(first)]})"
        title = f"{what}: area between the curves, divided by the off-target area [95 % interval]."
        yield table(title, names, rows)


def _files(analysis: ImageAnalysis) -> Iterator[Sequence[str]]:
    """File, what is in it, and how to open it."""
    first = analysis.layers[0]
    known = {
        RESPONSES: "answers of the network (stimulus, category)",
        STATISTICS: "sparsity, signs and dimensionality by layer",
        CONCEPTS: "correlations of modes and channels with classes",
    }
    for name in analysis.files:
        if name.startswith("contributions"):
            about = "contributions and activations of every channel for every image"
            yield name, about, f'tree = nc.open("{name}", lazy=True); tree["{first}/contribution"]'
        elif name in known:
            yield name, known[name], f'nc.open("{name}")'
    layer = next(iter(analysis.modes.get(v.CONTRIBUTION, ())), None)
    if layer is not None:
        name = f"modes/contribution-{layer}.nc"
        yield "modes/", "modes of each layer", f'modes = nc.open("{name}"); modes.dictionary'
    for layer in analysis.maps:
        name = f"maps/{layer}.nc"
        yield name, f"maps of some modes of {layer}", f'nc.open("{name}")["modes/contribution_map"]'
    for layer in analysis.pictures:
        name = f"pictures/{layer}.nc"
        yield name, f"synthetic pictures of some modes of {layer}", f'nc.open("{name}").image'
    curves = analysis.perturbation or analysis.superclasses
    if curves:
        layer, curve = next(iter(curves.items()))
        yield (
            "perturbation/",
            "accuracy of each layer's perturbations",
            f'nc.open("perturbation/{group_of(curve)}-{layer}.nc").accuracy',
        )
