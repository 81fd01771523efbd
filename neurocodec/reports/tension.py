"""One self-contained page about tense images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neurocodec import labels, plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.tension import LINE, PAPER, PICTURE_X, PICTURE_Y, TensionAnalysis
from neurocodec.reports.description import method_name
from neurocodec.reports.page import Drawing, filled, write_page

RINGED = ("tension", "paper", "exciting", "inhibiting")
"""Rules whose images are ringed."""


def write_tension_report(
    analysis: TensionAnalysis, folder: str | Path, *, settings: Mapping[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file."""
    return write_page(
        folder,
        tension_figures(analysis),
        lambda drawn: render_tension(analysis, drawn, settings or {}),
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
    curves = plotting.plot_attribution_correlation(analysis.correlation)
    yield "correlation", curves, "correlation of E+ - E- with the target, by layer and method"
    if analysis.uniqueness:
        shares = plotting.plot_uniqueness(analysis.uniqueness)
        yield "uniqueness", shares, "share of the images that channels do not have in common"


def render_tension(
    analysis: TensionAnalysis, drawn: Mapping[str, Drawing], settings: Mapping[str, Any]
) -> str:
    """Fill the template; `settings` are further lines for the table of what was run."""
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
        r=r,
    )
