"""Runs that several processes write: one Zarr store, in which each writes its ranges of samples.

The store lies in the folder beside the result, `run.zarr.parts`, until all ranges have their
marker; then it is renamed. A range without a marker is computed again, whoever had it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec.errors import InputError, StorageError
from neurocodec.identity.marks import Identity
from neurocodec.storage.encoding import encode, stored_values
from neurocodec.storage.files import (
    PathLike,
    damage_reported,
    fill,
    open,  # noqa: A004
    whole_file,
    writing_reported,
)
from neurocodec.storage.parts import KEPT, Arrays, require_fit
from neurocodec.storage.run_folder import RunFolder, gaps, require_whole

_STORE: Final = "ranges-store.zarr"
_MARKER: Final = re.compile(r"ranges-(\d+)-(\d+)\.json")


class SharedRun(RunFolder):
    """A run into whose Zarr store several processes write, each its ranges of samples.

    Killed at any moment and made again with the same arguments, it goes on from the markers.
    """

    _others = ("rows-*", "the same call without client=")

    def __init__(
        self,
        path: PathLike,
        *,
        facts: Mapping[str, Any],
        size: int,
        identity: Identity | None = None,
    ) -> None:
        if Path(path).suffix != ".zarr":
            raise InputError(
                came=f"out={str(path)!r}",
                expected="a Zarr store, into which several processes can write",
                hint=f"out={str(Path(path).with_suffix('.zarr'))!r}",
            )
        super().__init__(path, facts=facts, size=size, identity=identity)

    @property
    def folder(self) -> Path:
        """Where the store grows; what `write_range` needs."""
        return self._folder.absolute()

    def prepare(
        self,
        template: Callable[[NDArray[np.bool_]], xr.DataTree],
        rows: Arrays,
        *,
        chunk_rows: int,
    ) -> None:
        """Make the store, with room for every sample, where there is none from an earlier call.

        `template` makes the result without its numbers, from which samples it is to have.
        """
        self._template, self._written = template, tuple(rows)
        if self.finished:
            return
        if not (self._folder / _STORE).exists():
            groups = encode(template(np.ones(self._size, bool)), notes=self._notes)
            require_fit(groups, rows, self._size)
            with (
                whole_file(self._folder / _STORE) as scratch,
                self._format.create(scratch, groups, chunk_rows) as arrays,
            ):
                fill(groups, arrays, self._written)
        self.chunk_rows = int(_arrays(self._folder, self._written)[self._written[0]].chunks[0])

    def missing(self, chunks: int = 1) -> list[slice]:
        """Ranges of at most so many chunks of samples that are still to be computed."""
        if self.finished:
            return []
        covered = sorted(_range(marker) for marker in self._markers())
        return list(gaps(covered, self._size, chunks * self.chunk_rows))

    def kept(self) -> NDArray[np.bool_]:
        """Which samples the result shall have: all but those whose rows said otherwise."""
        kept = np.ones(self._size, bool)
        for marker in self._markers():
            with damage_reported(marker, hint=f"delete {str(marker)!r}"):
                broken = json.loads(marker.read_text("utf-8"))["broken"]
            kept[np.asarray(broken, int)] = False
        return kept

    def finish(self) -> xr.DataTree:
        """Make the store the result, opened lazily."""
        if not self.finished:
            require_whole(self.missing(self._size), self._size)
            kept = self.kept()
            store = self._folder / _STORE
            if kept.all():
                with writing_reported(self._path):
                    store.rename(self._path)  # killed before: it goes on; after: it is finished
            else:
                self._compact(kept)
            self._remove_folder()
            self.finished = True
        tree: xr.DataTree = open(self._path, lazy=True)
        return tree

    def _compact(self, kept: NDArray[np.bool_]) -> None:
        """Write the result without the samples that could not be read, chunk by chunk."""
        groups = encode(self._template(kept), notes=self._notes)
        stored = _arrays(self._folder, self._written)
        with (
            whole_file(self._path, self._folder) as scratch,
            self._format.create(scratch, groups, self.chunk_rows) as arrays,
        ):
            fill(groups, arrays, self._written)
            for rows in gaps([], self._size, self.chunk_rows):
                first, whole = int(kept[: rows.start].sum()), kept[rows]
                for key in self._written if whole.any() else ():
                    arrays[key][first : first + int(whole.sum())] = stored[key][rows][whole]

    def _markers(self) -> Iterable[Path]:
        return self._folder.glob("ranges-*.json")


def write_range(folder: Path, start: int, rows: Arrays) -> None:
    """Write the rows of a range into the store in `SharedRun.folder`, and then its marker."""
    if not (folder / _STORE).is_dir():
        raise StorageError(
            came=f"{str(folder)!r}, which this process does not see",
            expected="a folder that the client and all its workers share",
            hint="out= on a shared file system",
        )
    found = {name: values for name, values in rows.items() if name != KEPT}
    stop = start + len(next(iter(found.values())))
    broken = start + np.flatnonzero(~rows[KEPT]) if KEPT in rows else np.zeros(0, int)
    with writing_reported(folder):
        for name, array in _arrays(folder, found).items():
            array[start:stop] = stored_values(found[name])
    with whole_file(folder / f"ranges-{start:012}-{stop:012}.json") as scratch:
        scratch.write_text(json.dumps({"broken": broken.tolist()}), "utf-8")


def _arrays(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    import zarr  # noqa: PLC0415 - an extra

    with zarr.config.set({"array.write_empty_chunks": True}):  # a missing chunk is a damaged file
        root = zarr.open_group(folder / _STORE, mode="r+", zarr_format=2)
        return {name: root[name] for name in names}


def _range(marker: Path) -> tuple[int, int]:
    found = _MARKER.fullmatch(marker.name)
    if found is None:
        raise StorageError(
            came=f"{str(marker)!r}, which is no part of a run", hint=f"delete {str(marker)!r}"
        )
    return int(found[1]), int(found[2])
