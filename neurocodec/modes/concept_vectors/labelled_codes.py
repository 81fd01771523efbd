"""Sparse codes of maps with their labels, in memory and in files, and maps that codes stand for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels, storage
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.identity.marks import Identity
from neurocodec.identity.walk import Walk
from neurocodec.kernels.pursuit import EMPTY, Codes
from neurocodec.modes.concept_vectors.coding import PursuitCoder, Solver, checked
from neurocodec.modes.concept_vectors.given import given, require_real
from neurocodec.rows.blocks import BLOCK, Data
from neurocodec.rows.matrix import coords_of
from neurocodec.rows.origin import require_same_origin

Arrays = dict[str, NDArray[Any]]

_SHORT: Final = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Vectors:
    """Concept vectors that were fitted, as codes are made with them."""

    coder: PursuitCoder
    dictionary: xr.DataArray
    origin: Mapping[str, Any]  # provenance of the rows that were fitted
    facts: Callable[..., dict[str, Any]]  # provenance of what a method makes


def codes_of(
    vectors: Vectors,
    data: Data,
    by: tuple[Solver, int | None],  # solver, and how many vectors a row may have
    *,
    layer: str | None,
    out: str | PathLike[str] | None,
) -> xr.Dataset:
    """Codes of maps, a block of samples after the other."""
    atoms = vectors.dictionary
    place = None if out is None else arguments.path("out", out, hint="out='codes.nc'")
    asked = vectors.coder.active if by[1] is None else by[1]
    most = {"concept vectors": len(atoms), "channels": atoms.sizes[v.CHANNEL]}
    solver, count = checked(by[0], asked, most)
    with given(data, layer) as (array, origin):
        maps = _require_maps(array, atoms)
        require_same_origin(origin, vectors.origin, "maps")
        job = _Job(vectors, maps, solver, count)
        return job.in_memory() if place is None else job.streamed(place)


class _Job:
    """Maps whose codes are made, with what identifies the run."""

    def __init__(self, vectors: Vectors, maps: xr.DataArray, solver: Solver, active: int) -> None:
        self.vectors, self.maps, self.solver, self.active = vectors, maps, solver, active
        self.dim = _sample_dim(maps)
        self.places = [d for d in map(str, maps.dims) if d not in {self.dim, v.CHANNEL}]
        self.size = maps.sizes[self.dim]
        self.block = max(1, BLOCK // max(1, math.prod(maps.sizes[d] for d in self.places)))
        self.mark = self._mark()

    def part(self, start: int, stop: int) -> xr.DataArray:
        """Some samples, in memory, their channels last."""
        some = self.maps.isel({self.dim: slice(start, stop)})
        return some.transpose(self.dim, *self.places, v.CHANNEL)

    def _mark(self) -> str:
        """Fingerprint of the maps, read block by block, so that those of a file need not fit."""
        coords = [f"{n} {c.dims}" for n, c in self.maps.coords.items()]
        values = [np.asarray(c.values) for c in self.maps.coords.values()]
        digest = hashlib.sha256(labels.fingerprint(repr(coords), *values).encode())
        for start in range(0, self.size, self.block):
            some = self.part(start, min(start + self.block, self.size))
            digest.update(np.ascontiguousarray(some.values).data.cast("B"))
        return digest.hexdigest()

    def rows(self, start: int, stop: int) -> Arrays:
        """Codes of some samples."""
        some = self.part(start, stop)
        labels.require_finite(some, "maps", start)
        flat = np.asarray(some.values).reshape(-1, some.shape[-1])
        values, index = self.vectors.coder.codes(flat, self.active, self.solver)
        shape = (*some.shape[:-1], self.active)
        kind = np.int16 if len(self.vectors.coder.atoms) <= _SHORT else np.int32
        return {
            v.LOADING: values.reshape(shape),
            v.LOADING_MODE: index.astype(kind).reshape(shape),
        }

    def facts(self) -> dict[str, Any]:
        known = self.vectors.facts("transform", data=self.mark)
        return {**known, "solver": self.solver, "active": self.active}

    def label(self, arrays: Arrays) -> xr.Dataset:
        dims = (self.dim, *self.places, v.SLOT)
        coords = _coords_without(self.maps, v.CHANNEL)
        labels.require_free_names(coords, (v.LOADING, v.LOADING_MODE, v.SLOT), "the maps")
        coords[v.SLOT] = xr.Variable(v.SLOT, np.arange(self.active))
        units = {v.LOADING: str(self.vectors.dictionary.attrs.get("units", ""))}
        found = xr.Dataset(
            {
                name: labels.labelled(x, dims, coords, name=name, units=units.get(name))
                for name, x in arrays.items()
            }
        )
        return labels.stamp(found, **self.facts())

    def in_memory(self) -> xr.Dataset:
        """All codes."""
        parts = [
            self.rows(start, min(start + self.block, self.size))
            for start in range(0, max(self.size, 1), self.block)
        ]
        arrays = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        return self.label(arrays)

    def streamed(self, out: Path) -> xr.Dataset:
        """Codes in a file; goes on where an earlier call stopped."""
        walk = Walk()
        walk.visit("modes", (self.vectors.coder.atoms, self.vectors.coder.start))
        with storage.RunWriter(
            out, facts=labels.plain(self.facts()), size=self.size, identity=Identity(walk.data)
        ) as run:
            for part in run.missing(self.block):
                run.write(part.start, self.rows(part.start, part.stop))
            one = self.rows(0, 1)
            empty = {n: np.broadcast_to(x[0], (self.size, *x.shape[1:])) for n, x in one.items()}
            tree = run.finish(xr.DataTree(self.label(empty)))
        return tree.to_dataset()


def _require_maps(array: xr.DataArray, atoms: xr.DataArray) -> xr.DataArray:
    """Maps of samples, with the channels that were fitted."""
    require_real(array)
    _sample_dim(array)
    if array.sizes[v.CHANNEL] != atoms.sizes[v.CHANNEL]:
        raise InputError(
            came=f"maps of {array.sizes[v.CHANNEL]} channels, for vectors of"
            f" {atoms.sizes[v.CHANNEL]}",
            expected="maps of the layer that was fitted",
            hint="vectors.layer says which",
        )
    known = v.CHANNEL in array.coords and v.CHANNEL in atoms.coords
    if known and not np.array_equal(array[v.CHANNEL].values, atoms[v.CHANNEL].values):
        raise InputError(
            came="maps with other channels than the vectors, or in another order",
            expected="the same 'channel' in the same order",
            hint="maps.sel(channel=vectors.dictionary.channel)",
        )
    return array


def _sample_dim(array: xr.DataArray) -> str:
    dims = tuple(map(str, array.dims))
    samples = [d for d in (*v.SAMPLE_DIMS, v.VECTOR) if d in dims]
    if v.CHANNEL not in dims or len(samples) != 1 or v.MODE in dims:
        raise InputError(
            came=f"maps with dims {dims} and shape {array.shape}",
            expected="('stimulus', 'channel', 'y', 'x'), with tokens or without positions, or"
            " ('vector', 'channel')",
            hint="maps.rename(old_name='channel')",
        )
    return samples[0]


def _coords_without(data: xr.DataArray | xr.Dataset, dim: str) -> dict[str, Any]:
    return {str(n): c.variable for n, c in data.coords.items() if dim not in c.dims}


def rows_of(vectors: Vectors, codes: xr.Dataset) -> xr.DataArray:
    """Maps that codes stand for, their channels after the samples."""
    if not isinstance(codes, xr.Dataset) or not {v.LOADING, v.LOADING_MODE} <= {*codes}:
        raise InputError(
            came=f"codes of type {type(codes).__name__}",
            expected=f"a Dataset with {v.LOADING!r} and {v.LOADING_MODE!r}",
            hint="vectors.inverse_transform(vectors.transform(maps))",
        )
    made = labels.provenance(codes).get("modes")
    if made and made != labels.fingerprint(vectors.dictionary):
        raise InputError(
            came="codes that were made with other concept vectors",
            expected="codes of these",
            hint="vectors.inverse_transform(vectors.transform(maps))",
        )
    places = [str(d) for d in codes[v.LOADING].dims if d != v.SLOT]
    values, index = (codes[n].transpose(*places, v.SLOT) for n in (v.LOADING, v.LOADING_MODE))
    flat = Codes(
        np.asarray(values.values, np.float32).reshape(-1, values.shape[-1]),
        np.asarray(index.values, np.int32).reshape(-1, values.shape[-1]),
    )
    most = int(flat.indices.max(initial=EMPTY))
    if most >= len(vectors.dictionary) or int(flat.indices.min(initial=0)) < EMPTY:
        raise InputError(
            came=f"codes of the vector {most}, of {len(vectors.dictionary)}",
            expected=f"numbers from 0 to {len(vectors.dictionary) - 1}, and {EMPTY} where empty",
            hint="vectors.transform(maps)",
        )
    made_rows = vectors.coder.made(flat).reshape(*values.shape[:-1], -1)
    atoms = vectors.dictionary
    coords = {**_coords_without(codes, v.SLOT), **coords_of(atoms, v.CHANNEL)}
    dims = (*places, v.CHANNEL)
    name = str(atoms.attrs.get("variable") or v.ACTIVATION)
    found = labels.labelled(made_rows, dims, coords, name=name, units=atoms.attrs["units"])
    found = found.transpose(places[0], v.CHANNEL, *places[1:])
    return labels.stamp(found, **vectors.facts("inverse_transform"))
