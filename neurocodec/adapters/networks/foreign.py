"""Models that `nc.load_model` does not know: what they are, and what to type instead."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from neurocodec.adapters.networks.torch_files import load_torch_file
from neurocodec.errors import StorageError

CHECKPOINTS: Final = (".pt", ".pth")
"""Endings of torch-deep-retina's checkpoints."""
LIGHTNING: Final = ".ckpt"
ENDINGS: Final = (
    *CHECKPOINTS,
    *(LIGHTNING, ".safetensors", ".bin", ".h5", ".hdf5", ".keras", ".onnx", ".mat", ".npz"),
)
"""Endings by which a name was meant as a file."""
OWN: Final = "a file of nc.save_model or its folder, or a checkpoint of torch-deep-retina (.pt)"
BY_HAND: Final = "nc.Network(module, layers=['name'], history=40), of a module with its weights"
RUNS: Final = ("", "*/", "*/*/")
"""Where the checkpoints of a run of Lightning are below its folder, or that of its logs."""
VERSION: Final = "pytorch-lightning_version"
MOST: Final = 100_000_000
"""Bytes up to which the header of a safetensors file is believed."""


def no_such_model(path: Path, bundled: Sequence[str]) -> StorageError:
    """Error for a path without a model: no such file, or a folder with other things in it."""
    if path.is_dir():
        return _in_folder(path)
    folder = path.parent
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else None
    near = difflib.get_close_matches(path.name, there or [], n=1)
    missing = "" if there is not None else f", nor the folder {str(folder)!r}"
    return StorageError(
        came=f"no such file: {str(path)!r}{missing}",
        expected=f"{OWN}, or one of {', '.join(bundled)}",
        hint=f"nc.load_model({str(folder / near[0])!r})" if near else "",
    )


def _in_folder(path: Path) -> StorageError:
    """What a folder without weights of ours holds, and which of it may be the model."""
    found = sorted(p for p in path.iterdir() if p.suffix in ENDINGS)
    deep = (p for up in RUNS for p in path.glob(f"{up}checkpoints/*{LIGHTNING}"))
    found = found or sorted(deep)
    names = sorted(p.name for p in path.iterdir())
    return StorageError(
        came=f"{str(path)!r}, which is a folder without weights.safetensors, but with"
        f" {names[:6] or 'nothing'}",
        expected=OWN,
        hint=f"nc.load_model({str(found[-1])!r})" if found else "",
    )


def require_safetensors(path: Path) -> None:
    """Refuse a file that is none, before its first bytes are taken for the length of a header."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and length < MOST:
        return
    if zipfile.is_zipfile(path) and path.suffix != ".npz":
        raise _of_torch(path)
    raise StorageError(
        came=f"{str(path)!r}, a file that begins with {start[:8]!r}",
        expected=OWN,
        hint=BY_HAND,
    )


def _of_torch(path: Path) -> StorageError:
    """Checkpoint of Lightning, or another file of `torch.save`; nothing that it asks for is run."""
    try:
        content = load_torch_file(path)
    except StorageError as error:
        if path.suffix != LIGHTNING:
            return error
        told = error.came.removeprefix(str(path)).strip()
        return _lightning(path, f" which {told}", safe=False)
    keys = [*map(str, content)] if isinstance(content, Mapping) else []
    if VERSION in keys or (path.suffix == LIGHTNING and "state_dict" in keys):
        version = f" of version {content[VERSION]}" if VERSION in keys else ""
        return _lightning(path, version, safe=True)
    return StorageError(
        came=f"{str(path)!r}, a file of torch.save with {keys[:6] or type(content).__name__}",
        expected=OWN,
        hint="module.load_state_dict(torch.load(path, weights_only=True)), then"
        " nc.Network(module, layers=['name'], history=40)",
    )


def _lightning(path: Path, more: str, *, safe: bool) -> StorageError:
    trust = "" if safe else ", if you trust who wrote it"
    return StorageError(
        came=f"{str(path)!r}, a Lightning checkpoint{more}",
        expected=f"{OWN}: a Lightning checkpoint has weights, and not the module that they are of",
        hint=f"module.load_state_dict(torch.load({str(path)!r}, weights_only={safe})"
        f"['state_dict']), then nc.Network(module, layers=['name'], history=40){trust}",
    )
