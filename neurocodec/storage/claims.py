"""One writer at a time: a folder is claimed by a lock that goes with the process that has it."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from neurocodec.errors import StorageError
from neurocodec.storage.files import PARTS, whole_file, writing_reported

logger = logging.getLogger(__name__)

LOCK: Final = "writer.lock"
HOLDER: Final = "writer.json"
"""Who has the lock, for the message of whoever comes second; the lock itself is the system's."""
FILES: Final = frozenset({LOCK, HOLDER})


class Claim:
    """A folder that this thread alone writes into, until it is released or the process ends."""

    def __init__(self, folder: Path, what: str) -> None:
        import filelock  # noqa: PLC0415 - slow to import, and needed where something is written

        self.folder = folder
        self._lock: Any = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)
        try:
            with writing_reported(folder):
                self._take(filelock.Timeout, what)
        except NotImplementedError:  # a file system without locks
            logger.warning("%s is not locked: let one process at a time write there", folder)

    def _take(self, taken: type[Exception], what: str) -> None:
        try:
            self._lock.acquire()
        except taken as error:
            raise StorageError(
                came=f"{what}, which is being written: {_holder(self.folder)}",
                expected="one process or thread at a time",
                hint="another out=, or wait until the other one has ended",
            ) from error
        now = time.strftime("%Y-%m-%d %H:%M:%S %z")
        own = {"host": socket.gethostname(), "process": os.getpid(), "since": now}
        with whole_file(self.folder / HOLDER) as scratch:
            scratch.write_text(json.dumps(own), "utf-8")

    def release(self, *, remove: bool = False) -> None:
        """Let others write; `remove` leaves no trace of the claim."""
        for name in (HOLDER, LOCK) if remove and self._lock.is_locked else ():
            (self.folder / name).unlink(missing_ok=True)
        self._lock.release()


@contextmanager
def claimed(target: Path | None) -> Iterator[None]:
    """Claim a folder, or a file by the folder of its parts, for a ``with`` block; None: nothing."""
    if target is None:
        yield
        return
    folder = target if target.is_dir() else target.with_name(target.name + PARTS)
    with writing_reported(folder):
        folder.mkdir(exist_ok=True)
    claim = Claim(folder, repr(str(target)))
    try:
        yield
    finally:
        claim.release(remove=True)
        if folder != target:
            with suppress(OSError):  # somebody else's parts are in it
                folder.rmdir()


def _holder(folder: Path) -> str:
    try:
        known = json.loads((folder / HOLDER).read_text("utf-8"))
        return f"by process {known['process']} on {known['host']} since {known['since']}"
    except (OSError, ValueError, KeyError):  # between its lock and its note
        return "by another process, which began just now"
