"""One self-contained page about an analysis: what was run, what was found, how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from markupsafe import Markup

from neurocodec import labels, plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.findings import (
    CELLS,
    COMBINATIONS,
    CONTRIBUTIONS,
    FIELDS,
    INTERNEURONS,
    MAPS,
    RESPONSES,
    SHAPES,
    RetinaAnalysis,
)
from neurocodec.plotting.fields import is_light
from neurocodec.reports.description import target_name
from neurocodec.reports.explorer import explorer_data, render_explorer
from neurocodec.reports.maps import retina_maps_part
from neurocodec.reports.page import (
    Drawing,
    completeness_rows,
    filled,
    mode_row,
    run_facts,
    write_page,
)
from neurocodec.reports.retina_figures import figures

MARGIN: Final = 0.5
"""Seconds before the first and after the last field that the explorer shows."""
CHANCE: Final = 0.05
"""p-value below which something is told from chance."""


def write_report(
    analysis: RetinaAnalysis, folder: str | Path, *, settings: dict[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file."""
    return write_page(
        folder, figures(analysis), lambda drawn: render(analysis, drawn, settings or {})
    )


def render(
    analysis: RetinaAnalysis, drawn: Mapping[str, Drawing], settings: Mapping[str, Any]
) -> str:
    """Fill the template; `settings` are further lines for the table of what was run."""
    excerpt = plotting.excerpt(analysis.tree.data_vars[v.TARGET])
    light = is_light(analysis.stimulus)
    return filled(
        "report.html.j2",
        analysis=analysis,
        figures=drawn,
        layers=analysis.layers,
        target=target_name(analysis.target),
        units=analysis.tree.data_vars[v.TARGET].attrs.get("units", ""),
        excerpt=f"{excerpt.start:.1f} to {excerpt.stop:.1f} s",
        whole=excerpt.stop - excerpt.start >= _seconds(analysis) - 0.1,
        facts=[*_facts(analysis), *settings.items()],
        versions=labels.versions(),
        match=_match(analysis),
        completeness=_completeness(analysis),
        modes=[mode_row(k, analysis.modes[k]) for k in analysis.layers],
        clusters={k: int(c["n_clusters"]) for k, c in analysis.clusters.items()},
        light=light,
        maps=None if light else retina_maps_part(analysis, drawn),
        agreement=analysis.agreement,
        explorer=_explorer(analysis),
        variance=_variance(analysis),
        interneurons=_interneurons(analysis),
        alone=[] if analysis.dynamics is None else _with_examples(analysis.dynamics.alone),
        ceiling=analysis.interneurons is not None and "ceiling" in analysis.interneurons,
        history=_history(analysis),
        files=_files(analysis),
    )


def _seconds(analysis: RetinaAnalysis) -> float:
    times = analysis.rates[v.TIME].values
    return float(times[-1] - times[0])


def _facts(analysis: RetinaAnalysis) -> list[tuple[str, str]]:
    """What was run: the lines of the first table."""
    modules = labels.provenance(analysis.tree)["layers"]
    frames, height, width = (analysis.stimulus.sizes[d] for d in (v.TIME, v.Y, v.X))
    config = analysis.modes[analysis.layers[0]].config
    title = analysis.stimulus.attrs.get("comment") or analysis.stimulus.attrs.get("long_name", "")
    return [
        *run_facts(
            analysis,
            "model",
            layers=(f"{k} ({modules[k]['module']})" for k in analysis.layers),
            data=("movie", f"{frames} frames of {height} x {width} pixels; {title}"),
            fingerprint="movie (SHA-256)",
            target=target_name(analysis.target),
        ),
        ("modes", f"expansion {config.expansion:g}, threshold {config.threshold:g}"),
        ("seed", str(config.seed)),
    ]


def _match(analysis: RetinaAnalysis) -> dict[str, float] | None:
    """Correlation of the model's rates with the recorded ones, over cells."""
    responses = analysis.responses()
    if "correlation" not in responses:
        return None
    values = responses["correlation"].values
    if np.isnan(values).all():
        return None
    return {
        "median": np.nanmedian(values),
        "worst": np.nanmin(values),
        "best": np.nanmax(values),
        "count": int(np.isfinite(values).sum()),
        "all": len(values),
    }


def _completeness(analysis: RetinaAnalysis) -> list[dict[str, Any]]:
    """Completeness of every layer: relative error, and the largest error in the target's units."""
    rows = completeness_rows(analysis)
    nodes = [analysis.tree.children[row["layer"]] for row in rows]
    errors = [node.data_vars[v.COMPLETENESS_ERROR].values for node in nodes]
    return [
        {**row, "absolute": float(np.abs(error).max())}
        for row, error in zip(rows, errors, strict=True)
    ]


