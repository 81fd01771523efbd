"""One self-contained page about an analysis: what was run, what was found, how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from markupsafe import Markup

from neurocodec import labels, plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.analyse import REFERENCES
from neurocodec.analyses.retina.ensemble import SPREAD
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.cells.clustering import is_one_type, misplaced_cells
from neurocodec.cells.explained import EXPLAINED
from neurocodec.plotting.fields import is_light
from neurocodec.reports.description import files_of, target_name
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
from neurocodec.reports.retina.figures import figures
from neurocodec.reports.retina.tension import tension_part

MARGIN: Final = 0.5
"""Seconds before the first and after the last field that the explorer shows."""
NULLS: Final = {
    "shift": "recordings shifted in time",
    "permuted": "networks with permuted weights",
    "linear": "one linear filter of the stimulus",
}
"""Controls of `nc.compare_interneurons` in words."""
CHANCE: Final = 0.05
"""p-value below which something is told from chance."""


def write_report(
    analysis: RetinaAnalysis, folder: str | Path, *, settings: dict[str, Any] | None = None
) -> Path:
    """Write the figures and `report.html`, a page that needs no network and no other file."""
    return write_page(
        folder,
        figures(analysis),
        lambda drawn: render(analysis, drawn, settings or {}),
        others=True,
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
        scores=_scores(analysis),
        completeness=_completeness(analysis),
        stepwise="steps" in labels.provenance(analysis.tree)["method"],
        modes=[_modes(analysis, k) for k in analysis.layers],
        clusters={k: _clusters(analysis, k) for k in analysis.clusters},
        references=REFERENCES,
        light=light,
        colors=_color_names(analysis),
        maps=None if light else retina_maps_part(analysis, drawn),
        agreement=analysis.agreement,
        explorer=_explorer(analysis),
        variance=_variance(analysis),
        interneurons=_interneurons(analysis),
        tension=tension_part(analysis),
        alone=[] if analysis.dynamics is None else _with_examples(analysis.dynamics.alone),
        ceiling=analysis.interneurons is not None and "ceiling" in analysis.interneurons,
        history=_history(analysis),
        ensemble=_ensemble(analysis),
        files=files_of(analysis),
    )


def _seconds(analysis: RetinaAnalysis) -> float:
    times = analysis.rates[v.TIME].values
    return float(times[-1] - times[0])


def _color_names(analysis: RetinaAnalysis) -> list[str]:
    """Colours of the movie; none of one in grey."""
    movie = analysis.stimulus
    return [str(name) for name in movie[v.COLOR].values] if v.COLOR in movie.dims else []


def _facts(analysis: RetinaAnalysis) -> list[tuple[str, str]]:
    """What was run: the lines of the first table."""
    modules = labels.provenance(analysis.tree)["layers"]
    frames, height, width = (analysis.stimulus.sizes[d] for d in (v.TIME, v.Y, v.X))
    config = analysis.modes[analysis.layers[0]].config
    colors = _color_names(analysis)
    pixels = f"{height} x {width} pixels" + f" in {' and '.join(colors)}" * bool(colors)
    if is_light(analysis.stimulus):
        pixels = "light, the same at all places"
    title = analysis.stimulus.attrs.get("comment") or analysis.stimulus.attrs.get("long_name", "")
    return [
        *run_facts(
            analysis,
            "model",
            layers=(f"{k} ({modules[k]['module']})" for k in analysis.layers),
            data=("movie", f"{frames} frames of {pixels}" + f"; {title}" * bool(title)),
            fingerprint="movie (SHA-256)",
            target=target_name(analysis.target),
        ),
        ("history", _window(analysis)),
        ("modes", f"expansion {_expansion(analysis)}, threshold {config.threshold:g}"),
        ("seed", str(config.seed)),
    ]


def _expansion(analysis: RetinaAnalysis) -> str:
    """Modes per channel, as asked for; where the data decided, the number of each layer."""
    asked = analysis.modes[analysis.layers[0]].config.expansion
    if not isinstance(asked, str):
        return f"{asked:g}"
    counts = (f"{len(analysis.modes[k].dictionary)} modes of {k}" for k in analysis.layers)
    return f"{asked} ({', '.join(counts)})"


def _window(analysis: RetinaAnalysis) -> str:
    """Frames that the model looks back, and how long that is."""
    frames = labels.provenance(analysis.tree)["history"]
    times = analysis.rates[v.TIME].values
    if len(times) < 2:
        return f"{frames} frames"
    step = float(np.median(np.diff(times)))
    return f"{frames} frames ({frames * step:.2g} s at {1 / step:.3g} frames per second)"


def _match(analysis: RetinaAnalysis) -> dict[str, Any] | None:
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
        **_ceiling(responses),
        "explained": _explained(responses, ""),
    }


def _ceiling(responses: xr.Dataset) -> dict[str, Any]:
    """Ceiling of the median cell with its interval, and cells without any."""
    if "ceiling" not in responses:
        return {"ceiling": None}
    low, high = responses["ceiling_interval"].transpose(v.BOUND, v.CELL).values
    found = np.where(low > 0, responses["ceiling"].values, np.nan)
    none = [str(name) for name in responses[v.CELL].values[~(low > 0)]]
    if np.isnan(found).all():
        return {"ceiling": np.nan, "noise": none}
    middle = np.flatnonzero(found == np.nanquantile(found, 0.5, method="lower"))[0]
    ends = {"low": low[middle], "high": high[middle]}
    return {"ceiling": found[middle], **ends, "noise": none}


def _scores(analysis: RetinaAnalysis) -> dict[str, Any] | None:
    """Medians over cells of what the fit reached on held-out responses, beside the LN model."""
    scores = analysis.scores
    if scores is None:
        return None
    spiking = "correlation_glm" in scores
    names = ("correlation", "correlation_ln", "ceiling", *["correlation_glm"] * spiking)
    found = {name: scores[name].values for name in names}
    medians = {k: np.nanmedian(x) if np.isfinite(x).any() else np.nan for k, x in found.items()}
    better = int((found["correlation"] > found["correlation_ln"]).sum())
    said = str(scores.attrs.get("responses", ""))
    told = {"better": better, "all": scores.sizes[v.CELL], "said": said}
    return {**medians, **told, "explained": _explained(scores, "", "_ln", *["_glm"] * spiking)}


def _explained(found: xr.Dataset, *endings: str) -> dict[str, list[str]]:
    """Median cell, with its interval, by what is explained: of the model, of those beside it."""
    if any(f"{name}{ending}" not in found for name in EXPLAINED for ending in endings):
        return {}
    return {name: [_median_cell(found, f"{name}{e}") for e in endings] for name in EXPLAINED}


def _median_cell(found: xr.Dataset, name: str) -> str:
    """Value and interval of the median cell, among those whose repeats share something."""
    values = found[name].values
    if name.startswith(EXPLAINED[0]) and "ceiling_interval" in found:
        above = found["ceiling_interval"].sel({v.BOUND: v.BOUNDS[0]}).values > 0
        values = np.where(above, values, np.nan)
    if np.isnan(values).all():
        return ""
    at = np.flatnonzero(values == np.nanquantile(values, 0.5, method="lower"))[0]
    low, high = found[f"{name}_interval"].transpose(v.BOUND, v.CELL).values[:, at]
    unsure = ", not told from 0" if low <= 0 <= high else ""
    ends = "" if np.isnan(low) else f" (95 %: {low:.2f} to {high:.2f}{unsure})"
    return f"{values[at]:.2f}{ends}"


def _completeness(analysis: RetinaAnalysis) -> list[dict[str, Any]]:
    """Completeness of every layer: relative error, and the largest error in the target's units."""
    rows = completeness_rows(analysis)
    nodes = [analysis.tree.children[row["layer"]] for row in rows]
    errors = [node.data_vars[v.COMPLETENESS_ERROR].values for node in nodes]
    return [
        {**row, "absolute": float(np.abs(error).max())}
        for row, error in zip(rows, errors, strict=True)
    ]


