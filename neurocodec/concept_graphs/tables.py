"""Tables of a graph of concept vectors: which nodes are in it, what they carry, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import terms
from neurocodec import vocabulary as v
from neurocodec.concept_graphs.influence import Floats, Influence, carrying, influence, shares
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import mean_intervals
from neurocodec.labels import labelled

ALL: Final = "all"
"""Entry of `category` that is the mean over the images of all of them."""
RESIDUAL: Final = "residual"
ANSWER: Final = "answer"
CONCEPT: Final = v.CONCEPT
FROM: Final = "from_node"
TO: Final = "to_node"
ARROW: Final = " -> "
NONE: Final = -1
"""Mode of what is no mode."""

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Chosen:
    """How many nodes are followed and shown."""

    top: int  # of each category and layer
    shared: int  # of all categories together
    keep: float  # share of a layer's influence
    bootstrap: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Followed:
    """An answer that was followed back; layers in the order of the network, pairs the last first.

    The sources of a pair are all modes of its layer, and the residual.
    """

    layers: Sequence[str]
    categories: Sequence[str]
    category: Ints  # of each image
    coords: Mapping[str, xr.Variable]  # of the images
    pairs: Sequence[Floats]  # (image, target, source)
    targets: Sequence[Ints]  # of each pair but the last: modes that are its targets
    direct: Sequence[Floats]  # (image, source): contribution to the answer, the last layer first
    missed: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)  # by name and layer

    @cached_property
    def influence(self) -> Influence:
        """What goes through each source."""
        return influence(self.pairs, self.targets)

    @cached_property
    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Images by entry of `category`."""
        found = {name: self.category == i for i, name in enumerate(self.categories)}
        whole = {ALL: np.ones(len(self.category), dtype=bool)}
        return {**whole, **found} if len(found) > 1 else found


def strongest(nodes: Floats, followed_by: Followed, count: int, shared: int) -> Ints:
    """Modes, in order, that carry most of each category, or of the one they carry least of."""
    means = _means(nodes[:, :-1], followed_by)
    chosen = {int(i) for mean in means for i in _largest(mean, count)}
    return np.array(sorted({*chosen, *_shared(means, shared)}), dtype=np.intp)


def _means(nodes: Floats, of: Followed) -> Floats:
    """Mean (category, node) over the images of each category."""
    return np.stack([nodes[of.category == i].mean(0) for i in range(len(of.categories))])


def _largest(values: Floats, count: int) -> list[int]:
    """Places of the largest that are above 0."""
    order = np.argsort(-values, kind="stable")[:count]
    return [int(i) for i in order if values[i] > 0]


def _shared(means: Floats, count: int) -> list[int]:
    """Places of what every category has most of; none of one category."""
    return _largest(means.min(0), count) if len(means) > 1 else []


@dataclass(frozen=True)
class _Layer:
    """Nodes of a layer that are in the graph."""

    modes: Ints
    shared: NDArray[np.bool_]  # (mode,)
    shown: NDArray[np.bool_]  # (category, mode)
    carried: NDArray[np.bool_]  # (category, mode)

    @property
    def sources(self) -> Ints:
        """Places of the modes and of the residual among the sources."""
        return np.append(self.modes, -1)


def _layer(of: Followed, place: int, chosen: Chosen) -> _Layer:
    """Choose the nodes of a layer, counted from the last."""
    nodes = of.influence.nodes[place]
    means = _means(nodes, of)
    known = of.targets[place] if place < len(of.targets) else np.arange(nodes.shape[1] - 1)
    # the residual is always a node, however much it carries
    carried = np.stack([np.append(carrying(x[:-1], chosen.keep), True) for x in means])
    ranked = np.zeros_like(means)
    ranked[:, known] = means[:, known]
    own = [_largest(row * few, chosen.top) for row, few in zip(ranked, carried, strict=True)]
    common = _shared(ranked * carried.any(0), chosen.shared)
    modes = np.array(sorted({*common, *(i for some in own for i in some)}), dtype=np.intp)
    shown = np.zeros((len(own), len(modes)), dtype=bool)
    for row, some in zip(shown, own, strict=True):
        row[:] = np.isin(modes, [*some, *common])
    return _Layer(modes, np.isin(modes, common), shown, carried[:, modes])


def tables(of: Followed, chosen: Chosen) -> xr.DataTree:
    """Nodes, edges, layers and images of the graph."""
    parts = [_layer(of, place, chosen) for place in range(len(of.layers))]
    means = _Means(of, chosen)
    nodes, flags = _nodes(of, parts)
    edges = _edges(of, parts)
    layers = _Rows({v.LAYER: [*of.layers]}, _layers(of, parts))
    rest = _replacement(of)
    by_image = {
        **_by_image(nodes, v.NODE),
        **_by_image(edges, v.EDGE),
        **_by_image(layers, v.LAYER),
        "replacement": labelled(rest.astype(np.float32), (v.STIMULUS,), name="replacement"),
    }
    names = [of.categories[i] for i in of.category]
    images = xr.Dataset(by_image, {**of.coords, v.CATEGORY: (v.STIMULUS, names)})
    made = {
        "nodes": _summed(means, nodes, v.NODE, active=True).assign(flags),
        "edges": _summed(means, edges, v.EDGE, active=True),
        "layers": _summed(means, layers, v.LAYER).assign(means.of_each("replacement", rest)),
        "images": images,
    }
    return xr.DataTree.from_dict({name: xr.DataTree(data) for name, data in made.items()})


