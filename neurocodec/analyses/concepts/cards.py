"""Cards of the nodes of a graph of concept vectors: examples, scores, and where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.concepts.study import CONTRIBUTIONS, Study
from neurocodec.analyses.stages import Stages
from neurocodec.concept_graphs.contributions import concept_contributions
from neurocodec.concept_graphs.examples import concept_examples, concept_maps
from neurocodec.concept_graphs.graph import STEPS
from neurocodec.concept_graphs.tables import CONCEPT, name_of
from neurocodec.errors import collected
from neurocodec.modes.concept_vectors.stability import concept_stability
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.nn.attribution.targets import Output
from neurocodec.storage.files import existing_folder


@dataclass(frozen=True)
class Cards:
    """What cards are made of."""

    study: Study
    vectors: Mapping[str, ConceptVectors]  # of every layer
    rows: xr.DataTree
    graph: xr.DataTree
    pictured: xr.DataArray
    stages: Stages

    def of(self, layer: str) -> xr.Dataset:
        """Examples, scores and places of the nodes of a layer, kept one after the other."""
        rows = self.rows[layer].to_dataset()[v.ACTIVATION]
        nodes = self.graph["nodes"].to_dataset()
        own = (nodes[v.LAYER] == layer) & (nodes[v.KIND] == CONCEPT)
        modes = nodes[v.MODE].values[own.values].tolist()
        facts = {"graph": labels.provenance(self.graph), "shown": self.study.sizes.shown}
        maps = None
        if self.pictured.sizes[v.STIMULUS] and v.TOKEN not in rows.coords:  # tokens have no map
            maps = self.stages.keep(f"maps-{layer}.nc", facts, partial(self._maps, layer, modes))
        facts |= {"examples": self.study.sizes.examples, "fields": self.study.fields}

        def make() -> xr.Dataset:
            found = self._examples(layer, rows, modes).merge(self._scores(layer, rows, modes))
            found = found if maps is None else found.assign(concept_map=maps)
            return labels.stamp(found, "nc.analyse_concepts", graph=labels.provenance(self.graph))

        return self.stages.keep(f"cards-{layer}.nc", facts, make)

    def _examples(self, layer: str, rows: xr.DataArray, modes: Sequence[int]) -> xr.Dataset:
        """The nearest vectors as fields in context."""
        study = self.study
        some: dict[str, Any] = {k: study.settings[k] for k in ("progress", "workers")}
        some |= {"count": study.sizes.examples, "method": study.fields}
        return concept_examples(study.net, study.stimulus, self.vectors[layer], rows, modes, **some)

    def _maps(self, layer: str, modes: Sequence[int]) -> xr.DataArray:
        """Codes of the images that are shown: where in them concept vectors are."""
        known = self.graph["images"].to_dataset()[v.STIMULUS].values
        places = np.flatnonzero(np.isin(known, self.pictured[v.STIMULUS].values))
        shown = self.study.images.isel({v.STIMULUS: places})
        maps = concept_maps(self.study.net, shown, self.vectors[layer], modes)
        maps = maps.assign_coords({v.STIMULUS: known[places]})
        maps = maps.drop_vars([v.Y, v.X], errors="ignore")
        return maps.rename({v.Y: "map_y", v.X: "map_x"})

    def _scores(self, layer: str, rows: xr.DataArray, modes: Sequence[int]) -> xr.Dataset:
        """Stability of concept vectors, and their rank among controls."""
        vectors, study = self.vectors[layer], self.study
        told = concept_stability(vectors, rows, seeds=1, shuffles=1, progress=False)
        with collected():  # of fewer vectors than asked for, which was said of the fit itself
            control = study.fitted(rows, "exemplars", study.sizes.seed + 1)
        folder = self.stages.place(CONTRIBUTIONS, study.facts(self.vectors))
        size = np.abs(self._answered(control, None if folder is None else folder / layer))
        own = self.graph["nodes"].to_dataset()[v.CONTRIBUTION].isel({v.CATEGORY: 0})
        own = own.sel({v.NODE: [name_of(layer, mode) for mode in modes]})
        rank = 1 + (size[None] > np.abs(own.values)[:, None]).sum(1)
        data = {"control_rank": rank, "n_controls": np.full(len(modes), len(size))}
        made = {k: labels.labelled(x, (v.MODE,), name=k) for k, x in data.items()}
        again = told[["stability", "chance"]].sel({v.MODE: list(modes)}).reset_coords(drop=True)
        return xr.Dataset(made, {v.MODE: list(modes)}).merge(again)

    def _answered(self, vectors: ConceptVectors, folder: Path | None) -> NDArray[np.float64]:
        """Mean contribution of each vector to the answers of all images of the graph."""
        study = self.study
        total = np.zeros(vectors.dictionary.sizes[v.MODE])
        for i, name in enumerate(sorted({*study.category.tolist()})):
            some = study.images.isel({v.STIMULUS: np.flatnonzero(study.category == name)})
            with collected():  # the graph's own have warned
                found = concept_contributions(
                    study.net,
                    some,
                    source=vectors,
                    target=Output(str(name)),
                    steps=STEPS,  # enough for a rank
                    out=None if folder is None else existing_folder(folder) / f"controls-{i}.nc",
                    **study.settings,
                )
            total += found[v.CONTRIBUTION].sum(v.STIMULUS).values
        return np.asarray(total / len(study.category))
