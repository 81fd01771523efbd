"""What the page about a retina model says about silent cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurocodec import plotting
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.reports.page import Part

CHANCE = 0.05
"""p-value below which something is told from chance."""


def tension_figures(analysis: RetinaAnalysis, note: str) -> Iterator[tuple[str, Figure, str]]:
    """Draw excitation and inhibition over time."""
    if analysis.tension is not None:
        figure = plotting.plot_silence(analysis.tension, note=note)
        yield "tension", figure, "excitation and inhibition of some cells; why cells are silent"


def tension_part(analysis: RetinaAnalysis) -> Part | None:
    """Counts over all cells, beside those of inhibition that is shifted in time."""
    found = analysis.tension
    if found is None:
        return None
    times, cells = found.sizes[v.TIME], found.sizes[v.CELL]
    known = np.isfinite(np.asarray(found["p_value"]))
    counts = {name: _summed(found, name, known) for name in ("silent_count", "chance_silent_count")}
    silent = sum(counts["silent_count"].values())
    for of in counts.values():  # shifted inhibition silences more often, or less
        of["together"] = sum(of.values())
    own, chance = (np.asarray(found[name].sel({v.CAUSE: "cancelled"})) for name in counts)
    rare, more = np.asarray(found["p_value"]) < CHANCE, own > chance
    seconds = np.asarray(found[v.TIME].values, float)
    explained = found[v.EXCITATION] - found[v.INHIBITION]
    r = np.asarray(xr.corr(explained, found[v.TARGET], v.TIME))
    return {
        "span": f"{seconds[0]:.1f} to {seconds[-1]:.1f} s",
        "times": times,
        "cells": cells,
        "known": int(known.sum()),
        "silent": silent / max(1, times * int(known.sum())),
        "rows": [
            (cause, n / max(1, silent), counts["chance_silent_count"][cause] / max(1, silent))
            for cause, n in counts["silent_count"].items()
        ],
        "more": int((rare & more).sum()),
        "less": int((rare & ~more).sum()),
        "r": float(np.nanmedian(r)) if np.isfinite(r).any() else np.nan,
    }


def _summed(found: xr.Dataset, name: str, known: np.ndarray) -> dict[str, float]:
    """By cause, over the cells that fire often enough to say."""
    rows = np.asarray(found[name].transpose(v.CAUSE, v.CELL), float)[:, known].sum(1)
    return {str(c): float(n) for c, n in zip(found[v.CAUSE].values, rows, strict=True)}
