"""What a result is, in a few lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.analyses.retina.findings import (
    CELLS,
    COMBINATIONS,
    CONTRIBUTIONS,
    ENSEMBLE,
    FIELDS,
    INTERNEURONS,
    MAPS,
    PICTURES,
    RESPONSES,
    SHAPES,
    STABILITY,
    TENSION,
    RetinaAnalysis,
)
from neurocodec.labels import PROVENANCE, provenance
from neurocodec.modes.decomposition import Decomposition
from neurocodec.nn.attribution.targets import Mahalanobis, Output, Sum, Surprisal, Target

WIDTH = 100
"""Longest line of the provenance; what is longer is cut."""


def describe(result: xr.DataArray | xr.Dataset | xr.DataTree | Decomposition) -> str:
    """Describe a result: its variables with dims, units and meaning, and its provenance."""
    lines = [type(result).__name__]
    if isinstance(result, Decomposition):
        lines += _scores(result)
        result = result.to_tree().drop_nodes("weights")
    if isinstance(result, xr.DataArray):
        lines.append(_variable(str(result.name), result))
    elif isinstance(result, xr.Dataset):
        lines += _variables(result)
    else:
        lines += [line for node in result.subtree for line in _node(node)]
    return "\n".join([*lines, *_provenance(result)])


def _scores(modes: Decomposition) -> Iterator[str]:
    found = modes.summary
    names = ("r2", "r2_pooled", "r2_train", "r2_pooled_train", "alive_share", "distinct_share")
    r2, pooled, train, train_pooled, alive, distinct = (float(found[name]) for name in names)
    count = found.sizes[v.MODE]
    yield f"  {count} modes, held-out R2 {r2:.3f} per channel, {pooled:.3f} pooled"
    yield f"  training R2 {train:.3f} per channel, {train_pooled:.3f} pooled"
    yield f"  {alive:.0%} of the modes alive; {modes.l0:.3g} active on a row on average"
    yield f"  {distinct:.0%} of the alive modes distinct: all others are near-copies of these"


def _node(node: xr.DataTree) -> Iterator[str]:
    yield node.path
    yield from _variables(node.to_dataset(inherit=False))


def _variables(data: xr.Dataset) -> Iterator[str]:
    for name, array in data.data_vars.items():
        yield _variable(str(name), array)
    for name, array in data.coords.items():
        yield _variable(f"* {name}", array)


def _variable(name: str, array: xr.DataArray) -> str:
    dims = ", ".join(f"{d}: {n}" for d, n in array.sizes.items())
    units, about = (str(array.attrs.get(key, "")) for key in ("units", "long_name"))
    kind = str(array.dtype) + (f", {units}" if units not in ("", v.DIMENSIONLESS) else "")
    return f"  {name} ({dims}) {kind}" + (f": {about}" if about else "")


def _provenance(result: xr.DataArray | xr.Dataset | xr.DataTree) -> Iterator[str]:
    facts = provenance(result)
    if facts:
        yield f"provenance (attribute {PROVENANCE!r})"
    for name, fact in facts.items():
        line = f"  {name}: {fact if isinstance(fact, str) else json.dumps(fact)}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."


def method_name(method: Mapping[str, Any]) -> str:
    """Name a method, as provenance has it, and those of its options that it used."""
    unused = {"kind"} | (set() if method.get("steps") == "auto" else {"tolerance", "max_steps"})
    options = ", ".join(f"{k} {x}" for k, x in method.items() if k not in unused)
    return str(method["kind"]) + (f": {options}" if options else "")


def target_name(target: Target) -> str:
    """Name a target of a retina model in words."""
    if isinstance(target, Output):
        return f"firing rate of {target.which}"
    names: dict[type[Target], str] = {
        Surprisal: "surprisal of the population response",
        Mahalanobis: "squared Mahalanobis distance of the population response from its mean",
        Sum: "sum of the firing rates of all cells",
    }
    return names.get(type(target), type(target).__name__)


def files_of(analysis: RetinaAnalysis) -> Sequence[tuple[str, str, str]]:
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
        *_further(analysis),
    ]


_FURTHER: Final = (
    (
        ENSEMBLE,
        "summary figures of every model, and how far the models are apart",
        'nc.open("{file}").r2_mean',
    ),
    (
        STABILITY,
        "modes fitted again with other seeds and to shuffled rows: which come back",
        'nc.open("{file}")["{first}"].above_chance',
    ),
    (
        MAPS,
        "maps of some modes of each layer in the pixels of the movie",
        'nc.open("{file}")["{first}/contribution_map"]',
    ),
    (
        PICTURES,
        "synthetic movies that channels and cells answer most to",
        'nc.open("{file}")["cells/stimulus"]',
    ),
    (
        FIELDS,
        "receptive fields of all cells at chosen times, as a map and a time course each",
        'fields = nc.open("{file}"); fields.spatial, fields.temporal',
    ),
    (
        SHAPES,
        "centre, size, polarity and more of each of these fields",
        'nc.open("{file}").polarity',
    ),
    (
        COMBINATIONS,
        "which modes are active together, examples, and how much of the fields they explain",
        'nc.open("{file}")["{first}/combinations"]',
    ),
    (
        TENSION,
        "excitation and inhibition of every cell by the first layer, and why it is silent",
        'nc.open("{file}").silent',
    ),
    (
        INTERNEURONS,
        "correlation of each interneuron with units and modes, and what the nulls reach",
        'nc.open("{file}").correlation',
    ),
)
"""File, what is in it, and how it is opened: `{file}` is its name, `{first}` the first layer."""


def _further(analysis: RetinaAnalysis) -> Sequence[tuple[str, str, str]]:
    first = analysis.layers[0]
    return [
        (file, what, how.format(file=file, first=first))
        for file, what, how in _FURTHER
        if file in analysis.files
    ]
