"""One self-contained page about tense images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import labels, plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.inversions import ACCENTUATION, IMAGES, INVERSION, VISUALISATION
from neurocodec.analyses.tension import LINE, PAPER, PICTURE_X, PICTURE_Y, TensionAnalysis
from neurocodec.reports.atlas import atlas_page
from neurocodec.reports.description import method_name
from neurocodec.reports.page import Drawing, filled, write_page

RINGED = ("tension", "paper", "exciting", "inhibiting")
"""Rules whose images are ringed."""


def write_tension_report(
    analysis: TensionAnalysis, folder: str | Path, *, settings: Mapping[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file."""
    atlas = _atlas(analysis, folder)
    return write_page(
        folder,
        tension_figures(analysis),
        lambda drawn: render_tension(analysis, drawn, settings or {}, atlas),
        others=True,
    )


def tension_figures(analysis: TensionAnalysis) -> Iterator[tuple[str, Figure, str]]:
    """Draw everything that the page shows: name, figure and description of each."""
    ringed = {rule: analysis.ranked[rule] for rule in RINGED}
    for feature in analysis.maps[v.FEATURE].values.tolist():
        title = f"channel {feature} of {analysis.read}"
        scatter = plotting.plot_tension(analysis.found, feature, ranked=ringed, title=title)
        yield f"scatter-{feature}", scatter, f"excitation against inhibition of {title}"
        own = analysis.maps.sel({v.FEATURE: feature}, drop=True).rename({v.RANK: v.STIMULUS})
        own = own.fillna(0.0)
        rows = own[v.RANKING].values.tolist()
        shown = own["picture"].rename({PICTURE_Y: v.Y, PICTURE_X: v.X})
        maps = plotting.plot_tension_maps(own, shown, title=title, rows=rows)
        yield f"images-{feature}", maps, f"images of {title} that each rule ranks first"
    for channel, tree in analysis.pictures.items():
        title = f"channel {channel} of {analysis.read}, by {analysis.layer}"
        drawn = _pictures(tree, title)
        yield f"pictures-{channel}", drawn, f"synthetic pictures of tense images of {title}"
    curves = plotting.plot_attribution_correlation(analysis.correlation)
    yield "correlation", curves, "correlation of E+ - E- with the target, by layer and method"
    if analysis.uniqueness:
        shares = plotting.plot_uniqueness(analysis.uniqueness)
        yield "uniqueness", shares, "share of the images that channels do not have in common"


def _pictures(tree: xr.DataTree, title: str) -> Figure:
    """Rows of tense images and their pictures; without any, what the channel looks for."""
    looked_for = tree[VISUALISATION].to_dataset()
    if IMAGES not in tree.children:
        return plotting.plot_pictures(looked_for, title=title)
    made, near = (tree[name].to_dataset() for name in (INVERSION, ACCENTUATION))
    shown = tree[IMAGES].to_dataset()["picture"]
    return plotting.plot_inversions(made, near, looked_for, shown, title=title)


def _atlas(analysis: TensionAnalysis, folder: str | Path) -> str:
    """Write the page of the atlas, where there is one; its name."""
    if analysis.atlas is None or analysis.atlas_images is None:
        return ""
    images = analysis.atlas_images.astype(np.float32) / 255
    title = f"Attribution atlas of channel {analysis.maps[v.FEATURE].values[0]} of {analysis.read}"
    title += f", by {analysis.layer} of {analysis.model}"
    return atlas_page(analysis.atlas, images, folder, title=title).name


def render_tension(
    analysis: TensionAnalysis,
    drawn: Mapping[str, Drawing],
    settings: Mapping[str, Any],
    atlas: str = "",
) -> str:
    """Fill the template; `settings` are further lines of what was run, `atlas` another page."""
    run = labels.provenance(analysis.found)
    change = analysis.found[v.EXCITATION] - analysis.found[v.INHIBITION]
    change = change - analysis.found[v.COMPLETENESS_ERROR]
    error = np.abs(np.asarray(analysis.found[v.COMPLETENESS_ERROR]))
    relative = error / np.maximum(np.abs(np.asarray(change)), np.finfo(float).tiny)
    facts = {
        "network": analysis.model,
        "weights (SHA-256)": run["weights_sha256"],
        "layer": analysis.layer,
        "channels of": f"{analysis.read}, before its last nonlinearity where it has one",
        "images": f"{analysis.found.sizes[v.STIMULUS]:,}",
        "method": method_name(run["method"]["parameters"]),
        **settings,
    }
    r = {
        name: float(analysis.correlation[name]["pearson"].sel({v.LAYER: analysis.layer}).median())
        for name in (LINE, PAPER)
    }
    return filled(
        "tension.html.j2",
        analysis=analysis,
        figures=drawn,
        facts=facts,
        versions=labels.versions(),
        features=analysis.maps[v.FEATURE].values.tolist(),
        error=float(np.median(relative)),
        pictures={c: IMAGES in tree.children for c, tree in analysis.pictures.items()},
        atlas=atlas,
        r=r,
    )
