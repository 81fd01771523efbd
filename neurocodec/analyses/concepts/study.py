"""What is asked of concept vectors of a network, and its results, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.concepts.truth import interventions_of
from neurocodec.analyses.stages import Stages
from neurocodec.attribution.point_vectors import point_vectors
from neurocodec.concept_graphs.examples import require_different
from neurocodec.concept_graphs.graph import checked_steps, concept_graph, of_categories
from neurocodec.errors import InputError, collected, warn
from neurocodec.fields.effective_fields import Way, way_of
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network, require_network

ROWS: Final = "rows.nc"
GRAPH: Final = "graph.nc"
PICTURES: Final = "pictures.nc"
CONTRIBUTIONS: Final = "contributions"
INTERVENTIONS: Final = "interventions.nc"
CONTROLS: Final = "controls.nc"
ROWS_A_VECTOR: Final = 1.5
"""Fewest rows for each concept vector."""
OTHERS: Final = ("exemplars", "random")
"""Controls: rows of the layer, and directions, drawn at random."""


@dataclass(frozen=True)
class Sizes:
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
class Study:
    """What is asked of which network."""

    net: Network  # with the layers in question alone
    stimulus: xr.DataArray
    places: NDArray[np.intp]  # of the images of the graph
    category: NDArray[np.str_]  # of each of these
    sizes: Sizes
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
        sizes: Sizes,
        chosen: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> Study:
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

    def controls(
        self, vectors: Mapping[str, ConceptVectors], rows: xr.DataTree, stages: Stages
    ) -> xr.Dataset:
        """`relative_l2` (layer, kind) of as many rows drawn at random, and random directions."""

        def make() -> xr.Dataset:
            found = []
            for layer, own in vectors.items():
                given = rows[layer].to_dataset()[v.ACTIVATION]
                with collected():  # of fewer vectors than asked for, which was said before
                    # of the same seed, so that the same images are held out
                    others = [self.fitted(given, name, self.sizes.seed) for name in OTHERS]
                found.append([float(x.summary["relative_l2"]) for x in (own, *others)])
            dims = {v.LAYER: [*vectors], v.KIND: ["bisecting", *OTHERS]}
            values = labels.labelled(np.array(found), tuple(dims), dims, name="relative_l2")
            about = labels.provenance(rows)
            about.pop("function")
            return labels.stamp(values.to_dataset(), "nc.analyse_concepts", **about)

        return stages.keep(CONTROLS, self.facts(vectors), make)

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
