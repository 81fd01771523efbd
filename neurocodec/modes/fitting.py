"""Fits of sparse modes side by side, as one stack of tensors; what tells a fit from others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec.engine.memory import require_memory
from neurocodec.errors import InputError, warn
from neurocodec.modes.coders import SparseCoder
from neurocodec.modes.fitted import Fitted, finish, labelled_history
from neurocodec.modes.preparation import Prepared
from neurocodec.modes.summary import Known
from neurocodec.nn.sparse.active import Codes
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.fit import fit
from neurocodec.nn.sparse.loop import Checkpoint, Fit
from neurocodec.nn.sparse.source import Resident, Source, Streamed
from neurocodec.storage.claims import claimed


def fit_together(
    configs: Sequence[SparseConfig],
    prepared: Sequence[Prepared],
    device: torch.device,
    *,
    checkpoint: str | PathLike[str] | None = None,
    progress: bool = True,
    facts: Sequence[Mapping[str, Any]] = (),  # further provenance of each fit
) -> list[Fitted]:
    """Fit rows of one shape side by side, or one file's rows; settings differ as in `fit_modes`."""
    _require_room(configs[0], prepared, device)
    where = checkpoint_of(checkpoint, configs, prepared, device)
    with claimed(None if where is None else where.path):
        # the rows on the device are gone before loadings of all rows are made
        found = fit(
            _source(prepared, device),
            _held(prepared, device),
            configs,
            checkpoint=where,
            progress=progress,
        )
    made = []
    known = facts or [{}] * len(configs)
    for config, rows, result, more in zip(configs, prepared, found, known, strict=True):
        coder = SparseCoder.of(result.model, device)
        history = labelled_history(result.history)
        what = {"config": config, "known": _known(result), **more}
        made.append(finish(rows, coder, "nc.SparseModes.fit", history=history, **what))
        _report_silence(made[-1], config)
    if where is not None:
        where.path.unlink(missing_ok=True)  # not before, as encoding the rows may fail
    return made


def _require_room(config: SparseConfig, prepared: Sequence[Prepared], device: torch.device) -> None:
    """Refuse numbers of modes whose products and atoms no machine like this holds."""
    channels = prepared[0].rows.features
    modes = config.modes(channels)
    numbers = len(prepared) * modes * (3 * channels + modes * (config.encoder == "inference"))
    if device.type == "cpu":
        what = f"{modes} modes of {channels} channels (expansion={config.expansion:g})"
        require_memory(what, 4 * numbers, 'expansion="auto"')


def _report_silence(made: Fitted, config: SparseConfig) -> None:
    if not bool(made.summary["alive"].any()):
        setting = "l1_loading" if config.l1_loading else "threshold"
        warn(
            f"no mode is active on any row with {setting}={getattr(config, setting):g}; "
            f"fit with a smaller {setting}, more epochs or more rows"
        )


def _known(found: Fit) -> Known | None:
    """Loadings of some training rows, where the fit has left them."""
    codes, modes = found.codes, len(found.model.dictionary)
    if codes is None:
        return None
    index, value = codes.index.cpu(), codes.value.cpu()
    return lambda part: Codes(index[part], value[part]).dense(modes).numpy()


def _source(prepared: Sequence[Prepared], device: torch.device) -> Source:
    first = prepared[0]
    if not first.resident:
        return Streamed(first, first.rows.features, ~first.held, first.block, device)
    return Resident(_shared_or_stacked(prepared, device, lambda p: p.select(~p.held)))


def _held(prepared: Sequence[Prepared], device: torch.device) -> Source:
    return Resident(_shared_or_stacked(prepared, device, Prepared.held_sample))


def _shared_or_stacked(
    prepared: Sequence[Prepared],
    device: torch.device,
    select: Callable[[Prepared], NDArray[np.float32]],
) -> torch.Tensor:
    """Rows of all fits; one copy of them where all fits have the same."""
    first = prepared[0]
    if all(p is first for p in prepared):
        rows = torch.from_numpy(select(first)).to(device)
        return rows.expand(len(prepared), *rows.shape)
    return torch.stack([torch.from_numpy(select(p)) for p in prepared]).to(device)


def checkpoint_of(
    path: str | PathLike[str] | None,
    configs: Sequence[SparseConfig],
    prepared: Sequence[Prepared],
    device: torch.device,
) -> Checkpoint | None:
    """Where a fit writes its state, a ".safetensors" file; None where no path is given."""
    if path is None:
        return None
    return Checkpoint(_checked(path), identity(configs, prepared, device))


def identity(
    configs: Sequence[SparseConfig], prepared: Sequence[Prepared], device: torch.device
) -> dict[str, Any]:
    """What must be the same for a fit to go on bit for bit; lists where the fits differ."""
    settings = {
        field.name: _shared([getattr(c, field.name) for c in configs])
        for field in dataclasses.fields(SparseConfig)
    }
    versions = labels.versions()
    facts = {
        "fits": len(configs),
        "data": _shared([p.fingerprint for p in prepared]),
        "block": _shared([0 if p.resident else p.block for p in prepared]),  # 0: in memory
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
