"""Which output of a network each sample's own label is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.labels import class_names


def own_classes(samples: Samples, names: Sequence[str]) -> NDArray[np.intp]:
    """Position of the output that each sample's own label is; refused where there is none."""
    if v.LABEL not in samples.coords:
        raise InputError(
            came="a target of each sample's own label, and a stimulus without labels",
            expected=f"the coordinate {v.LABEL!r} along {samples.dim!r}",
            hint=f"stimulus.assign_coords(label=({samples.dim!r}, names))",
        )
    given = np.asarray(samples.coords[v.LABEL].values)
    found = category_positions(given, names)
    if bool((found < 0).any()):
        first = int(np.flatnonzero(found < 0)[0])
        raise InputError(
            came=f"the label {str(given[first])!r} of sample {first}, one of {sum(found < 0)} that"
            " no output is",
            expected=f"names of outputs, such as {names[0]!r}, or their positions",
            hint=f"stimulus.isel({samples.dim}=stimulus.label.isin({[*map(str, names[:2])]}))",
        )
    return found


def category_positions(
    found: xr.DataArray | Sequence[Any] | NDArray[Any],  # names or positions of categories
    names: Sequence[str],  # of the categories
) -> NDArray[np.intp]:
    """Positions of labels among the categories; -1 where a label is none of them."""
    texts = class_names(found)
    given = [x for x, text in zip(np.asarray(found, dtype=object), texts, strict=True) if text]
    if given and all(map(is_position, given)):
        numbers = [int(float(text)) if text else -1 for text in texts.tolist()]
        return np.array([i if 0 <= i < len(names) else -1 for i in numbers], dtype=np.intp)
    place = {name: i for i, name in enumerate(names) if name}
    return np.array([place.get(label, -1) for label in texts.tolist()], dtype=np.intp)


def is_position(label: object) -> bool:
    """Whether a label is a whole number; those of a column with missing ones are floats."""
    return arguments.is_whole(label) or (isinstance(label, float) and label.is_integer())
