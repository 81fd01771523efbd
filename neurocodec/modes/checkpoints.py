"""The checkpoint of a fit: its file, and what tells this fit from others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from neurocodec import labels
from neurocodec.errors import InputError
from neurocodec.modes.preparation import Prepared
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.loop import Checkpoint


def checkpoint_of(
    path: str | PathLike[str] | None,
    configs: Sequence[SparseConfig],
    prepared: Sequence[Prepared],
    device: torch.device,
) -> Checkpoint | None:
    """Where a fit writes its state; None where no path is given.

    Parameters
    ----------
    path
        Ends in ".safetensors".
    configs, prepared
        Settings and rows of each fit.
    device
        Where they are fitted.

    Raises
    ------
    InputError
        Where the path has another ending, or its folder does not exist.

    Examples
    --------
    >>> checkpoint_of(None, [], [], torch.device("cpu")) is None
    True
    """
    if path is None:
        return None
    return Checkpoint(_checked(path), identity(configs, prepared, device))


def identity(
    configs: Sequence[SparseConfig], prepared: Sequence[Prepared], device: torch.device
) -> dict[str, Any]:
    """Everything that must be the same for a fit to go on bit for bit, one entry per setting.

    Parameters
    ----------
    configs, prepared, device
        As in `checkpoint_of`.

    Returns
    -------
    dict
        An entry is a list over the fits where these differ; "block" is 0 for rows in memory.

    Examples
    --------
    >>> found = identity([SparseConfig(seed=1), SparseConfig(seed=2)], [], torch.device("cpu"))
    >>> found["seed"], found["epochs"], found["fits"], found["device"]
    ([1, 2], 80, 2, 'cpu')
    """
    settings = {
        field.name: _shared([getattr(c, field.name) for c in configs])
        for field in dataclasses.fields(SparseConfig)
    }
    versions = labels.versions()
    facts = {
        "fits": len(configs),
        "data": _shared([p.fingerprint for p in prepared]),
        "block": _shared([0 if p.resident else p.block for p in prepared]),
        "device": device.type,
        "neurocodec": versions["neurocodec"],
        "torch": versions["torch"],
    }
    return labels.plain({**settings, **facts})


def _shared(values: list[Any]) -> Any:
    return values[0] if values and all(v == values[0] for v in values) else values


def _checked(path: str | PathLike[str]) -> Path:
    found = Path(path) if isinstance(path, str | PathLike) else None
    if found is None or found.suffix != ".safetensors" or not found.parent.is_dir():
        raise InputError(
            came=f"checkpoint={path if found is None else str(path)!r}",
            expected="a file that ends in '.safetensors', in a folder that exists",
            hint="checkpoint='modes.safetensors'",
        )
    return found
