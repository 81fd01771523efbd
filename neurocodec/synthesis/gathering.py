"""Pictures batch by batch: into memory, or into a file from which a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from neurocodec import storage
from neurocodec.engine.samples import bar
from neurocodec.labels import plain
from neurocodec.nn.synthesis.ascent import Climbed

Some: TypeAlias = Callable[[int, int, Callable[[int], object]], Climbed]
"""Pictures from one place to another; told how many have gone a step."""


class Keep(NamedTuple):
    """Where pictures are kept as they are made, and what identifies them."""

    out: Path
    facts: Mapping[str, Any]


class Batches(NamedTuple):
    """How many pictures there are, how many are made at once, and what each of them takes."""

    pictures: int
    size: int
    empty: Climbed  # of no picture


def gathered(plan: Batches, some: Some, keep: Keep | None, *, progress: bool) -> Climbed:
    """All pictures; of a run that was stopped, those that it had not finished are made."""
    steps = plan.empty.objective.shape[1]
    with bar(plan.pictures * steps, "pictures", progress=progress) as shown:
        if keep is None:
            starts = range(0, plan.pictures, plan.size)
            done = [some(i, min(i + plan.size, plan.pictures), shown.update) for i in starts]
            return Climbed(*(torch.cat(parts) for parts in zip(*done, strict=True)))
        with storage.RunWriter(keep.out, facts=plain(keep.facts), size=plan.pictures) as run:
            missing = run.missing(plan.size)
            shown.update((plan.pictures - sum(x.stop - x.start for x in missing)) * steps)
            for part in missing:
                found = some(part.start, part.stop, shown.update)
                run.write(part.start, {n: x.numpy() for n, x in found._asdict().items()})
            run.finish(
                _template({n: x.numpy() for n, x in plan.empty._asdict().items()}, plan.pictures)
            )
    found = storage.open(keep.out)
    return Climbed(*(torch.from_numpy(np.array(found[name])) for name in Climbed._fields))


def kept_array(keep: Keep | None, size: int, make: Callable[[], xr.DataArray]) -> xr.DataArray:
    """An array of so many rows that is computed once, and read where it was kept."""
    if keep is None:
        return make()
    with storage.RunWriter(keep.out, facts=plain(keep.facts), size=size) as run:
        if not run.finished:
            values = make().rename("values")
            for part in run.missing(size):
                run.write(part.start, {"values": np.asarray(values)[part]})
            run.finish(xr.DataTree(values.to_dataset()))
    found: xr.DataArray = storage.open(keep.out)["values"]
    return found


def _template(arrays: Mapping[str, NDArray[Any]], size: int) -> xr.DataTree:
    """A result of arrays of so many rows, whose numbers are written already."""
    found = {
        name: (
            ("row", *(f"{name}_{i}" for i in range(1, x.ndim))),
            np.broadcast_to(x.dtype.type(0), (size, *x.shape[1:])),
        )
        for name, x in arrays.items()
    }
    return xr.DataTree(xr.Dataset(found))
