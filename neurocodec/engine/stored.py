"""Stimuli that stay where they are stored: blocks of rows, read when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from neurocodec.engine.origins import content_of
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, provenance, require_finite

logger = logging.getLogger(__name__)

FROM_FILES = "nc.images"
"""Function whose stimuli are decoded from files: worker processes can read them."""
TOLD = 10
"""Names of images that could not be read that are told, at most."""
ReadRows = tuple[NDArray[Any], NDArray[np.bool_]]
"""Rows (images, or frames), and which of the samples could be read."""


def is_stored(stimulus: xr.DataArray) -> bool:
    """Whether the values are still in a file, or in the graph of a Dask array."""
    return stimulus.chunks is not None or not stimulus.variable._in_memory  # noqa: SLF001


def skips_broken(stimulus: xr.DataArray) -> bool:
    """Whether samples that are NaN throughout are images that `nc.images` could not read."""
    facts = provenance(stimulus)
    return facts.get("function") == FROM_FILES and facts.get("broken") == "skip"


@dataclass(frozen=True)
class StoredSamples:
    """Rows of a stimulus that are read when they are needed."""

    variable: xr.Variable  # slices of it read nothing until their values are asked for
    dims: tuple[str, ...]  # order of the axes that is wanted, the sample dim first
    dtype: DTypeLike  # that is wanted
    facts: dict[str, Any]  # what is known of where it comes from
    overlap: int = 0  # rows that the last sample of a block needs beyond its own
    skips: bool = False  # whether rows that are NaN throughout are samples to leave out
    forks: bool = True  # whether worker processes may be forked to read it
    places: NDArray[np.intp] | None = None  # first rows of the samples; None: every row

    @classmethod
    def of(
        cls, stimulus: xr.DataArray, dims: tuple[str, ...], dtype: DTypeLike, overlap: int
    ) -> StoredSamples:
        """Rows of a labelled array, with the provenance that tells it from others."""
        facts = {k: v for k, v in provenance(stimulus).items() if k != "versions"}
        return cls(stimulus.variable, dims, dtype, facts, overlap, skips_broken(stimulus))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis, in the order of `dims`."""
        return tuple(self.variable.sizes[d] for d in self.dims)

    @property
    def from_files(self) -> bool:
        """Whether it is decoded from files of images, not read from one file or a Dask graph."""
        data = self._behind
        own = not type(data).__module__.startswith(("xarray.", "dask."))
        return own and self.facts.get("function") == FROM_FILES

    @property
    def _behind(self) -> Any:
        """Object that reads the numbers, below the views of xarray."""
        data = self.variable._data  # noqa: SLF001 - no public way to see what is behind it
        while hasattr(data, "array"):
            data = data.array
        return data

    @property
    def preprocessing(self) -> Any:
        """What is done to an image that is read, where that is known."""
        return getattr(self._behind, "preprocessing", None)

    @cached_property
    def content(self) -> str | None:
        """Fingerprint of the files that it is in; None where none are known."""
        return None if self.variable.chunks is not None else content_of(self.variable)

    def in_threads(self) -> StoredSamples:
        """Read the same rows without processes, as in a worker of Dask, which has threads."""
        return replace(self, forks=False)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of what is stored where, without reading it."""
        return fingerprint(repr((self.dims, self.shape, str(self.variable.dtype), self.facts)))

    def read(self, start: int, stop: int) -> ReadRows:
        """Read the rows of some samples, which must be finite, and say which could be read."""
        # samples that do not follow each other come as windows, which share no rows
        if self.places is None:
            return self._read(start, stop)
        places = self.places[start:stop]
        runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        found = [self._read(int(run[0]), int(run[-1]) + 1)[0] for run in runs]
        if len(found) > 1:
            cut = [np.moveaxis(sliding_window_view(x, self.overlap + 1, 0), -1, 1) for x in found]
            found = [np.concatenate(cut)]
        return found[0], np.ones(len(places), bool)

    def _read(self, start: int, stop: int) -> ReadRows:
        """Read consecutive rows, with those that the last one needs."""
        part = self.variable.isel({self.dims[0]: slice(start, stop + self.overlap)})
        if part.chunks is not None:  # not on a client, which may be waiting for this very block
            part = part.compute(scheduler="threads")
        values = np.require(part.transpose(*self.dims).values, self.dtype, ["C", "W"])
        return values, checked(values, self.dims, start, skips=self.skips, overlap=self.overlap)


def checked(
    values: NDArray[Any], dims: tuple[str, ...], start: int, *, skips: bool, overlap: int = 0
) -> NDArray[np.bool_]:
    """Refuse values that are not finite; a bool a sample says which could be read."""
    kept = np.ones(len(values) - overlap, bool)
    if np.isfinite(values).all():
        return kept
    if skips:
        kept = ~np.isnan(values).reshape(len(values), -1).all(1)
    for place in np.flatnonzero(kept) if skips else ():
        require_finite(xr.DataArray(values[[place]], dims=dims), "the stimulus", start + int(place))
    if not skips:
        require_finite(xr.DataArray(values, dims=dims), "the stimulus", start)
    return kept


def read_coords(
    coords: Mapping[str, xr.Variable], dim: str, kept: NDArray[np.bool_]
) -> dict[str, xr.Variable]:
    """Coordinates of the samples that were read; the others are told by name in the log."""
    if kept.all():
        return dict(coords)
    place = np.flatnonzero(~kept)
    names = [str(i) for i in (coords["source"].values[place] if "source" in coords else place)]
    told = ", ".join(names[:TOLD]) + ", ..." * (len(names) > TOLD)
    if not kept.any():
        raise InputError(
            came=f"{len(kept)} images, none of which could be read: {told}",
            expected="at least one image that can be read",
        )
    logger.warning(
        "%d of %d images could not be read and are left out: %s", len(names), len(kept), told
    )
    return {name: c.isel({dim: kept}) for name, c in coords.items()}
