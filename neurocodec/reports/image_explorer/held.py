"""The held-out images of an analysis: their names, classes, answers and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import ImageAnalysis
from neurocodec.errors import InputError


@dataclass(frozen=True)
class Held:
    """What is known of the images that modes were not fitted to."""

    places: NDArray[np.intp]  # among all images of the analysis
    names: list[str]
    class_of: NDArray[np.intp]  # place among the classes; -1 where there is none
    answer: list[str]  # category with the largest output; "" where outputs have no names
    target: NDArray[np.float64]
    classes: list[str]

    @classmethod
    def of(cls, analysis: ImageAnalysis) -> Held:
        """Take them from an analysis."""
        tree, places = analysis.tree, np.flatnonzero(analysis.held.values)
        if not len(places):
            raise InputError(
                came=f"an analysis of {tree.sizes[v.STIMULUS]} images, none of them held out",
                expected="two or more images of some class",
            )
        known = v.LABEL in tree.coords
        own = (
            labels.class_names(tree.coords[v.LABEL].values[places])
            if known
            else np.full(len(places), "")
        )
        classes = sorted({*own.tolist()} - {""})
        index = {name: i for i, name in enumerate(classes)}
        class_of = np.array([index.get(name, -1) for name in own.tolist()], dtype=np.intp)
        named = v.SOURCE if v.SOURCE in tree.coords else v.STIMULUS
        return cls(
            places=places,
            names=[str(name) for name in tree.coords[named].values[places]],
            class_of=class_of,
            answer=_answers(analysis.responses, places),
            target=np.asarray(tree.data_vars[v.TARGET].values[places], dtype=np.float64),
            classes=classes,
        )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def members(self) -> NDArray[np.bool_]:
        """(image, class)."""
        return np.asarray(self.class_of[:, None] == np.arange(len(self.classes)))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Images of each class."""
        return np.asarray(self.members.sum(axis=0))

    def rows(self, analysis: ImageAnalysis, layer: str) -> xr.DataArray:
        """Contributions of a layer to the target at these images."""
        array = analysis.tree.children[layer].data_vars[v.CONTRIBUTION]
        return array.isel({v.STIMULUS: self.places}).load()


def _answers(responses: xr.DataArray, places: NDArray[np.intp]) -> list[str]:
    if v.CATEGORY not in responses.coords:
        return [""] * len(places)
    found: NDArray[Any] = responses.transpose(v.STIMULUS, ...).values[places]
    return [str(x) for x in responses[v.CATEGORY].values[found.argmax(axis=1)]]
