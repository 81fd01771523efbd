"""One analysis of images under way: what all of its parts work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.stages import Stages
from neurocodec.kernels.splits import held_out_of_each
from neurocodec.network import Network

SHOWN: Final = 5
"""Names that are written out of those that are left out."""


@dataclass(frozen=True)
class Halves:
    """Images that modes and rankings see, and images that they are judged on."""

    held: NDArray[np.bool_]  # true where an image is held out

    @classmethod
    def of(cls, samples: xr.DataArray, fraction: float, seed: int) -> Halves:
        """Hold out the same part of the images of every class; of all where there are none."""
        count = samples.sizes[v.STIMULUS]
        known = v.LABEL in samples.coords
        classes = labels.class_names(samples[v.LABEL]) if known else np.zeros(count)
        return cls(held_out_of_each(classes, fraction, seed))

    def fitted(self, rows: Any) -> Any:
        """Rows of the images that are seen."""
        return rows.isel({v.STIMULUS: ~self.held})

    def judged(self, rows: Any) -> Any:
        """Rows of the images that are held out."""
        return rows.isel({v.STIMULUS: self.held})


@dataclass(frozen=True)
class ImageStudy:
    """A network, the images that it was shown, and what they contributed."""

    net: Network
    images: xr.DataArray  # those of the tree, in its order
    tree: xr.DataTree  # as `nc.contributions` returns it
    halves: Halves
    stages: Stages
    seed: int = 0
    computing: dict[str, Any] = field(default_factory=dict)  # batch_size, device, workers, progress
    left_out: dict[str, str] = field(default_factory=dict)  # part -> why (some of) it is not there

    @property
    def classes(self) -> set[str]:
        """Labels of the images."""
        if v.LABEL not in self.tree.coords:
            return set()
        return {*labels.class_names(self.tree.coords[v.LABEL]).tolist()} - {""}

    @property
    def has_classes(self) -> bool:
        """Whether there are two or more."""
        return len(self.classes) > 1

    @property
    def without_classes(self) -> str:
        """Why nothing can be said about classes; empty where there are two or more."""
        if self.has_classes:
            return ""
        name = next(iter(self.classes), "")
        return f"all images are of one class, {name}" if name else "the images have no classes"

    def rows(self, layer: str, kind: str) -> xr.DataArray:
        """Contributions or activations of a layer, with the labels of the images."""
        array = self.tree.children[layer].data_vars[kind]
        labelled = array.assign_coords(self.labels)  # of which a node inherits the index alone
        origin = {"function": "nc.contributions", **labels.provenance(self.tree), "layer": layer}
        return labels.stamp(labelled, **{k: x for k, x in origin.items() if k != "versions"})

    @property
    def labels(self) -> dict[str, xr.Variable]:
        """What is known of each image."""
        found = self.tree.coords.items()
        return {str(k): c.variable for k, c in found if c.dims == (v.STIMULUS,)}

    def facts(self, **facts: Any) -> dict[str, Any]:
        """What a result was made from: the contributions, the halves, and what is given."""
        held = labels.fingerprint(self.halves.held)
        return {"run": labels.provenance(self.tree), "held": held, "seed": self.seed, **facts}

    def leave_out(self, part: str, failed: dict[str, str]) -> None:
        """Note why some of a part is not there, beside what was noted before."""
        told = [self.left_out[part]] if part in self.left_out else []
        told += [f"{name}: {why}" for name, why in failed.items()]
        if told:
            self.left_out[part] = "; ".join(told)


def some_of(names: Sequence[str]) -> str:
    """Write out the first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
    return ", ".join(names[:SHOWN]) + more