def _explorer(analysis: RetinaAnalysis) -> Markup | None:
    """The part of the page in which a reader picks a cell and a time."""
    found = analysis.dynamics
    if found is None or is_light(analysis.stimulus):
        return None
    times = found.fields[v.TIME].values
    shown = slice(times[0] - MARGIN, times[-1] + MARGIN)
    rates = analysis.rates.sel({v.TIME: shown})
    recorded = None if analysis.recorded is None else analysis.recorded.sel({v.TIME: shown})
    data = explorer_data(
        found.fields,
        rates,
        {k: m.loadings.sel({v.TIME: shown}) for k, m in analysis.modes.items()},
        {k: m.dictionary for k, m in analysis.modes.items()},
        stimulus=analysis.stimulus,
        recorded=recorded,
        recorded_name="simulated rate" if "movie" in analysis.simulated else "recorded rate",
        note=" and ".join(f"simulated {part}" for part in analysis.simulated),
    )
    return Markup(render_explorer(data))  # noqa: S704 - it escapes what it is made from


def _with_examples(found: Mapping[str, xr.Dataset]) -> list[str]:
    """Layers of which there are examples."""
    return [layer for layer, examples in found.items() if examples.sizes["example"]]


def _history(analysis: RetinaAnalysis) -> float:
    """Seconds that a field looks back."""
    found = analysis.dynamics
    return 0.0 if found is None else -float(found.fields[v.LAG].values[0])


def _variance(analysis: RetinaAnalysis) -> list[dict[str, Any]]:
    """How much of the change of the fields the modes of each layer explain, over cells."""
    found = {} if analysis.dynamics is None else analysis.dynamics.variance
    return [
        {
            "layer": layer,
            "explained": _rounded(result["explained"].median()),
            "best": _rounded(result["explained"].max()),
            "shuffled": _rounded(result["shuffled"].median()),
            "cells": int((result["p_value"] < CHANCE).sum()),
            "all": result.sizes[v.CELL],
        }
        for layer, result in found.items()
    ]


def _rounded(share: Any) -> float:
    """To what is shown, so that a little below zero is 0.00 and not -0.00."""
    return round(float(share), 2) + 0.0


def _interneurons(analysis: RetinaAnalysis) -> dict[str, Any] | None:
    if analysis.interneurons is None:
        return None
    found = analysis.interneurons.to_dataset()
    values = found["correlation"].values
    return {
        "count": len(values),
        "median": float(np.median(values)),
        "worst": float(values.min()),
        "best": float(values.max()),
        "optimism": float(np.median(found["correlation_selected"].values - values)),
        "above": int((found["p_value"] < CHANCE).sum()),
        "kind": "simulated" if found.attrs.get("simulated") else "recorded",
    }


def _files(analysis: RetinaAnalysis) -> Sequence[tuple[str, str, str]]:
    """File, what is in it, and how to open it."""
    first = analysis.layers[0]
    modes = [
        (
            f"modes-{layer}.nc",
            f"modes of {layer}: dictionary, loadings, history",
            f'modes = nc.open("modes-{layer}.nc"); modes.dictionary',
        )
        for layer in analysis.layers
    ]
    return [
        (
            CONTRIBUTIONS,
            "contributions of every channel at every time, activations, completeness errors",
            f'tree = nc.open("{CONTRIBUTIONS}"); tree["{first}/contribution"]',
        ),
        (
            RESPONSES,
            "firing rates of the model, and recorded ones where there are any",
            f'nc.open("{RESPONSES}").firing_rate',
        ),
        *modes,
        (
            CELLS,
            "correlations of cells and modes, clusters, silhouettes, agreement",
            f'cells = nc.open("{CELLS}"); cells["{first}/correlation"]',
        ),
        *_further_files(analysis),
    ]


def _further_files(analysis: RetinaAnalysis) -> Sequence[tuple[str, str, str]]:
    first = analysis.layers[0]
    files = [
        (
            MAPS,
            "maps of some modes of each layer in the pixels of the movie",
            f'nc.open("{MAPS}")["{first}/contribution_map"]',
        ),
        (
            FIELDS,
            "receptive fields of all cells at chosen times, as a map and a time course each",
            f'fields = nc.open("{FIELDS}"); fields.spatial, fields.temporal',
        ),
        (
            SHAPES,
            "centre, size, polarity and more of each of these fields",
            f'nc.open("{SHAPES}").polarity',
        ),
        (
            COMBINATIONS,
            "which modes are active together, examples, and how much of the fields they explain",
            f'nc.open("{COMBINATIONS}")["{first}/combinations"]',
        ),
        (
            INTERNEURONS,
            "correlation of each interneuron with units and modes",
            f'nc.open("{INTERNEURONS}").correlation',
        ),
    ]
    return [row for row in files if row[0] in analysis.files]
