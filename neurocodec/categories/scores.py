"""How well modes and channels go with classes and concepts, by layer (CODEC sec. 4, fig. 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.class_correlation import Masks, bootstrap_medians, largest
from neurocodec.kernels.correlation import unit_columns
from neurocodec.kernels.intervals import interval, level_of_chance
from neurocodec.modes.decomposition import Decomposition, loadings_origin
from neurocodec.rows.blocks import provenance_of
from neurocodec.rows.layers import KINDS, layers_of
from neurocodec.rows.matrix import NET, select_rows
from neurocodec.rows.origin import require_same_origin
from neurocodec.rows.tables import layer_dataset, stamped

Loadings: TypeAlias = Mapping[str, Decomposition | xr.DataArray]

UNITS: Final = (
    "contribution_mode",
    "activation_mode",
    "contribution_channel",
    "activation_channel",
)
"""What is correlated with concepts."""
SUMMARY: Final = "summary"
_COLUMNS: Final = 512
"""Columns that are in memory as float64 at a time."""
_NOTHING: Final[dict[str, Any]] = {
    "n_units": 0,
    "n_above": 0,
    "median": np.nan,
    "median_interval": np.full(2, np.nan),
    "chance_maximum": np.nan,
}
"""Summary of a layer without modes."""


@dataclass(frozen=True)
class _Options:
    threshold: float
    best: int
    permutations: int
    bootstrap: int
    confidence: float
    seed: int


def describe_modes(correlation: xr.DataArray, *, best: int = 3) -> xr.Dataset:
    """Name what modes, or channels, go with: a table with a row for each of them.

    Parameters
    ----------
    correlation
        (mode, category), (mode, concept), (channel, category) or the like, as `nc.correlate`
        returns it for loadings and masks; cells instead of concepts as well.
    best
        Concepts to name for each mode, at most.

    Returns
    -------
    xarray.Dataset
        `max_correlation` (mode), `best_concept` and `best_correlation` (mode, rank), the largest
        first; "" and NaN where a mode is constant. ``.to_dataframe()`` makes a table of it.

    Raises
    ------
    InputError
        Where it is no correlation of two dims, of which the second has names.

    Examples
    --------
    >>> r = xr.DataArray([[0.1, 0.7], [0.3, -0.2]], {"category": ["cat", "dog"]},
    ...                  ("mode", "category"))
    >>> found = describe_modes(r)
    >>> found.max_correlation.values.tolist(), found.best_concept.values.tolist()
    ([0.7, 0.3], [['dog', 'cat'], ['cat', 'dog']])
    """
    if not isinstance(correlation, xr.DataArray) or correlation.ndim != 2:
        raise InputError(
            came=f"a {type(correlation).__name__} with dims {getattr(correlation, 'dims', ())}",
            expected="correlations with two dims, such as ('mode', 'category')",
            hint="nc.correlate(modes.loadings, nc.class_masks(images))",
        )
    unit, concept = map(str, correlation.dims)
    if concept not in correlation.coords:
        raise InputError(
            came=f"correlations whose dim {concept!r} has no names",
            expected="a coordinate with the name of each concept",
            hint=f"correlation.assign_coords({concept}=names)",
        )
    best = arguments.whole("best", best)
    r = np.asarray(correlation.values, dtype=np.float64)
    names = correlation[concept].values.astype(str)
    coords = {unit: correlation[unit].values if unit in correlation.coords else np.arange(len(r))}
    result = _table(r, names, unit, coords, best)
    return labels.stamp(result, "nc.describe_modes", best=best)


def _table(
    r: NDArray[np.float64], names: NDArray[np.str_], unit: str, coords: Mapping[str, Any], best: int
) -> xr.Dataset:
    filled = np.where(np.isnan(r), -np.inf, r)
    order = np.argsort(-filled, axis=1, kind="stable")[:, :best]
    values = np.take_along_axis(r, order, axis=1)
    concepts = np.where(np.isnan(values), "", names[order])
    ranked = {**coords, v.RANK: np.arange(order.shape[1])}
    return xr.Dataset(
        {
            "max_correlation": labels.labelled(largest(r), (unit,), coords, name="max_correlation"),
            "best_concept": labels.labelled(concepts, (unit, v.RANK), ranked, name="best_concept"),
            "best_correlation": labels.labelled(
                values, (unit, v.RANK), ranked, name="best_correlation"
            ),
        }
    )


def concept_scores(
    tree: xr.DataTree,
    masks: xr.DataArray,
    *,
    modes: Loadings | None = None,
    activation_modes: Loadings | None = None,
    layers: Sequence[str] | None = None,
    samples: xr.DataArray | None = None,
    sign: str = "excitatory",
    threshold: float = 0.2,
    best: int = 3,
    permutations: int = 20,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.DataTree:
    """Correlate modes and single channels with masks, and sum it up by layer (fig. 5).

    Of each unit (a mode, or a channel), its largest correlation with any mask is kept, and with
    which. Modes are often correlated on the very images that they were fitted to; pass `samples`
    to see how they do on images that were held out.

    Parameters
    ----------
    tree
        Contributions and activations by channel.
    masks
        `nc.class_masks` or `nc.concept_masks` of the same samples.
    modes, activation_modes
        Layer -> modes fitted to its contributions, or to its activations; or their loadings. Of
        modes that were fitted to other samples, loadings are computed for those of the tree. A
        layer may be without.
    layers
        Their names; all where None.
    samples
        True for samples to correlate on (bool, along the samples), such as
        ``modes["block3"].loadings.held_out``; all where None.
    sign
        Of the contributions of single channels: "excitatory" (as modes are fitted by default),
        "inhibitory" (their sizes), "net".
    threshold
        Correlation above which units are counted.
    best
        Concepts to name for each unit.
    permutations
        Number of times that the labels are shuffled, for what chance alone gives.
    bootstrap
        Number of times that units are drawn again, for intervals of medians.
    confidence
        Of these intervals, and of `chance_maximum`.
    seed
        Of permutations and draws.

    Returns
    -------
    xarray.DataTree
        The node "summary" has, by layer and kind ("contribution_mode", "activation_mode",
        "contribution_channel", "activation_channel"; of modes, what was given): `n_units` that
        vary, `n_above` the threshold, `median` of the largest correlations with
        `median_interval` (bound), and `chance_maximum`, which the largest correlation of any unit
        exceeds by chance with 1 - `confidence` at most (NaN where permutations are too few to say:
        20 are needed for 0.95). The nodes "/layer/kind" have the tables of
        `nc.describe_modes`, with `p_value`: the part of permutations in which any unit reaches
        the correlation, so that a p-value of 0.05 is for all units of the layer together.

    Raises
    ------
    InputError
        Where samples differ (nothing is joined), or modes belong to no layer.

    Examples
    --------
    >>> rows = np.array([[3.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    >>> node = xr.Dataset({k: (("stimulus", "channel"), rows)
    ...                    for k in ("contribution", "activation")})
    >>> masks = xr.DataArray([[1, 0], [1, 0], [0, 1], [0, 1]], {"category": ["cat", "dog"]},
    ...                      ("stimulus", "category")).astype(bool)
    >>> found = concept_scores(xr.DataTree.from_dict({"/conv1": node}), masks)
    >>> found["summary/median"].values.round(2).tolist(), found["summary/n_above"].values.tolist()
    ([[0.48, 0.48]], [[1, 1]])
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    permutations = arguments.whole("permutations", permutations, 0)
    best = arguments.whole("best", best)
    threshold = arguments.number("threshold", threshold, "a correlation", hint="threshold=0.2")
    arguments.one_of("sign of single channels", sign, (NET, *v.SIGNS))
    given = {UNITS[0]: modes, UNITS[1]: activation_modes}
    rows = layers_of(tree, layers, KINDS, sign)
    _require_layers(given, [*tree.children])
    kinds = [k for k in UNITS if k not in given or given[k] is not None]
    options = _Options(threshold, best, permutations, bootstrap, confidence, seed)
    tables: dict[str, xr.Dataset] = {}
    found: dict[str, list[Any]] = {name: [] for name in _NOTHING}
    for name, both in rows.items():
        dim, node = both[0].dim, tree.children[name]
        keep = _kept(masks, samples, dim)
        member = Masks(masks.transpose(dim, ...).values[keep])
        concepts = masks[_other(masks, dim)].values.astype(str)
        for kind in kinds:
            _require_of_layer((given.get(kind) or {}).get(name), node)
            units = _units(node, kind, given, sign, name)
            part = _NOTHING
            if units is not None:
                labels.require_same(units, masks, dim, f"{kind}s of layer {name!r} and masks")
                tables[f"/{name}/{kind}"], part = _scored(units, keep, member, concepts, options)
            for key, value in part.items():
                found[key].append(value)
    summary = _summary(found, list(rows), kinds)
    facts = {**asdict(options), "sign": sign, "all_samples": samples is None}
    root = stamped(xr.Dataset(), "nc.concept_scores", tree, masks=labels.provenance(masks), **facts)
    return xr.DataTree.from_dict({"/": root, f"/{SUMMARY}": summary, **tables})


def _require_layers(given: Mapping[str, Loadings | None], layers: Sequence[str]) -> None:
    for kind, known in given.items():
        if not isinstance(known, Mapping | None):
            raise InputError(
                came=f"{kind}s of type {type(known).__name__}",
                expected="layer -> modes that were fitted to it, or their loadings",
                hint=f"{{{layers[0]!r}: modes}}",
            )
        strange = [name for name in known or {} if name not in layers]
        if strange:
            raise unknown_name(f"layer, to which {kind}s belong,", strange[0], layers)


def _other(masks: xr.DataArray, dim: str) -> str:
    """Dim of the concepts, which must have names."""
    dims = tuple(map(str, getattr(masks, "dims", ())))
    others = [d for d in dims if d != dim]
    if dim not in dims or len(others) != 1 or others[0] not in masks.coords:
        raise InputError(
            came=f"masks of type {type(masks).__name__} with dims {dims}",
            expected=f"dims ({dim!r}, 'category') or ({dim!r}, 'concept'), with names",
            hint="nc.class_masks(tree)",
        )
    return others[0]


def _kept(masks: xr.DataArray, samples: xr.DataArray | None, dim: str) -> NDArray[np.bool_]:
    _other(masks, dim)
    if samples is None:
        return np.ones(masks.sizes[dim], dtype=bool)
    labels.require_same(samples, masks, dim, "samples= and masks")
    keep = np.asarray(labels.require_dims(samples, (dim,), "samples=").values)
    if keep.dtype != bool or keep.sum() < 2:
        raise InputError(
            came=f"samples= of dtype {keep.dtype}, {int(keep.astype(bool).sum())} of them true",
            expected="true or false for each sample, at least 2 true",
            hint="samples=modes['layer'].loadings.held_out",
        )
    return keep


def _require_of_layer(modes: Decomposition | xr.DataArray | None, node: xr.DataTree) -> None:
    """Refuse modes, or loadings, of another layer or network, where they say so."""
    if isinstance(modes, Decomposition):
        require_same_origin(provenance_of(node), modes.origin)
    elif modes is not None:
        require_same_origin(loadings_origin(modes), provenance_of(node), "loadings")


def _units(
    node: xr.DataTree, kind: str, given: Mapping[str, Loadings | None], sign: str, layer: str
) -> xr.DataArray | None:
    """Samples by modes or channels; None for a layer without modes."""
    if kind == "contribution_channel":
        found = select_rows(node.data_vars[v.CONTRIBUTION], sign)
        return abs(found) if sign == v.INHIBITORY else found
    if kind == "activation_channel":
        return select_rows(node.data_vars[v.ACTIVATION], NET)
    modes = (given[kind] or {}).get(layer)
    if modes is None or isinstance(modes, xr.DataArray):
        return modes
    data = node.data_vars[v.CONTRIBUTION if kind == "contribution_mode" else v.ACTIVATION]
    loadings = modes.loadings
    dim = labels.sample_dim(data)
    named = dim in loadings.coords and dim in data.coords
    same = named and np.array_equal(loadings[dim].values, data[dim].values)
    return loadings if same else modes.transform(data)


def _scored(
    units: xr.DataArray,
    keep: NDArray[np.bool_],
    masks: Masks,
    concepts: NDArray[np.str_],
    options: _Options,
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Table of the units, and what the summary has of it."""
    unit = next(str(d) for d in units.dims if d not in v.SAMPLE_DIMS)
    pairs = [
        (masks.correlate(columns), masks.chance(columns, options.permutations, options.seed))
        for columns in _columns(units.transpose(..., unit), keep)
    ]
    r = np.concatenate([one for one, _ in pairs])
    chance = largest(np.concatenate([one for _, one in pairs], axis=1))
    coords = {unit: units[unit].values if unit in units.coords else np.arange(len(r))}
    table = _table(r, concepts, unit, coords, options.best)
    top = table["max_correlation"].values
    reached = (chance[:, None] >= top).sum(axis=0)
    shuffled = options.permutations
    p = np.where(np.isnan(top) | (shuffled == 0), np.nan, (1 + reached) / (1 + shuffled))
    alive = top[np.isfinite(top)]
    medians = bootstrap_medians(alive, options.bootstrap if len(alive) else 0, options.seed)
    summary = {
        "n_units": len(alive),
        "n_above": int((alive > options.threshold).sum()),
        "median": np.median(alive) if len(alive) else np.nan,
        "median_interval": interval(medians, options.confidence, len(alive)),
        "chance_maximum": level_of_chance(chance, options.confidence),
    }
    return table.assign(p_value=labels.labelled(p, (unit,), coords, name="p_value")), summary


def _columns(units: xr.DataArray, keep: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Centred columns of norm 1, some at a time."""
    for start in range(0, units.shape[1], _COLUMNS):
        yield unit_columns(units[:, start : start + _COLUMNS].values[keep], 0)


def _summary(found: Mapping[str, list[Any]], layers: list[str], kinds: list[str]) -> xr.Dataset:
    shape = (len(layers), len(kinds))
    variables: dict[str, tuple[tuple[str, ...], Any]] = {
        name: ((v.LAYER, v.KIND), np.reshape(found[name], shape))
        for name in _NOTHING
        if name != "median_interval"
    }
    ends = np.reshape(found["median_interval"], (*shape, 2))
    variables["median_interval"] = ((v.LAYER, v.KIND, v.BOUND), ends)
    return layer_dataset(variables, {v.LAYER: layers, v.KIND: kinds})
