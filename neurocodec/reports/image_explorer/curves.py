"""What ablating and preserving channels does to a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.reports.image_explorer.layers import short


def class_curves(
    curves: Mapping[str, xr.Dataset], name: str, layers: Sequence[str]
) -> list[dict[str, Any]]:
    """Accuracy with channels of each layer ablated and preserved, by ranking."""
    found = []
    for layer, curve in curves.items():
        if layer not in layers or name not in curve.get(v.CATEGORY, ()):
            continue
        one = curve.sel({v.CATEGORY: name})
        known = "best_mode" in one.coords
        accuracy = one["accuracy"].transpose(v.KIND, v.RANKING, v.GROUP, v.FRACTION)
        found.append(
            {
                "layer": layers.index(layer),
                "mode": str(one["best_mode"].item()) if known else "",
                "fractions": one[v.FRACTION].values.tolist(),
                "kinds": one[v.KIND].values.tolist(),
                "rankings": one[v.RANKING].values.tolist(),
                "groups": one[v.GROUP].values.tolist(),
                "n": [int(x) for x in one["n"].values],
                "accuracy": _plain(accuracy.values),
            }
        )
    return found


def perturbed_by(curves: Mapping[str, xr.Dataset]) -> dict[tuple[str, str], list[str]]:
    """Layer and mode -> classes that were perturbed by its channels."""
    found: dict[tuple[str, str], list[str]] = {}
    for layer, curve in curves.items():
        if "best_mode" in curve.coords and v.CATEGORY in curve.coords:
            pairs = zip(curve["best_mode"].values, curve[v.CATEGORY].values, strict=True)
            for mode, name in pairs:
                found.setdefault((layer, str(mode)), []).append(str(name))
    return found


def _plain(values: Any) -> Any:
    """Nested lists of short numbers."""
    array = np.asarray(values)
    return short(array) if not array.ndim else [_plain(row) for row in array]
