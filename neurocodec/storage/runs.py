"""Runs whose results are written as they come, and that go on where they were killed.

Rows lie in numbered parts in a folder beside the result, `run.nc.parts`, until all are there;
then they are put together, part by part, into the result, and the folder goes.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neurocodec.errors import InputError, StorageError
from neurocodec.storage.attributes import PREFIX, dumps
from neurocodec.storage.encoding import StoredGroup, StoredVariable, encode, stored_values
from neurocodec.storage.files import (
    PARTS,
    PathLike,
    damage_reported,
    fill,
    open,  # noqa: A004
    require_free,
    whole_file,
)
from neurocodec.storage.formats import Arrays, format_of

RUN: Final = PREFIX + "run"
"""Root attribute of a finished run: the facts that tell it from other runs, as JSON."""

Rows = Mapping[str, NDArray[Any]]
"""Path of a variable ("layer1/contribution") -> its rows, sample axis first."""

_PART: Final = re.compile(r"rows-(\d+)-(\d+)\.safetensors")
_PART_BYTES: Final = 2**26
_PART_SECONDS: Final = 10.0


class RunWriter:
    """Writes the rows of a long run in any order, and knows which are still to be computed.

    Killed at any moment and made again with the same arguments, it goes on from the parts on
    disk; at most the last ten seconds are computed again. One process at a time may write a run.

    Parameters
    ----------
    path
        The result: ends in ".nc" or ".zarr".
    facts
        What tells this run from others: fingerprints of weights and data, layers, target, method.
        Values as attributes take them.
    size
        Number of samples.

    Attributes
    ----------
    finished : bool
        The result is whole already: `nc.open(path)`.

    Raises
    ------
    StorageError
        Where `path` or its parts belong to another run; the facts that differ are listed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> times = np.arange(5) / 100
    >>> with RunWriter(f"{folder.name}/run.nc", facts={"method": "ActGrad"}, size=5) as run:
    ...     for rows in run.missing(2):
    ...         run.write(rows.start, {"target": times[rows] ** 2})
    ...     template = xr.Dataset({"target": ("time", np.broadcast_to(0.0, 5))}, {"time": times})
    ...     result = run.finish(xr.DataTree(template))
    >>> bool((result["target"] == times**2).all())
    True
    >>> result.close(); folder.cleanup()
    """

    def __init__(self, path: PathLike, *, facts: Mapping[str, Any], size: int) -> None:
        self._path = Path(path)
        self._format = format_of(self._path)
        self._size = size
        self._facts: dict[str, Any] = json.loads(dumps({**facts, "samples": size}, "the run"))
        self._folder = self._path.with_name(self._path.name + PARTS)
        self._buffer: list[tuple[int, Rows]] = []
        self._flushed = time.monotonic()
        self.finished = self._is_finished()
        if self.finished:
            shutil.rmtree(self._folder, ignore_errors=True)  # killed just before it did so itself
        else:
            self._claim_folder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError):  # a full disk would only fail again
            self._flush()

    def missing(self, block_size: int) -> list[slice]:
        """Ranges of samples that are still to be computed.

        Parameters
        ----------
        block_size
            Samples in a range, at most.

        Returns
        -------
        list of slice
            In order, without overlap.
        """
        if self.finished:
            return []
        return list(_blocks(self._covered(), self._size, block_size))

    def write(self, start: int, rows: Rows) -> None:
        """Take the results of consecutive samples; they are on disk some seconds later.

        Parameters
        ----------
        start
            Position of the first sample.
        rows
            Path of each variable -> its rows, sample axis first.

        Raises
        ------
        InputError
            Where the variables differ in length, reach beyond the end or are not numbers.
        StorageError
            Where the disk is full.
        """
        _require_rows(start, rows, self._size)
        if self._buffer and start != _end(self._buffer[-1]):
            self._flush()
        self._buffer.append((start, {k: v.copy() for k, v in rows.items()}))
        waited = time.monotonic() - self._flushed
        if waited > _PART_SECONDS or _bytes(self._buffer) > _PART_BYTES:
            self._flush()

    def finish(self, template: xr.DataTree) -> xr.DataTree:
        """Put the parts together into the result, with memory for one part only.

        Parameters
        ----------
        template
            The result as it is to be: dims, coordinates, attributes, dtypes. The values of the
            variables that were written are not used: `np.broadcast_to(np.float32(0), shape)`
            takes no memory.

        Returns
        -------
        xarray.DataTree
            The result, opened lazily; identical to `nc.save` of the whole tree.

        Raises
        ------
        InputError
            Where the template does not fit the rows that were written.
        StorageError
            Where rows are missing, a part is damaged or the disk is full.
        """
        if not self.finished:
            self._assemble(template)
        tree: xr.DataTree = open(self._path, lazy=True)
        return tree

    def _assemble(self, template: xr.DataTree) -> None:
        self._flush()
        parts = self._parts()
        _require_whole(self.missing(self._size), self._size)
        groups = encode(template, notes={RUN: json.dumps(self._facts)})
        _require_fit(groups, _load(parts[0]) if parts else {}, self._size)
        with (
            whole_file(self._path, self._folder) as scratch,
            self._format.create(scratch, groups) as arrays,
        ):
            _copy(groups, arrays, parts)
        shutil.rmtree(self._folder)
        self.finished = True

    def _is_finished(self) -> bool:
        if not self._path.exists():
            require_free(self._path, overwrite=False)
            return False
        with damage_reported(self._path):
            root = self._format.read(self._path)["/"]
            root.close()
        if RUN not in root.attrs:
            require_free(self._path, overwrite=False)
        self._require_same(json.loads(root.attrs[RUN]), self._path)
        return True

    def _claim_folder(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for scratch in self._folder.glob(".*/"):  # of a write that was killed
            shutil.rmtree(scratch)
        record = self._folder / "run.json"
        if record.exists():
            with damage_reported(record):
                facts = json.loads(record.read_text("utf-8"))
            self._require_same(facts, self._folder)
        elif any(self._folder.iterdir()):
            require_free(self._folder, overwrite=False)
        else:
            with whole_file(record) as scratch:
                scratch.write_text(json.dumps(self._facts, indent=1), "utf-8")

    def _require_same(self, there: dict[str, Any], where: Path) -> None:
        keys = [k for k in {**there, **self._facts} if there.get(k) != self._facts.get(k)]
        if keys:
            here = self._facts
            differences = (f"{k} was {there.get(k)!r:.40}, is {here.get(k)!r:.40}" for k in keys)
            raise StorageError(
                came=f"{str(where)!r} of another run: {'; '.join(differences)}",
                expected="the same model, layers, target, method and data",
                hint=f"another out=, or delete {str(where)!r}",
            )

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("rows-*.safetensors"))

    def _covered(self) -> list[tuple[int, int]]:
        ranges = [_range(part) for part in self._parts()]
        return sorted([*ranges, *((start, _end((start, rows))) for start, rows in self._buffer)])

    def _flush(self) -> None:
        if self._buffer:
            start, stop = self._buffer[0][0], _end(self._buffer[-1])
            names = self._buffer[0][1]
            rows = {k: np.concatenate([block[k] for _, block in self._buffer]) for k in names}
            with whole_file(self._folder / f"rows-{start:012}-{stop:012}.safetensors") as scratch:
                save_file(rows, scratch)
            self._buffer.clear()
        self._flushed = time.monotonic()


def _end(block: tuple[int, Rows]) -> int:
    start, rows = block
    return start + len(next(iter(rows.values())))


def _bytes(blocks: Iterable[tuple[int, Rows]]) -> int:
    return sum(v.nbytes for _, rows in blocks for v in rows.values())


def _range(part: Path) -> tuple[int, int]:
    found = _PART.fullmatch(part.name)
    if found is None:
        raise StorageError(
            came=f"{str(part)!r}, which is no part of a run", hint=f"delete {str(part)!r}"
        )
    return int(found[1]), int(found[2])


def _blocks(covered: Sequence[tuple[int, int]], size: int, block: int) -> Iterator[slice]:
    """Slices of at most `block` samples that fill the gaps between the covered ranges."""
    position = 0
    for start, stop in [*covered, (size, size)]:
        for first in range(position, start, block):
            yield slice(first, min(first + block, start))
        position = max(position, stop)


def _require_rows(start: int, rows: Rows, size: int) -> None:
    lengths = {name: len(v) for name, v in rows.items()}
    if len(set(lengths.values())) != 1 or not 0 <= start <= start + max(lengths.values()) <= size:
        raise InputError(
            came=f"rows from {start} with lengths {lengths}",
            expected=f"one length for all, within the {size} samples of the run",
        )
    for name, values in rows.items():
        if values.dtype.kind not in "biuf" or values.dtype.char == "g":
            raise InputError(
                came=f"rows of {name!r} of dtype {values.dtype}",
                expected="real numbers or booleans; text belongs to the template",
            )


def _require_whole(missing: Sequence[slice], size: int) -> None:
    if missing:
        ranges = ", ".join(f"{s.start}:{s.stop}" for s in missing[:5])
        raise StorageError(
            came=f"a run of {size} samples without {ranges}" + ", ..." * (len(missing) > 5),
            expected="all samples",
            hint="for rows in run.missing(block_size): run.write(rows.start, ...)",
        )


def _variables(groups: Sequence[StoredGroup]) -> dict[str, StoredVariable]:
    return {g.key(name): v for g in groups for name, v in g.variables.items()}


def _require_fit(groups: Sequence[StoredGroup], rows: Rows, size: int) -> None:
    wanted = {k: (v.source.dtype, v.shape) for k, v in _variables(groups).items()}
    for key, values in rows.items():
        came = (values.dtype, (size, *values.shape[1:]))
        if wanted.get(key) != came:
            raise InputError(
                came=f"rows of {key!r} of dtype {came[0]} for the shape {came[1]}",
                expected=f"as in the template: {wanted.get(key, 'no such variable')}",
            )


def _copy(groups: Sequence[StoredGroup], arrays: Arrays, parts: Sequence[Path]) -> None:
    written = set(_load(parts[0])) if parts else set()
    fill(groups, arrays, written)
    for part in parts:
        start, stop = _range(part)
        rows = _load(part)
        for key in written:
            arrays[key][start:stop] = stored_values(rows[key])


def _load(part: Path) -> dict[str, NDArray[Any]]:
    try:
        return load_file(part)
    except SafetensorError as error:
        raise StorageError(
            came=f"{str(part)!r}, which is damaged: {error}",
            expected="a whole part",
            hint=f"delete {str(part)!r} and make the same call again",
        ) from error
