"""What the analysis of a retina model finds: labelled results, and how they are kept in files."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.dynamics import Dynamics
from neurocodec.attribution.completeness import completeness
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.attribution.target import Target
from neurocodec.storage.files import existing_folder

CONTRIBUTIONS: Final = "contributions.nc"
RESPONSES: Final = "responses.nc"
CELLS: Final = "cells.nc"
FIELDS: Final = "fields.nc"
SHAPES: Final = "field-shapes.nc"
COMBINATIONS: Final = "combinations.nc"
INTERNEURONS: Final = "interneurons.nc"
MAPS: Final = "maps.nc"
TENSION: Final = "tension.nc"
STABILITY: Final = "mode-stability.nc"
ENSEMBLE: Final = "ensemble.nc"
PICTURES: Final = "pictures.nc"


@dataclass(frozen=True)
class RetinaAnalysis:
    """What `analyse_retina` finds.

    Parameters
    ----------
    model
        Name of the network.
    stimulus
        The movie that was shown (time, y, x).
    rates
        Firing rates of the model's cells (time, cell), in Hz; coord `cell_type` where known.
    recorded
        Recorded rates of the same cells at the same times, where the movie came with them.
    target
        The scalar that was explained.
    tree
        Contributions, as `nc.contributions` returns them.
    modes
        Modes of the excitatory contributions of each layer.
    correlation
        Rank correlation (mode, cell) of each layer's loadings with the firing rates.
    clusters
        Clusters of the cells by these, each mode standardised over the cells; `pattern` is what
        was clustered.
    unclustered
        Layers whose cells could not be clustered, and why.
    agreement
        Adjusted Rand index between the clusterings, and with `cell_type` where known; its
        coordinate `p_value` is that of a permutation test, NaN for a clustering with itself.
    dynamics
        Receptive fields from moment to moment and the modes that go with them, where wanted.
    interneurons
        Recorded interneurons against units and modes, where there are any; the attribute
        `simulated` of those that are simulated is 1.
    simulated
        What of model and movie is simulated: "model", "movie", both or nothing.
    unfollowed
        Why there are no fields although they were wanted; empty where there are.
    maps
        Maps of some modes of each layer in the pixels of the movie, at times at which they were
        strong.
    unmapped
        Layers without maps, and why.
    stability
        Of the clusters of each layer, as `nc.cluster_stability` returns it.
    mode_stability
        Of the modes of each layer, as `nc.mode_stability` returns it, where wanted.
    ceiling
        `ceiling` and `ceiling_interval` of the recorded cells, where the movie came with repeats.
    scores
        `RetinaFit.scores` of the model, where they were given.
    shown
        What the interneurons saw (time, y, x), where that was not the movie.
    ensemble
        Summary figures of several models, where this is the first of them (`analyse_ensemble`).
    tension
        Excitation and inhibition of every cell by the first layer over a part of the movie, and
        when it is silent as nothing drives it (`silent`), or as inhibition cancels what does.
    untense
        Why there is no tension; empty where there is.
    pictures
        Movies that `channels` of the first layer and some `cells` answer most to, where wanted.
    """

    model: str
    stimulus: xr.DataArray
    rates: xr.DataArray
    recorded: xr.DataArray | None
    target: Target
    tree: xr.DataTree
    modes: Mapping[str, SparseModes]
    correlation: Mapping[str, xr.DataArray]
    clusters: Mapping[str, xr.Dataset]
    unclustered: Mapping[str, str]
    agreement: xr.DataArray
    dynamics: Dynamics | None
    interneurons: xr.DataTree | None
    simulated: tuple[str, ...]
    unfollowed: str = ""
    maps: xr.DataTree | None = None
    unmapped: Mapping[str, str] = field(default_factory=dict)
    stability: Mapping[str, xr.Dataset] = field(default_factory=dict)
    mode_stability: Mapping[str, xr.Dataset] = field(default_factory=dict)
    shown: xr.DataArray | None = None
    ceiling: xr.Dataset | None = None
    scores: xr.Dataset | None = None
    ensemble: xr.Dataset | None = None
    tension: xr.Dataset | None = None
    untense: str = ""
    pictures: xr.DataTree | None = None

    def __repr__(self) -> str:
        found = self.interneurons
        cells = f"{self.rates.sizes[v.CELL]} cells" + " with a recording" * (
            self.recorded is not None
        )
        modes = ", ".join(f"{k} {m.dictionary.sizes[v.MODE]}" for k, m in self.modes.items())
        frames, height, width = (self.stimulus.sizes[d] for d in (v.TIME, v.Y, v.X))
        fields = "none" if self.dynamics is None else ".dynamics"
        lines = [
            f"<RetinaAnalysis of {self.model}{self._others()}>",
            f"  movie         {frames} frames of {height} x {width} pixels",
            f"  responses     {cells}: .rates, .responses()",
            f"  target        {type(self.target).__name__}: .tree, .completeness",
            f"  modes         {modes}: .modes, .correlation, .mode_stability",
            f"  clusters      {', '.join(self.clusters) or 'none'}: .clusters, .stability",
            f"  fields, maps  {fields}, {'none' if self.maps is None else '.maps'}",
            f"  tension       {'none' if self.tension is None else '.tension'}",
            "  interneurons  "
            + ("none" if found is None else f"{found.sizes[v.INTERNEURON]}: .interneurons"),
            "  files: .save(folder); the page: .report(folder)",
        ]
        return "\n".join(lines)

    def _others(self) -> str:
        """How many models there are beside."""
        count = 0 if self.ensemble is None else self.ensemble.sizes[v.SEED] - 1
        return f" and {count} other models: .ensemble" if count else ""

    def report(self, folder: str | Path, *, settings: Mapping[str, Any] | None = None) -> Path:
        """Write every result, the figures and the page `report.html` to a folder.

        Parameters
        ----------
        folder
            Made where it does not exist; results of an earlier analysis are replaced.
        settings
            Further lines for the page's table of what was run.

        Returns
        -------
        pathlib.Path
            The page.

        Raises
        ------
        StorageError
            Where a file cannot be written.
        """
        self.save(folder)
        # pages stand above analyses, and are drawn only where one is asked for
        page = importlib.import_module("neurocodec.reports.retina.page")
        return Path(page.write_report(self, folder, settings=dict(settings or {})))

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in the network's order."""
        return list(self.tree.children)

    @property
    def completeness(self) -> xr.DataArray:
        """Relative completeness error (layer, quantile) of the contributions."""
        return completeness(self.tree)

    def responses(self) -> xr.Dataset:
        """Firing rates of the model, recorded ones, their correlation by cell, its ceiling."""
        data = self.rates.to_dataset()
        if self.recorded is not None:
            match = xr.corr(self.rates, self.recorded, dim=v.TIME)
            data["recorded_firing_rate"] = self.recorded
            data["correlation"] = labels.labelled(
                match.values, (v.CELL,), name="correlation", comment="rates not smoothed"
            )
            if self.ceiling is not None:
                data = data.assign({str(k): x.variable for k, x in self.ceiling.items()})
                data = data.assign_coords({v.BOUND: np.array(v.BOUNDS)})
        return labels.stamp(data, "nc.analyse_retina", rates=labels.provenance(self.rates))

    def cells(self) -> xr.DataTree:
        """Correlations and clusters of the cells layer by layer, and agreement at the root."""
        nodes = {"/": xr.Dataset({"adjusted_rand_index": self.agreement})}
        for layer, correlation in self.correlation.items():
            found = {"correlation": correlation, **self.clusters.get(layer, {})}
            if layer in self.stability:
                names = ("stability", "co_clustering")
                found |= {name: self.stability[layer][name] for name in names}
            nodes[f"/{layer}"] = xr.Dataset(found)
        tree = xr.DataTree.from_dict(nodes)
        return labels.stamp(tree, "nc.analyse_retina", contributions=labels.provenance(self.tree))

    def save(self, folder: str | Path, *, skip: Collection[str] = ()) -> list[Path]:
        """Write every result to a folder: contributions, responses, modes and cells.

        Parameters
        ----------
        folder
            Made where it does not exist; results of an earlier analysis are replaced.
        skip
            Names of files that are left as they are.

        Returns
        -------
        list of pathlib.Path
            The files that were written.

        Raises
        ------
        StorageError
            Where a file cannot be written.
        """
        place = existing_folder(folder)
        results = {name: x for name, x in self._results().items() if name not in skip}
        for name, result in results.items():
            storage.save(result, place / name)
        return [place / name for name in results]

    @property
    def files(self) -> list[str]:
        """Names of the files that `save` writes."""
        return list(self._results())

    def _results(self) -> dict[str, Any]:
        """File name -> what is in it."""
        found: dict[str, Any] = {CONTRIBUTIONS: self.tree, RESPONSES: self.responses()}
        found |= {f"modes-{layer}.nc": modes for layer, modes in self.modes.items()}
        found[CELLS] = self.cells()
        if self.dynamics is not None:
            found |= {FIELDS: self.dynamics.fields, SHAPES: self.dynamics.shapes}
            found[COMBINATIONS] = self.dynamics.tree()
        if self.maps is not None:
            found[MAPS] = self.maps
        if self.tension is not None:
            found[TENSION] = self.tension
        if self.interneurons is not None:
            found[INTERNEURONS] = self.interneurons
        if self.mode_stability:
            found[STABILITY] = xr.DataTree.from_dict({**self.mode_stability})
        if self.pictures is not None:
            found[PICTURES] = self.pictures
        if self.ensemble is not None:
            found[ENSEMBLE] = self.ensemble
        return found
