"""Runs whose results are written as they come, and that go on where they were killed.

Arrays lie in numbered parts in a folder beside the result, `run.nc.parts`, until all are there;
then they are put together, part by part, into the result, and the folder goes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from safetensors.numpy import save_file

from neurocodec.identity.marks import Identity
from neurocodec.storage.encoding import encode
from neurocodec.storage.files import (
    PathLike,
    open,  # noqa: A004
    whole_file,
)
from neurocodec.storage.parts import (
    KEPT,
    Arrays,
    bytes_of,
    copy_parts,
    end_of,
    kept_samples,
    load_part,
    parts_in,
    range_of,
    require_fit,
    require_rows,
)
from neurocodec.storage.run_folder import RunFolder, gaps, require_whole

_PART_BYTES: Final = 2**26
_PART_SECONDS: Final = 10.0


class RunWriter(RunFolder):
    """Writes the rows of a long run in any order, and knows which are still to be computed.

    Killed and made again with the same arguments, it goes on from the parts on disk; at most ten
    seconds are computed again. One process or thread at a time may write a run.
    """

    _others = ("ranges-*", "the same call with client=")

    def __init__(
        self,
        path: PathLike,
        *,
        facts: Mapping[str, Any],
        size: int,
        identity: Identity | None = None,
    ) -> None:
        super().__init__(path, facts=facts, size=size, identity=identity)
        self._buffer: list[tuple[int, Arrays]] = []
        self._writer = ThreadPoolExecutor(1, "neurocodec-write")
        self._pending: tuple[tuple[int, int], Future[None]] | None = None
        self._flushed = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, OSError):  # a full disk would only fail again
                self._flush()
        finally:
            self._writer.shutdown(wait=True)
            self._release()

    def missing(self, block_size: int) -> list[slice]:
        """Ranges of samples that are still to be computed, in order."""
        if self.finished:
            return []
        return list(gaps(self._covered(), self._size, block_size))

    def write(self, start: int, rows: Arrays) -> None:
        """Take the results of consecutive samples; a thread has them on disk some seconds later.

        What keeps it from writing is raised by the next call.
        """
        require_rows(start, rows, self._size)
        if self._pending and self._pending[1].done():
            self._settle()
        if self._buffer and start != end_of(self._buffer[-1]):
            self._flush_behind()
        self._buffer.append((start, {k: v.copy() for k, v in rows.items()}))
        waited = time.monotonic() - self._flushed
        if waited > _PART_SECONDS or bytes_of(self._buffer) > _PART_BYTES:
            self._flush_behind()

    def kept(self) -> NDArray[np.bool_]:
        """Which samples the result shall have: all but those whose rows said otherwise."""
        self._flush()
        return kept_samples(parts_in(self._folder), self._size)

    def finish(self, template: xr.DataTree, *, chunk_rows: int | None = None) -> xr.DataTree:
        """Put the parts together into the result, opened lazily, with memory for one part only.

        Of the template, which has the samples that are kept, values are used where none were
        written; for the others `np.broadcast_to(np.float32(0), shape)` takes no memory.
        """
        if not self.finished:
            self._assemble(template, chunk_rows)
        tree: xr.DataTree = open(self._path, lazy=True)
        return tree

    def _assemble(self, template: xr.DataTree, chunk_rows: int | None) -> None:
        self._flush()
        require_whole(self.missing(self._size), self._size)
        parts, kept = parts_in(self._folder), self.kept()
        groups = encode(template, notes=self._notes)
        first = load_part(parts[0]) if parts else {}
        require_fit(groups, {k: v for k, v in first.items() if k != KEPT}, int(kept.sum()))
        with (
            whole_file(self._path, self._folder) as scratch,
            self._format.create(scratch, groups, chunk_rows) as arrays,
        ):
            copy_parts(groups, arrays, parts, kept)
        self._remove_folder()
        self.finished = True

    def _covered(self) -> list[tuple[int, int]]:
        ranges = [range_of(part) for part in parts_in(self._folder)]
        ranges += [] if self._pending is None else [self._pending[0]]
        return sorted([*ranges, *((start, end_of((start, rows))) for start, rows in self._buffer)])

    def _flush(self) -> None:
        self._flush_behind()
        self._settle()

    def _flush_behind(self) -> None:
        """Hand the buffer to the thread; wait for what it had before, so that memory stays flat."""
        self._settle()
        if self._buffer:
            buffer, self._buffer = self._buffer, []
            span = buffer[0][0], end_of(buffer[-1])
            self._pending = span, self._writer.submit(self._save, span, buffer)
        self._flushed = time.monotonic()

    def _settle(self) -> None:
        """Wait for the thread; raise here what kept it from writing."""
        if self._pending is not None:
            (_, pending), self._pending = self._pending, None
            pending.result()

    def _save(self, span: tuple[int, int], buffer: list[tuple[int, Arrays]]) -> None:
        rows = {k: np.concatenate([block[k] for _, block in buffer]) for k in buffer[0][1]}
        with whole_file(self._folder / f"rows-{span[0]:012}-{span[1]:012}.safetensors") as scratch:
            save_file(rows, scratch)
