"""``target="label"``: each image is asked about the output that its label names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import class_names
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Output

BY_LABEL: Final = "label"


def labels_of(images: xr.DataArray, target: Target | Literal["label"]) -> NDArray[Any] | None:
    """Output that each image is asked about in place of a target; None where there is a target."""
    if isinstance(target, Target):
        return None
    expected = "one of nc.targets, or 'label' for images with the coordinate 'label'"
    hint = "target=nc.targets.TopK(1, hold=True)"
    if target != BY_LABEL:
        raise InputError(came=f"target={target!r}", expected=expected, hint=hint)
    if v.LABEL not in images.coords:
        known = [*map(str, images.coords)]
        came = f"target='label' for images without labels, whose coordinates are {known}"
        raise InputError(came=came, expected=expected, hint=hint)
    found = class_names(images[v.LABEL])
    if found.shape != (images.sizes[v.STIMULUS],) or not found.any():
        raise InputError(came="images whose labels are all empty", expected=expected, hint=hint)
    return found


def require_outputs(labels: NDArray[Any] | None, outputs: Sequence[str]) -> None:
    """Refuse labels that are no outputs of the network, before any image is asked about one."""
    for label in np.unique([] if labels is None else labels):
        if label and label not in outputs:
            raise unknown_name("output", label, outputs)


def with_label(images: xr.DataArray, target: Target | Literal["label"]) -> NDArray[np.intp]:
    """Places of the images that are asked about; with ``"label"`` of those that have one."""
    labels = labels_of(images, target)
    every = np.arange(images.sizes[v.STIMULUS])
    return every if labels is None else np.flatnonzero(labels != "")


def goals(
    images: xr.DataArray, target: Target | Literal["label"]
) -> Iterator[tuple[Target, NDArray[np.intp]]]:
    """Targets, and the places of the images that each is asked of."""
    if isinstance(target, Target):
        yield target, np.arange(images.sizes[v.STIMULUS])
        return
    labels = np.asarray(labels_of(images, target))
    for label in np.unique(labels):
        yield Output(str(label)), np.flatnonzero(labels == label)
