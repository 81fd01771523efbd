"""How completely contributions explain their target."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import warn
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Method

QUANTILES: Final = (0.5, 0.95, 1.0)
"""Of the relative completeness error: median, 95 % and worst."""
BLOWN: Final = 100
"""Times the target (and its median) that an error of steps that are merely few does not reach."""


def target_change(node: xr.Dataset | xr.DataTree) -> xr.DataArray:
    """Change of the target, y(x) - y(x'), of every sample: what is to be explained."""
    parts, error = node[v.CONTRIBUTION], node[v.COMPLETENESS_ERROR]
    total = parts.astype(np.float64).sum([d for d in parts.dims if d not in error.dims])
    change = (total - error).rename(v.TARGET)
    about = "change of the target from the baseline to the sample"
    return change.assign_attrs(units=error.attrs.get("units", ""), long_name=about)


def relative_error(node: xr.Dataset | xr.DataTree) -> NDArray[np.float64]:
    """|sum of contributions - (y(x) - y(x'))| / |y(x) - y(x')| of samples whose target changes."""
    change = np.abs(np.asarray(target_change(node).values, dtype=np.float64))
    changes = change > 0
    error = np.abs(np.asarray(node[v.COMPLETENESS_ERROR].data, dtype=np.float64))
    return np.asarray(error[changes] / change[changes])


def share_around(node: xr.Dataset | xr.DataTree) -> float:
    """Share of the target's change that goes around a layer: the median over samples; 0 if none."""
    if v.BYPASS not in node:
        return 0.0
    change = np.abs(np.asarray(target_change(node).values, dtype=np.float64))
    around = np.abs(np.asarray(node[v.BYPASS].data, dtype=np.float64))
    return float(np.median(around[change > 0] / change[change > 0])) if change.any() else 0.0


def completeness(tree: xr.DataTree) -> xr.DataArray:
    """Relative errors (layer, quantile); NaN where the target never changes."""
    errors = {
        str(layer): relative_error(node)
        for layer, node in tree.children.items()
        if v.COMPLETENESS_ERROR in node
    }
    rows = [np.quantile(e if e.size else [np.nan], QUANTILES) for e in errors.values()]
    result = labels.labelled(
        np.asarray(rows, dtype=np.float64).reshape(len(rows), len(QUANTILES)),
        (v.LAYER, "quantile"),
        {v.LAYER: np.array(list(errors), dtype=str), "quantile": list(QUANTILES)},
        name="relative_completeness_error",
    )
    return labels.stamp(result, "neurocodec.completeness.completeness")


def told_of_poles(tree: xr.DataTree, method: Method, *, given: bool) -> None:
    """Warn of contributions that miss by so much that the path must have met a pole."""
    if not isinstance(method, IntegratedGradients) or v.TARGET not in tree:
        return
    target = np.abs(np.asarray(tree[v.TARGET].values, dtype=np.float64))
    limit = BLOWN * (target + np.median(target, axis=0))
    blown = {
        str(name): int((np.abs(node.dataset[v.COMPLETENESS_ERROR].values) > limit).sum())
        for name, node in tree.children.items()
        if v.COMPLETENESS_ERROR in node
    }
    worst = max(blown, key=lambda name: blown[name], default="")
    if not worst or not blown[worst]:
        return
    hint = "nc.methods.IntegratedGradients(rule='right')" if given else "baseline='mean'"
    warn(
        f"contributions of {sum(n > 0 for n in blown.values())} layers miss by more than {BLOWN}"
        f" times the target, most of {worst!r}: {blown[worst]} of {target.size} samples; the path"
        f" passes where the gradient is huge, such as a normalisation of a blank input: {hint}"
    )