@dataclass(frozen=True)
class _Rows:
    """Things of the graph: what they are, and their numbers in each image."""

    coords: Mapping[str, Any]  # name -> one for each
    numbers: Mapping[str, Floats]  # (image, thing)


@dataclass(frozen=True)
class _Means:
    """Means over the images of each entry of `category`."""

    of: Followed
    chosen: Chosen

    @property
    def coords(self) -> dict[str, Any]:
        """Entries, how many images each has, and the ends of intervals."""
        counts = [int(some.sum()) for some in self.of.groups.values()]
        own = {v.CATEGORY: [*self.of.groups], "n_images": (v.CATEGORY, counts)}
        return {**own, v.BOUND: list(v.BOUNDS)}

    def of_columns(self, name: str, values: Floats, dim: str) -> dict[str, xr.DataArray]:
        """Mean of values (image, column) without NaN, with an interval where one is known."""
        own = self.chosen
        settings = (own.bootstrap, own.confidence, own.seed)
        made = [mean_intervals(values[some], *settings)[:3] for some in self.of.groups.values()]
        middle, low, high = np.moveaxis(np.stack(made), 1, 0)
        dims, ends = (v.CATEGORY, dim), f"{name}_interval"
        found = {name: labelled(middle.astype(np.float32), dims, name=name)}
        if ends in terms.VARIABLES:
            found[ends] = labelled(
                np.stack([low, high], -1).astype(np.float32), (*dims, v.BOUND), name=ends
            )
        return found

    def of_each(self, name: str, values: Floats) -> dict[str, xr.DataArray]:
        """The same of one number an image."""
        return {k: x.isel(one=0) for k, x in self.of_columns(name, values[:, None], "one").items()}


def _nodes(of: Followed, parts: Sequence[_Layer]) -> tuple[_Rows, dict[str, xr.DataArray]]:
    """Nodes of all layers in order, the answers last; and what is said of each."""
    count, last = len(of.categories), len(parts) - 1
    rows, coords = list[tuple[Floats, Floats]](), list[tuple[str, int, str]]()
    shown, carried, shared = (list[NDArray[np.bool_]]() for _ in range(3))
    for place in range(last, -1, -1):
        part, own_layer = parts[place], of.layers[last - place]
        coords += [(own_layer, int(mode), CONCEPT) for mode in part.modes]
        coords += [(own_layer, NONE, RESIDUAL)]
        both = (of.direct[place], of.influence.nodes[place])
        rows.append(tuple(np.asarray(x, np.float64)[:, part.sources] for x in both))  # type: ignore[arg-type]
        always = np.ones((count, 1), dtype=bool)
        shown += [part.shown, always]
        carried += [part.carried, always]
        shared += [part.shared, np.zeros(1, dtype=bool)]
    own = of.category[:, None] == np.arange(count)
    answers = np.where(own, np.asarray(of.direct[0], np.float64).sum(1, keepdims=True), np.nan)
    rows.append((answers, own.astype(np.float64)))
    coords += [(ANSWER, i, ANSWER) for i in range(count)]
    each = np.eye(count, dtype=bool)
    flags = {
        "shown": _with_all(np.hstack([*shown, each])),
        "carried": _with_all(np.hstack([*carried, each])),
    }
    told = {k: labelled(x, (v.CATEGORY, v.NODE), name=k) for k, x in flags.items()}
    told["shared"] = labelled(
        np.append(np.concatenate(shared), [False] * count), (v.NODE,), name="shared"
    )
    layer, mode, kind = zip(*coords, strict=True)
    names = [name_of(*known) if known[2] != ANSWER else of.categories[known[1]] for known in coords]
    values = [np.hstack(x) for x in zip(*rows, strict=True)]
    numbers = {
        v.CONTRIBUTION: values[0],
        v.INFLUENCE: values[1],
    }
    own_coords = {v.NODE: names, v.LAYER: [*layer], v.MODE: [*mode], v.KIND: [*kind]}
    return _Rows(own_coords, numbers), told


def name_of(layer: str, mode: int, kind: str = CONCEPT) -> str:
    """Name of a node of a layer."""
    return f"{layer}:{RESIDUAL if kind == RESIDUAL else mode}"


