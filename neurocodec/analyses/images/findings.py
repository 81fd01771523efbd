"""What the analysis of a network that sees images finds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.attribution.completeness import completeness
from neurocodec.labels import class_names
from neurocodec.modes.sparse import SparseModes
from neurocodec.nn.attribution.target import Target

STATISTICS: Final = "statistics.nc"
RESPONSES: Final = "responses.nc"
CONCEPTS: Final = "concepts.nc"
KINDS: Final = (v.CONTRIBUTION, v.ACTIVATION)
"""Rows that modes are fitted to: what channels do, and for comparison what they represent."""
EACH_MODE: Final = "modes"
"""Node with the maps of several modes, each for the images that it is most active on."""
EACH_CHANNEL: Final = "channels"
"""Node with the maps of the channels of one mode, for one image."""

LEAST: Final = 5
"""Images of a class that must be held out, and as many that rankings see: fewer are no class."""

Modes = Mapping[str, Mapping[str, SparseModes]]
"""Kind of rows -> layer -> modes."""


@dataclass(frozen=True)
class ImageAnalysis:
    """What `nc.analyse_images` finds.

    Parameters
    ----------
    model
        Name of the network.
    target
        The scalar that was explained.
    tree
        Contributions, as `nc.contributions` returns them; read from their file when they are used.
    responses
        Answers of the network (stimulus, category).
    held
        True for images (stimulus) that modes and rankings have not seen.
    statistics
        By layer: the nodes `hoyer`, `sign_correlation` and `dimensionality` of `nc.statistics`.
    modes
        Kind ("contribution", "activation") -> layer -> modes.
    concepts
        As `nc.concept_scores` returns it, of the held-out images.
    maps
        Layer -> maps of some of its modes in the pixels of the images that they are most active
        on, in the nodes "modes" and "channels" (of one mode, channel by channel).
    pictures
        Layer -> the picture that each mode with maps answers most to, as `nc.visualise` returns
        it, where wanted.
    mode_stability
        Layer -> which modes of contributions come back, as `nc.mode_stability` returns it, where
        wanted.
    perturbation
        Layer -> as `nc.perturbation_curve` returns it, on the held-out images.
    superclasses
        The same for concepts above the classes.
    left_out
        Part of the analysis -> why it, or some of it, is not there.
    files
        Names of the files in the folder.
    """

    model: str
    target: Target
    tree: xr.DataTree
    responses: xr.DataArray
    held: xr.DataArray
    statistics: xr.DataTree | None = None
    modes: Modes = field(default_factory=dict)
    concepts: xr.DataTree | None = None
    maps: Mapping[str, xr.DataTree] = field(default_factory=dict)
    perturbation: Mapping[str, xr.Dataset] = field(default_factory=dict)
    superclasses: Mapping[str, xr.Dataset] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, xr.Dataset] = field(default_factory=dict)
    mode_stability: Mapping[str, xr.Dataset] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = {
            "statistics": self.statistics is not None,
            "modes": bool(self.modes),
            "mode_stability": bool(self.mode_stability),
            "concepts": self.concepts is not None,
            "maps": bool(self.maps),
            "pictures": bool(self.pictures),
            "perturbation": bool(self.perturbation),
        }
        there = ", ".join(f".{name}" for name, found in parts.items() if found)
        return "\n".join(
            [
                f"<ImageAnalysis of {self.model}>",
                f"  {self.tree.sizes[v.STIMULUS]:,} images, target {type(self.target).__name__}",
                f"  layers {', '.join(self.layers)}",
                f"  found  .tree, .responses{', ' * bool(there)}{there}",
                f"  not there: {', '.join(self.left_out) or 'nothing'}",
                "  the page: .report(folder)",
            ]
        )

    def report(self, folder: str | Path, *, settings: Mapping[str, Any] | None = None) -> Path:
        """Write the figures and the page `report.html` to a folder, beside the results there.

        Parameters
        ----------
        folder
            The folder that `nc.analyse_images` wrote its results to, or another.
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
        # pages stand above analyses, and are drawn only where one is asked for
        page = importlib.import_module("neurocodec.reports.images")
        return Path(page.write_image_report(self, folder, settings=dict(settings or {})))

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in the network's order."""
        return list(self.tree.children)

    @property
    def completeness(self) -> xr.DataArray:
        """Relative completeness error (layer, quantile) of the contributions."""
        return completeness(self.tree)

    @property
    def accuracy(self) -> tuple[float, int] | None:
        """Part of the images that are classified rightly, and of how many; None without labels."""
        if v.LABEL not in self.responses.coords:
            return None
        names = self.responses[v.CATEGORY].values.astype(str)
        label = class_names(self.responses[v.LABEL])
        known = np.isin(label, names) & (label != "")
        if not known.any():
            return None
        answer = names[self.responses.values.argmax(axis=1)]
        return float((answer == label)[known].mean()), int(known.sum())
