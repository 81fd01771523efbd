"""`nc.analyse_concepts`: concept vectors of layers, and which make which up to an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.stages import Stages
from neurocodec.analyses.truth import interventions_of
from neurocodec.attribution.point_vectors import point_vectors
from neurocodec.concept_graphs.contributions import concept_contributions
from neurocodec.concept_graphs.examples import (
    concept_examples,
    concept_maps,
    require_different,
)
from neurocodec.concept_graphs.graph import (
    ANSWER_STEPS,
    STEPS,
    checked_steps,
    concept_graph,
    of_categories,
)
from neurocodec.concept_graphs.tables import CONCEPT, name_of
from neurocodec.engine.estimate import Estimate, peak_memory
from neurocodec.errors import InputError, collected, warn
from neurocodec.fields.effective_fields import way_of
from neurocodec.fields.sharing import Way
from neurocodec.modes.concept_vectors.stability import concept_stability
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.targets import Output
from neurocodec.storage.files import existing_folder

ROWS: Final = "rows.nc"
GRAPH: Final = "graph.nc"
PICTURES: Final = "pictures.nc"
CONTRIBUTIONS: Final = "contributions"
INTERVENTIONS: Final = "interventions.nc"
ROWS_A_VECTOR: Final = 1.5
"""Fewest rows for each concept vector."""
FEW: Final = 2
"""Images that a run is estimated from."""


@dataclass(frozen=True)
class ConceptAnalysis:
    """What `analyse_concepts` found."""

    model: str
    vectors: Mapping[str, ConceptVectors]  # by layer
    graph: xr.DataTree
    cards: xr.DataTree  # by layer: examples, places in images, scores
    interventions: xr.Dataset | None  # correlation of predicted with measured changes, by layer
    pictures: xr.DataArray  # of some images of the graph, from 0 to 1
    files: Sequence[str]


def analyse_concepts(
    net: Network,
    stimulus: xr.DataArray,
    *,
    layers: Iterable[str],
    categories: Iterable[str] | None = None,
    per_category: int = 20,
    top: int = 5,
    shared: int = 3,
    keep: float = 0.8,
    per_channel: float = 8,
    per_image: int = 8,
    active: int = 12,
    examples: int = 10,
    shown: int = 3,
    steps: int | Literal["auto"] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> ConceptAnalysis:
    """Find concept vectors of layers, and follow answers back through them.

    Parameters
    ----------
    net, stimulus
        A network that sees images, and images (stimulus, color, y, x). Concept vectors are found in
        all of them, the graph is of those of the categories.
    layers
        Aliases in the order of the network. Of a block that ends in a nonlinearity the sum before
        it is taken (`net.pre_activation`).
    categories
        Names of outputs; those that images belong to where None.
    per_category
        Images of each category in the graph, at most.
    top, shared, keep
        As for `nc.concept_graph`.
    per_channel
        Concept vectors for each channel of a layer; fewer where there are too few rows.
    per_image
        Positions of each image that vectors are taken from.
    active
        Concept vectors of a position, at most.
    examples
        Nearest vectors of each concept vector that are shown.
    shown
        Images of each category whose own graph is shown, and in which concept vectors are scaled
        to see whether contributions predict what happens.
    steps
        Of the lines of the graph, as for `nc.concept_graph`.
    seed
        Of positions, clusters and intervals.
    batch_size, workers, progress
        As for `nc.contributions`.
    out
        Folder of the results; a call that was stopped goes on from there.

    Returns
    -------
    ConceptAnalysis
        `vectors` by layer, `graph` as `nc.concept_graph` returns it, `cards` of its nodes,
        `interventions`: `median_correlation` (layer, graph, fraction) of `nc.concept_interventions`
        from each layer to the next, and to the answer.

    Raises
    ------
    InputError
        Where layers, categories or images do not fit.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...                              torch.nn.Linear(4, 2))
    >>> net = Network(module, layers={"early": "1", "late": "3"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype("float32"),
    ...                       {"label": ("stimulus", ["cat", "dog"] * 10)},
    ...                       ("stimulus", "color", "y", "x"))
    >>> found = analyse_concepts(net, images, layers=["early", "late"], per_category=2, top=2,
    ...                          per_channel=2, active=3, examples=2, progress=False)
    >>> [*found.vectors], found.graph["nodes"].sizes["category"]
    (['early', 'late'], 3)
    """
    study = _Study.of(
        net,
        stimulus,
        layers,
        categories,
        sizes=_Sizes(per_category, per_channel, per_image, active, examples, shown, seed),
        chosen={"top": top, "shared": shared, "keep": keep, "steps": steps},
        settings={"batch_size": batch_size, "workers": workers, "progress": progress},
    )
    stages = Stages(out)
    rows = study.rows(stages)
    vectors = {name: study.vectors(name, rows, stages) for name in study.net.layers}
    graph = study.graph(vectors, stages)
    told = study.interventions(vectors, stages)
    pictured = study.pictures(graph, stages)
    made: dict[str, Any] = {"graph": graph, "pictured": pictured, "stages": stages}
    cards = {name: study.card(name, vectors, rows, **made) for name in vectors}
    return ConceptAnalysis(
        model=net.name,
        vectors=vectors,
        graph=graph,
        cards=xr.DataTree.from_dict({k: xr.DataTree(x) for k, x in cards.items()}),
        interventions=told,
        pictures=pictured,
        files=list(dict.fromkeys(stages.files)),
    )


def estimate_concepts(
    net: Network,
    stimulus: xr.DataArray,
    *,
    layers: Iterable[str],
    categories: Iterable[str] | None = None,
    per_category: int = 20,
    top: int = 5,
    shared: int = 3,
    per_channel: float = 8,
    per_image: int = 8,
    active: int = 12,
    steps: int | Literal["auto"] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Estimate:
    """Size, memory and time that `analyse_concepts` will take, from a few images.

    Parameters
    ----------
    net, stimulus, layers, categories, per_category, top, shared, per_channel, per_image, active
        As for `analyse_concepts`.
    steps, seed, batch_size, workers
        As for `analyse_concepts`.

    Returns
    -------
    Estimate
        Prints as one line; clusters, pictures and interventions are not counted, which take minutes
        at most.

    Raises
    ------
    InputError
        Where layers, categories or images do not fit.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
    ...                              torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...                              torch.nn.Linear(4, 2))
    >>> net = Network(module, layers={"maps": "1"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype("float32"),
    ...                       {"label": ("stimulus", ["cat", "dog"] * 10)},
    ...                       ("stimulus", "color", "y", "x"))
    >>> estimate_concepts(net, images, layers=["maps"], per_channel=2, active=3).samples
    20
    """
    study = _Study.of(
        net,
        stimulus,
        layers,
        categories,
        sizes=_Sizes(per_category, per_channel, per_image, active, 1, 0, seed),
        chosen={"top": top, "shared": shared, "keep": 0.8, "steps": steps},
        settings={"batch_size": batch_size, "workers": workers, "progress": False},
    )
    return study.estimate()


@dataclass(frozen=True)
class _Sizes:
    """How many of what."""

    per_category: int
    per_channel: float
    per_image: int
    active: int
    examples: int
    shown: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("per_category", "per_image", "active", "examples"):
            arguments.whole(name, getattr(self, name))
        arguments.whole("shown", self.shown, 0)
        arguments.whole("seed", self.seed, 0)
        arguments.at_least("per_channel", self.per_channel, 1e-3, hint="per_channel=8")


@dataclass(frozen=True)
class _Study:
    """What is asked of which network."""

    net: Network  # with the layers in question alone
    stimulus: xr.DataArray
    places: NDArray[np.intp]  # of the images of the graph
    category: NDArray[np.str_]  # of each of these
    sizes: _Sizes
    chosen: Mapping[str, Any]
    settings: Mapping[str, Any]
    fields: Way  # how the fields of the cards are found

    @classmethod
    def of(
        cls,
        net: Network,
        stimulus: xr.DataArray,
        layers: Iterable[str],
        categories: Any,
        *,
        sizes: _Sizes,
        chosen: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> _Study:
        """Check what is asked, and find the images of the categories."""
        checked_steps(chosen["steps"])
        reading = _reading(require_network(net), layers)
        how = {"device": None, "workers": settings["workers"]}
        names, places, category = of_categories(net, stimulus, categories, how)
        some = np.concatenate([np.flatnonzero(category == c)[: sizes.per_category] for c in names])
        some.sort()
        require_different(stimulus)
        fields, unknown = way_of(reading, stimulus)
        if unknown:
            warn(f"fields on the cards are of input gradients, for {unknown}")
        own = places[some], category[some]
        return cls(reading, stimulus, *own, sizes, chosen, settings, fields)

    @property
    def images(self) -> xr.DataArray:
        """Images of the graph."""
        return self.stimulus.isel({v.STIMULUS: self.places})

    def rows(self, stages: Stages) -> xr.DataTree:
        """Vectors at single positions, into a file that is gone on with."""
        path = None if stages.folder is None else stages.folder / ROWS
        stages.files.append(ROWS)
        found: Any = point_vectors(  # of a list of layers, a tree
            self.net,
            self.stimulus,
            list(self.net.layers),
            per_image=self.sizes.per_image,
            seed=self.sizes.seed,
            out=path,
            **self.settings,
        )
        made: xr.DataTree = found
        return made

    def vectors(self, layer: str, rows: xr.DataTree, stages: Stages) -> ConceptVectors:
        """Concept vectors of a layer, kept when they are fitted."""
        own = rows[layer].to_dataset()[v.ACTIVATION]
        sizes = {n: getattr(self.sizes, n) for n in ("per_channel", "active", "seed")}
        facts = {"rows": labels.provenance(rows), "layer": layer, **sizes}
        make = partial(self.fitted, own, "bisecting", self.sizes.seed)
        return stages.keep(f"vectors-{layer}.nc", facts, make)

    def fitted(self, rows: xr.DataArray, method: Any, seed: int) -> ConceptVectors:
        """As many concept vectors as were asked for, or as the rows are enough for."""
        count, channels = rows.sizes[v.VECTOR], rows.sizes[v.CHANNEL]
        wanted = max(1, round(self.sizes.per_channel * channels))
        most = max(1, int(0.9 * count / ROWS_A_VECTOR))
        if most < wanted:
            warn(
                f"{count} vectors of {channels} channels make {most} concept vectors in place of"
                f" {wanted}; more images, or per_image={self.sizes.per_image * 2}, make more"
            )
        active = min(self.sizes.active, channels, wanted, most)
        made = ConceptVectors(method, vectors=min(wanted, most), active=active, seed=seed)
        return made.fit(rows.load())

    def facts(self, vectors: Mapping[str, ConceptVectors]) -> dict[str, Any]:
        """What contributions of concept vectors depend on."""
        return {
            # with what made them: the data, and the network behind the last layer too
            "vectors": {
                k: [labels.fingerprint(x.dictionary), labels.provenance(x.dictionary)]
                for k, x in vectors.items()
            },
            "active": self.sizes.active,
            "category": self.category,
            "places": self.places,
            "chosen": self.chosen,
            "seed": self.sizes.seed,
        }

    def graph(self, vectors: Mapping[str, ConceptVectors], stages: Stages) -> xr.DataTree:
        """The graph; its contributions go on where they stopped."""
        folder = stages.place(CONTRIBUTIONS, self.facts(vectors))
        names = list(dict.fromkeys(sorted(self.category.tolist())))
        return stages.keep(
            GRAPH,
            self.facts(vectors),
            lambda: concept_graph(
                self.net,
                self.images,
                vectors,
                names,
                of=self.category.tolist(),
                seed=self.sizes.seed,
                out=folder,
                **self.chosen,
                **self.settings,
            ),
        )

    @property
    def shown(self) -> NDArray[np.intp]:
        """Places, among the images of the graph, of some of each category."""
        names = sorted({*self.category.tolist()})
        some = [np.flatnonzero(self.category == name)[: self.sizes.shown] for name in names]
        return np.sort(np.concatenate([*some, np.empty(0, dtype=np.intp)]))

    def interventions(
        self, vectors: Mapping[str, ConceptVectors], stages: Stages
    ) -> xr.Dataset | None:
        """Whether contributions predict what scaled concept vectors do, in the images shown."""
        if not len(self.shown):
            return None
        own = {v.LABEL: (v.STIMULUS, self.category[self.shown])}
        facts = {**self.facts(vectors), "shown": self.sizes.shown}
        make = partial(
            interventions_of,
            self.net,
            self.images.isel({v.STIMULUS: self.shown}).assign_coords(own),
            vectors,
            folder=stages.place(CONTRIBUTIONS, facts),
            seed=self.sizes.seed,
            settings=self.settings,
        )
        return stages.keep(INTERVENTIONS, facts, make)

    def pictures(self, graph: xr.DataTree, stages: Stages) -> xr.DataArray:
        """Pictures of some images of each category."""
        chosen = self.shown

        def make() -> xr.DataArray:
            images = self.images.isel({v.STIMULUS: chosen}).load()
            known = graph["images"].to_dataset()[v.STIMULUS].values[chosen]
            made = pictures(images, self.net.preprocessing).assign_coords({v.STIMULUS: known})
            return labels.stamp(made, "nc.analyse_concepts", graph=labels.provenance(graph))

        facts = {"graph": labels.provenance(graph), "shown": self.sizes.shown}
        return stages.keep(PICTURES, facts, make)

    def card(
        self,
        layer: str,
        every: Mapping[str, ConceptVectors],
        tree: xr.DataTree,  # rows of every layer
        *,
        graph: xr.DataTree,
        pictured: xr.DataArray,
        stages: Stages,
    ) -> xr.Dataset:
        """Examples, scores and places of the nodes of a layer, kept one after the other."""
        nodes, vectors = graph["nodes"].to_dataset(), every[layer]
        rows = tree[layer].to_dataset()[v.ACTIVATION]
        own = (nodes[v.LAYER] == layer) & (nodes[v.KIND] == CONCEPT)
        modes = nodes[v.MODE].values[own.values].tolist()
        facts = {"graph": labels.provenance(graph), "shown": self.sizes.shown}
        maps = None
        if pictured.sizes[v.STIMULUS] and v.TOKEN not in rows.coords:  # tokens have no map
            maps = stages.keep(
                f"maps-{layer}.nc", facts, partial(self.maps, vectors, modes, graph, pictured)
            )
        folder = stages.place(CONTRIBUTIONS, self.facts(every))
        facts |= {"examples": self.sizes.examples, "fields": self.fields}

        def make() -> xr.Dataset:
            found = self.examples(vectors, rows, modes)
            found = found.merge(
                self.scores(layer, vectors, rows, modes, nodes=nodes, folder=folder)
            )
            found = found if maps is None else found.assign(concept_map=maps)
            return labels.stamp(found, "nc.analyse_concepts", graph=labels.provenance(graph))

        return stages.keep(f"cards-{layer}.nc", facts, make)

    def examples(
        self, vectors: ConceptVectors, rows: xr.DataArray, modes: Sequence[int]
    ) -> xr.Dataset:
        """The nearest vectors as fields in context."""
        some: dict[str, Any] = {k: self.settings[k] for k in ("progress", "workers")}
        some |= {"count": self.sizes.examples, "method": self.fields}
        return concept_examples(self.net, self.stimulus, vectors, rows, modes, **some)

    def maps(
        self,
        vectors: ConceptVectors,
        modes: Sequence[int],
        graph: xr.DataTree,
        pictured: xr.DataArray,
    ) -> xr.DataArray:
        """Codes of the images that are shown: where in them concept vectors are."""
        known = graph["images"].to_dataset()[v.STIMULUS].values
        places = np.flatnonzero(np.isin(known, pictured[v.STIMULUS].values))
        shown = self.images.isel({v.STIMULUS: places})
        maps = concept_maps(self.net, shown, vectors, modes)
        maps = maps.assign_coords({v.STIMULUS: known[places]})
        maps = maps.drop_vars([v.Y, v.X], errors="ignore")
        return maps.rename({v.Y: "map_y", v.X: "map_x"})

    def scores(
        self,
        layer: str,
        vectors: ConceptVectors,
        rows: xr.DataArray,
        modes: Sequence[int],
        *,
        nodes: xr.Dataset,
        folder: Path | None,
    ) -> xr.Dataset:
        """Stability of concept vectors, and their rank among controls."""
        told = concept_stability(vectors, rows, seeds=1, shuffles=1, progress=False)
        with collected():  # of fewer vectors than asked for, which was said of the fit itself
            control = self.fitted(rows, "exemplars", self.sizes.seed + 1)
        size = np.abs(self.answered(control, None if folder is None else folder / layer))
        own = nodes[v.CONTRIBUTION].isel({v.CATEGORY: 0})
        own = own.sel({v.NODE: [name_of(layer, mode) for mode in modes]})
        rank = 1 + (size[None] > np.abs(own.values)[:, None]).sum(1)
        data = {"control_rank": rank, "n_controls": np.full(len(modes), len(size))}
        made = {k: labels.labelled(x, (v.MODE,), name=k) for k, x in data.items()}
        again = told[["stability", "chance"]].sel({v.MODE: list(modes)}).reset_coords(drop=True)
        return xr.Dataset(made, {v.MODE: list(modes)}).merge(again)

    def answered(self, vectors: ConceptVectors, folder: Path | None) -> NDArray[np.float64]:
        """Mean contribution of each vector to the answers of all images of the graph."""
        total = np.zeros(vectors.dictionary.sizes[v.MODE])
        for i, name in enumerate(sorted({*self.category.tolist()})):
            some = self.images.isel({v.STIMULUS: np.flatnonzero(self.category == name)})
            with collected():  # the graph's own have warned
                found = concept_contributions(
                    self.net,
                    some,
                    source=vectors,
                    target=Output(str(name)),
                    steps=STEPS,  # enough for a rank
                    out=None if folder is None else existing_folder(folder) / f"controls-{i}.nc",
                    **self.settings,
                )
            total += found[v.CONTRIBUTION].sum(v.STIMULUS).values
        return np.asarray(total / len(self.category))

    def estimate(self) -> Estimate:
        """What all of it takes, from a few images and vectors drawn at random."""
        images, count = self.images, len(self.category)
        few = images.isel({v.STIMULUS: slice(FEW)}).load()
        quiet = {**self.settings, "progress": False}
        some = min(FEW, count)
        at_random = _Clock()
        rows = point_vectors(
            self.net, few, [*self.net.layers], per_image=self.sizes.per_image, **quiet
        )
        seconds = at_random.read() / some * self.stimulus.sizes[v.STIMULUS]
        made = {k: self._random(rows[k].to_dataset()[v.ACTIVATION]) for k in self.net.layers}
        size, names = 0.0, sorted({*self.category.tolist()})
        many = min(2 * self.chosen["top"] * len(names) + self.chosen["shared"], 200)
        layers = [*made]
        for i, name in enumerate(layers):
            call = {"source": made[name], **quiet}
            at_random.read()
            found = concept_contributions(
                self.net,
                few,
                target=Output(str(names[0])),
                steps=self.chosen["steps"] or ANSWER_STEPS,
                **call,
            )
            seconds += 1.25 * at_random.read() / some * count  # the controls too
            if i + 1 < len(layers):
                then = made[layers[i + 1]]
                asked = list(range(min(many, then.dictionary.sizes[v.MODE])))
                found = concept_contributions(
                    self.net,
                    few,
                    target=then,
                    targets=asked,
                    steps=self.chosen["steps"] or STEPS,
                    **call,
                )
                seconds += at_random.read() / some * count
            size += found.nbytes / some * count
        size += (
            sum(rows[k].to_dataset().nbytes for k in layers)
            / some
            * self.stimulus.sizes[v.STIMULUS]
        )
        return Estimate(
            samples=self.stimulus.sizes[v.STIMULUS],
            layers=len(layers),
            batch_size=self.settings["batch_size"] or FEW,
            sample_bytes=round(size / self.stimulus.sizes[v.STIMULUS]),
            output_bytes=round(size),
            memory_bytes=peak_memory(),
            device_bytes=0,
            seconds=seconds,
        )

    def _random(self, rows: xr.DataArray) -> ConceptVectors:
        channels = rows.sizes[v.CHANNEL]
        count = max(1, math.ceil(self.sizes.per_channel * channels))
        active = min(self.sizes.active, channels, count)
        return ConceptVectors("random", vectors=count, active=active).fit(rows)


class _Clock:
    """Seconds since it was read last."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def read(self) -> float:
        """Seconds since the last time, which is now."""
        now = time.monotonic()
        found, self._last = now - self._last, now
        return found


def _reading(net: Network, layers: Iterable[str]) -> Network:
    """The network with these layers alone, each before its last nonlinearity where it has one."""
    names = arguments.several("layers", layers, "aliases", hint="layers=['layer3.1']")
    if not names:
        raise InputError(came="no layers", expected="at least one", hint="layers=['layer3.1']")
    chosen = net.select_layers(names)
    for name in chosen:
        with suppress(InputError):  # it ends in no nonlinearity, and is taken as it is
            chosen[name] = net.pre_activation(name)
    return replace(net, layers=chosen)