def _modes(analysis: RetinaAnalysis, layer: str) -> dict[str, Any]:
    """How many modes there are beside how many channels, and how many are above chance."""
    modes, again = analysis.modes[layer], analysis.mode_stability.get(layer)
    row = mode_row(layer, modes)
    shares = modes.summary["distinct_share"]
    channels = modes.dictionary.sizes[v.CHANNEL]
    above = None if again is None else int(again["above_chance"].sum())
    return {
        **row,
        "channels": channels,
        "distinct": round(float(shares) * row["alive"]),
        "above": above,
        "of": 0 if again is None else again.sizes[v.MODE],
        "few": row["l0"] <= channels / 2,
    }


def _clusters(analysis: RetinaAnalysis, layer: str) -> dict[str, Any]:
    """What can be said of the clusters by one layer."""
    found = analysis.clusters[layer]
    wrong = misplaced_cells(found)
    names = wrong[v.CELL].values if v.CELL in wrong.coords else np.arange(len(wrong))
    stable = analysis.stability.get(layer)
    return {
        "count": int(found["n_clusters"]),
        "p": f"{float(found['p_value']):.2g}" if "p_value" in found else None,
        "one": is_one_type(found),
        "misplaced": [f"{n} ({s:.2f})" for n, s in zip(names, wrong.values, strict=True)],
        "stable": None if stable is None else float(stable["stability"].median()),
        "worst": None if stable is None else float(stable["stability"].min()),
    }


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
        "nulls": _nulls(found),
        "all": int(found["n_exceed_all"]) if "n_exceed_all" in found else 0,
        "shown": found.attrs.get("shown", ""),
        "uniform": bool(found.attrs.get("uniform_stimulus")),
    }


def _nulls(found: xr.Dataset) -> list[dict[str, Any]]:
    """What each null reaches, over interneurons."""
    names = found["control"].values.tolist() if "control" in found else []
    parts = {name: found.sel(control=name) for name in names}
    highs = {name: part["control_interval"].sel({v.BOUND: "high"}) for name, part in parts.items()}
    return [
        {
            "name": NULLS[name],
            "median": float(part["control_correlation"].median()),
            "high": _or_few(float(highs[name].median(skipna=False))),
            "above": int(part["exceeds"].sum()),
        }
        for name, part in parts.items()
    ]


def _ensemble(analysis: RetinaAnalysis) -> dict[str, Any] | None:
    """Mean, lowest and highest over models of every summary figure, and of how many models."""
    found = analysis.ensemble
    if found is None:
        return None
    names = [str(k)[: -len("_mean")] for k in found.data_vars if str(k).endswith("_mean")]
    rows = []
    for name in names:
        part = found[[name, *(f"{name}_{end}" for end in SPREAD)]]
        layers = part[v.LAYER].values.tolist() if v.LAYER in part.dims else [None]
        for layer in layers:
            one = part if layer is None else part.sel({v.LAYER: layer})
            mean, low, high, count = (float(one[f"{name}_{end}"]) for end in SPREAD)
            about = str(found[name].attrs["long_name"])
            text = f"{mean:.2f} ({low:.2f} to {high:.2f})" if count else "none"
            rows.append((about, layer or "all", text, int(count)))
    return {"models": found["model"].values.tolist(), "rows": rows}


def _or_few(value: float) -> str:
    return "too few draws" if np.isnan(value) else f"{value:.2f}"
