"""Results of the stages of an analysis, kept in a folder, so that it goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import xarray as xr

from neurocodec import labels, storage
from neurocodec.errors import StorageError
from neurocodec.storage.files import Savable, existing_folder, whole_file

RECORD: Final = "stages.json"
"""File beside the results: name of each -> fingerprint of what it was made from."""

Result = TypeVar("Result", bound=xr.DataArray | xr.Dataset | xr.DataTree | Savable)


class Stages:
    """Keeps results as files of a folder (None: nowhere), and gives back what was made before."""

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else existing_folder(folder)
        self.files: list[str] = []

    def place(self, name: str, facts: Mapping[str, Any]) -> Path | None:
        """Folder for what a stage writes as it goes; another one where other facts make it."""
        return None if self.folder is None else self.folder / name / self._key(facts)[:12]

    def keep(self, name: str, facts: Mapping[str, Any], make: Callable[[], Result]) -> Result:
        """Read a result that was made from the same facts (as JSON) before, or make and keep it."""
        self.files.append(name)
        if self.folder is None:
            return make()
        key = self._key(facts)
        path = self.folder / name
        record = self._record()
        if record.get(name) == key and path.exists():
            kept: Result = storage.open(path)
            return kept
        result = make()
        existing_folder(path.parent)
        self._forget(name)  # killed after it is written, the file would stand for other facts
        storage.save(result, path)
        self._note({**self._record(), name: key})
        return result

    @staticmethod
    def _key(facts: Mapping[str, Any]) -> str:
        return labels.fingerprint(
            json.dumps(labels.plain({**facts, "versions": labels.versions()}), sort_keys=True)
        )

    def _record(self) -> dict[str, str]:
        """Fingerprints of what is kept."""
        path = self._path()
        try:
            return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}
        except (ValueError, TypeError, OSError) as error:
            raise StorageError(
                came=f"{str(path)!r}, which cannot be read: {error}",
                expected="the record of an analysis",
                hint=f"delete {str(path)!r}; what it stood for is computed again",
            ) from error

    def _forget(self, name: str) -> None:
        record = self._record()
        if record.pop(name, None) is not None:
            self._note(record)

    def _note(self, record: Mapping[str, str]) -> None:
        with whole_file(self._path()) as scratch:
            scratch.write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")

    def _path(self) -> Path:
        return (self.folder or Path()) / RECORD
