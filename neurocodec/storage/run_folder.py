"""The folder beside the result of a long run: whose it is, and what is still to be computed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from neurocodec.errors import StorageError
from neurocodec.identity.marks import Identity
from neurocodec.storage.attributes import PREFIX, dumps
from neurocodec.storage.claims import FILES, Claim
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
IDENTITY: Final = PREFIX + "identity"
"""Root attribute of a finished run: marks of what its facts do not name, as JSON."""
_TOLD: Final = 12
"""Differences between two runs that are told, at most."""
_MARKED: Final = "state_sha256"
"""A fact that sums up marks, some of which a pass may change: these are compared one by one."""


class RunFolder:
    """A run on disk: its result or the folder in which it grows, and the facts that identify it.

    Where path or folder belong to another run, the error lists the facts that differ.
    """

    _others: ClassVar[tuple[str, str]] = ("", "")
    """Pattern of what another kind of writer leaves in the folder, and the call that goes on."""

    def __init__(
        self,
        path: PathLike,
        *,
        facts: Mapping[str, Any],
        size: int,
        identity: Identity | None = None,
    ) -> None:
        self._path = Path(path)
        self._format = format_of(self._path)
        self._size = size
        self._facts: dict[str, Any] = json.loads(dumps({**facts, "samples": size}, "the run"))
        self._folder = self._path.with_name(self._path.name + PARTS)
        self._identity = identity
        self._claim: Claim | None = None
        self.finished = self._is_finished()
        if not self.finished:
            self._claim_folder()
        if self.finished:
            self._remove_folder()  # of one that was killed just before it did so itself

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _remove_folder(self) -> None:
        self._release()  # before the folder goes, as some systems keep a file that is open
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _notes(self) -> dict[str, str]:
        notes = {RUN: json.dumps(self._facts)}
        return notes if self._identity is None else notes | {IDENTITY: _text(self._identity)}

    def _is_finished(self) -> bool:
        if not self._path.exists():
            require_free(self._path, overwrite=False)
            return False
        with damage_reported(self._path):
            root = self._format.read(self._path)["/"]
            root.close()
        if RUN not in root.attrs:
            require_free(self._path, overwrite=False)
        self._require_same(json.loads(root.attrs[RUN]), root.attrs.get(IDENTITY), self._path)
        return True

    def _claim_folder(self) -> None:
        record = self._folder / "run.json"
        with writing_reported(self._folder):
            self._folder.mkdir(exist_ok=True)
        if not record.exists() and any(p.name not in FILES for p in self._folder.glob("[!.]*")):
            require_free(self._folder, overwrite=False)
        self._claim = Claim(self._folder, repr(str(self._path)))
        try:
            self.finished = self._is_finished()  # by another process in the meantime
            if not self.finished:
                self._open_folder(record)
        except BaseException:
            self._release()
            raise

    def _open_folder(self, record: Path) -> None:
        """Begin a run, or go on with the one that was begun here."""
        for scratch in self._folder.glob(".*/"):  # of a write that was killed
            shutil.rmtree(scratch)
        marks = self._folder / "identity.json"
        if record.exists():
            with damage_reported(record):
                facts = json.loads(record.read_text("utf-8"))
                known = marks.read_text("utf-8") if marks.exists() else None
            self._require_same(facts, known, self._folder)
            self._require_own_kind()
            if known is None:  # begun before there were marks: what it was is not known
                self._identity = None
            return
        if self._identity is not None:
            with whole_file(marks) as scratch:
                scratch.write_text(_text(self._identity), "utf-8")
        with whole_file(record) as scratch:  # the last: without it there is no run
            scratch.write_text(json.dumps(self._facts, indent=1), "utf-8")

    def _require_own_kind(self) -> None:
        pattern, hint = self._others
        if pattern and any(self._folder.glob(pattern)):
            raise StorageError(
                came=f"{str(self._folder)!r}, of the same run in another way",
                expected="to go on as it was begun: by one process, or by a Dask client",
                hint=f"{hint}, or delete {str(self._folder)!r}",
            )

    def _require_same(self, there: dict[str, Any], marks: str | None, where: Path) -> None:
        """Refuse another run; marks are compared where both have them, unlike those of before."""
        here = self._facts
        keys = [k for k in {**there, **here} if k != _MARKED and there.get(k) != here.get(k)]
        differences = [f"{k} was {there.get(k)!r:.40}, is {here.get(k)!r:.40}" for k in keys]
        if not differences and marks is not None and self._identity is not None:
            with damage_reported(where):
                known = Identity(**json.loads(marks))
            differences = self._identity.differences(known)
        if differences:
            told = "; ".join(differences[:_TOLD]) + "; ..." * (len(differences) > _TOLD)
            raise StorageError(
                came=f"{str(where)!r} of another run: {told}",
                expected="the same model, layers, target, method and data",
                hint=f"another out=, or delete {str(where)!r}",
            )


def _text(identity: Identity) -> str:
    return json.dumps(dataclasses.asdict(identity), sort_keys=True)


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
