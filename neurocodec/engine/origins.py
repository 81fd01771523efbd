"""Where a stored stimulus comes from, and what tells it from others without decoding it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import xarray as xr

from neurocodec.identity.walk import Walk, summary

READ: Final = 2**28
"""Bytes of files, together, up to which they are told by their content; larger ones are told by
name, size and time of change."""
_KNOWN: Final = ("xarray", "neurocodec")
"""Packages whose lazy arrays are what is in their files, and how it is looked at."""


def content_of(variable: xr.Variable) -> str | None:
    """Fingerprint of the files behind a variable, and of what is taken of them; None: no files."""
    data, walk = variable._data, Walk()  # noqa: SLF001 - no public way to see what is behind it
    depth = 0
    while hasattr(data, "array"):
        if not _is_known(data):
            return None
        if hasattr(data, "key"):
            walk.visit(f"key {depth}", data.key.tuple)
        if hasattr(data, "func"):  # how numbers are unpacked
            walk.visit(f"function {depth}", data.func)
        data, depth = data.array, depth + 1
    files = sorted(_files(data)) if _is_known(data) else []
    if not files:
        return None
    settings = {k: x for k, x in _attributes(data).items() if not _is_place(k, x)}
    walk.visit("settings", settings)
    return hashlib.sha256((summary(walk.data) + _content(files)).encode()).hexdigest()


def _is_known(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] in _KNOWN


def _attributes(data: Any) -> dict[str, Any]:
    """Settings of a lazy array: of xarray's own those that say which array of the file it is."""
    if type(data).__module__.startswith("xarray."):
        inner = getattr(data, "_array", None)
        name = getattr(data, "variable_name", getattr(inner, "path", ""))
        group = getattr(getattr(data, "datastore", None), "_group", "")
        return {"name": name, "group": group if isinstance(group, str) else ""}
    found = {k: x for k, x in vars(data).items() if not k.startswith("_")}
    found.pop("preprocessing", None)  # whose code counts too: looked at by whoever has the samples
    images = found.pop("images", None)  # of `nc.images`: what is read of which file, and how
    if images is not None:
        found |= {"sources": images.sources, "places of items": images.places}
    return found


def _is_place(name: str, value: object) -> bool:
    """Whether it says where a file is, not what is in it: a folder may move."""
    return isinstance(value, Path) or name in {"path", "file", "files"}


def _files(data: Any) -> Iterator[Path]:
    """Files that a lazy array reads; none where it reads anything else."""
    images = getattr(data, "images", None)
    if images is not None:
        yield from (images.files[i] for i in data.places if images.files)
        return
    store = getattr(data, "datastore", None)
    zarr = getattr(getattr(data, "_array", None), "store", None)
    for place in (
        getattr(data, "path", None),
        getattr(store, "_filename", None),
        getattr(zarr, "root", None),
    ):
        if isinstance(place, str | Path) and Path(place).exists():
            yield from _below(Path(place))


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (p for p in path.rglob("*") if p.is_file())
    elif path.is_file():
        yield path


def _content(files: Iterable[Path]) -> str:
    """Fingerprint of files: of their bytes, or of many what says that they were changed."""
    digest = hashlib.sha256()
    known = [(f, f.stat()) for f in files if f.exists()]
    small = sum(s.st_size for _, s in known) <= READ
    for file, status in known:
        digest.update(f"{file.name} {status.st_size} ".encode("utf-8", "surrogateescape"))
        if small:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        else:
            digest.update(f"{status.st_mtime_ns} ".encode())
    return digest.hexdigest()