def _with_all(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Flags (category, node) with those of all categories first, where there are several."""
    return flags if len(flags) == 1 else np.vstack([flags.any(0), flags])


def _edges(of: Followed, parts: Sequence[_Layer]) -> _Rows:
    """Edges between nodes of the graph, from the first layer on."""
    last = len(parts) - 1
    ends, rows = list[tuple[str, str]](), list[tuple[Floats, ...]]()
    for place in range(last, -1, -1):
        sources, layer = parts[place].sources, of.layers[last - place]
        names = [*(name_of(layer, m) for m in parts[place].modes), name_of(layer, 0, RESIDUAL)]
        into = _targets(of, parts, place)
        pair = np.asarray(of.pairs[place], np.float64)
        for name, row, some in into:
            signed = np.where(some[:, None], pair[:, row], np.nan)
            flow = np.where(some[:, None], of.influence.edges[place][:, row], 0.0)
            share = np.where(some[:, None], shares(pair[:, row]), np.nan)
            rows.append(tuple(x[:, sources] for x in (signed, share, flow)))
            ends += [(source, name) for source in names]
    signed, share, flow = (np.hstack(x) for x in zip(*rows, strict=True))
    starts, stops = zip(*ends, strict=True)
    numbers = {"edge_contribution": signed, "edge_share": share, "edge_influence": flow}
    coords = {v.EDGE: [ARROW.join(pair) for pair in ends], FROM: [*starts], TO: [*stops]}
    return _Rows(coords, numbers)


def _targets(
    of: Followed, parts: Sequence[_Layer], place: int
) -> list[tuple[str, int, NDArray[np.bool_]]]:
    """Name and row of each target of a pair that is in the graph, and of which images it is one."""
    if place == 0:
        return [(name, 0, of.category == i) for i, name in enumerate(of.categories)]
    layer = of.layers[len(parts) - place]
    rows = np.searchsorted(of.targets[place - 1], parts[place - 1].modes)
    every = np.ones(len(of.category), dtype=bool)
    modes = parts[place - 1].modes
    return [(name_of(layer, m), int(r), every) for m, r in zip(modes, rows, strict=True)]


def _summed(means: _Means, rows: _Rows, dim: str, *, active: bool = False) -> xr.Dataset:
    """Means of numbers; of the first also in how many images it is not 0."""
    data = dict[str, xr.DataArray]()
    for name, values in rows.numbers.items():
        data |= means.of_columns(name, values, dim)
    if active:
        first = next(iter(rows.numbers.values()))
        there = np.where(np.isfinite(first), first != 0, np.nan)
        data |= means.of_columns("active_images", there, dim)
    coords = {k: x if k == dim else (dim, x) for k, x in rows.coords.items()}
    return xr.Dataset(data, {**coords, **means.coords})


def _by_image(rows: _Rows, dim: str) -> dict[str, xr.DataArray]:
    coords = {dim: rows.coords[dim]} if dim in rows.coords else None
    return {
        name: labelled(values.astype(np.float32), (v.STIMULUS, dim), coords, name=name)
        for name, values in rows.numbers.items()
    }


def _layers(of: Followed, parts: Sequence[_Layer]) -> dict[str, Floats]:
    """Of each image and layer: what goes through concept vectors, what is followed, and shown."""
    rows = list[tuple[Floats, ...]]()
    last = len(parts) - 1
    for place in range(last, -1, -1):
        nodes = of.influence.nodes[place]
        concepts = nodes[:, :-1].sum(1)
        known = of.targets[place] if place < last else np.arange(nodes.shape[1] - 1)
        rows.append(
            (
                _ratio(concepts, nodes.sum(1)),
                _ratio(nodes[:, known].sum(1), concepts),
                _ratio(nodes[:, parts[place].modes].sum(1), concepts),
            )
        )
    through, followed, shown = (np.stack(x, 1) for x in zip(*rows, strict=True))
    found = {"through_concepts": through, "followed_share": followed, "shown_share": shown}
    missed = {k: np.stack([x[n] for n in of.layers], 1) for k, x in of.missed.items()}
    return {**found, **missed}


def _replacement(of: Followed) -> Floats:
    """Of what is followed to its end, the part that ends in vectors of the first layer."""
    nodes = of.influence.nodes
    reached = nodes[-1][:, :-1].sum(1)
    return _ratio(reached, reached + np.sum([own[:, -1] for own in nodes], axis=0))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Part over whole; NaN where there is nothing."""
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan))


def require_graph(found: Any) -> tuple[xr.Dataset, xr.Dataset]:
    """Nodes and edges of a graph; refuses what is none."""
    known = isinstance(found, xr.DataTree) and {"nodes", "edges"} <= {*found.children}
    parts = [found[name].to_dataset() for name in ("nodes", "edges")] if known else []
    wanted = ((v.CONTRIBUTION, v.LAYER, v.MODE, v.KIND), ("edge_contribution", FROM, TO))
    if not known or any(
        {*names} - {*part.variables} for names, part in zip(wanted, parts, strict=True)
    ):
        raise InputError(
            came=f"{type(found).__name__} that is no graph of concept vectors",
            expected="a graph, as nc.concept_graph returns it",
            hint="found = nc.concept_graph(net, images, {layer: concept_vectors})",
        )
    return parts[0], parts[1]
