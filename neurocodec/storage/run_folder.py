"""The folder beside the result of a long run: whose it is, and what is still to be computed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from neurocodec.errors import StorageError
from neurocodec.storage.attributes import PREFIX, dumps
from neurocodec.storage.files import (
    PARTS,
    PathLike,
    damage_reported,
    require_free,
    whole_file,
    writing_reported,
)
from neurocodec.storage.formats import format_of

RUN: Final = PREFIX + "run"
"""Root attribute of a finished run: the facts that tell it from other runs, as JSON."""


class RunFolder:
    """A run on disk: its result or the folder in which it grows, and the facts that identify it.

    Where path or folder belong to another run, the error lists the facts that differ.
    """

    _others: ClassVar[tuple[str, str]] = ("", "")
    """Pattern of what another kind of writer leaves in the folder, and the call that goes on."""

    def __init__(self, path: PathLike, *, facts: Mapping[str, Any], size: int) -> None:
        self._path = Path(path)
        self._format = format_of(self._path)
        self._size = size
        self._facts: dict[str, Any] = json.loads(dumps({**facts, "samples": size}, "the run"))
        self._folder = self._path.with_name(self._path.name + PARTS)
        self.finished = self._is_finished()
        if self.finished:
            shutil.rmtree(self._folder, ignore_errors=True)  # killed just before it did so itself
        else:
            self._claim_folder()

    @property
    def _notes(self) -> dict[str, str]:
        return {RUN: json.dumps(self._facts)}

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
        with writing_reported(self._folder):
            self._folder.mkdir(exist_ok=True)
        for scratch in self._folder.glob(".*/"):  # of a write that was killed
            shutil.rmtree(scratch)
        record = self._folder / "run.json"
        if record.exists():
            with damage_reported(record):
                facts = json.loads(record.read_text("utf-8"))
            self._require_same(facts, self._folder)
            self._require_own_kind()
        elif any(self._folder.iterdir()):
            require_free(self._folder, overwrite=False)
        else:
            with whole_file(record) as scratch:
                scratch.write_text(json.dumps(self._facts, indent=1), "utf-8")

    def _require_own_kind(self) -> None:
        pattern, hint = self._others
        if pattern and any(self._folder.glob(pattern)):
            raise StorageError(
                came=f"{str(self._folder)!r}, of the same run in another way",
                expected="to go on as it was begun: by one process, or by a Dask client",
                hint=f"{hint}, or delete {str(self._folder)!r}",
            )

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


def gaps(covered: Sequence[tuple[int, int]], size: int, block: int) -> Iterator[slice]:
    """Slices of at most `block` samples that fill the gaps between the covered ranges, in order."""
    position = 0
    for start, stop in [*covered, (size, size)]:
        for first in range(position, start, block):
            yield slice(first, min(first + block, start))
        position = max(position, stop)


def require_whole(missing: Sequence[slice], size: int) -> None:
    """Refuse to finish a run that is not whole."""
    if missing:
        ranges = ", ".join(f"{s.start}:{s.stop}" for s in missing[:5])
        raise StorageError(
            came=f"a run of {size} samples without {ranges}" + ", ..." * (len(missing) > 5),
            expected="all samples",
            hint="for rows in run.missing(block_size): run.write(rows.start, ...)",
        )
