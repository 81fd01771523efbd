"""How many modes a fit gets where the rows decide that."""

from __future__ import annotations

import dataclasses
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from neurocodec import vocabulary as v
from neurocodec.errors import warn
from neurocodec.kernels.splits import held_out
from neurocodec.modes.preparation import Prepared
from neurocodec.nn.sparse.config import AUTO, SparseConfig
from neurocodec.nn.sparse.counting import Count, Tried, count_modes

_log = logging.getLogger(__name__)

_ROWS: Final = 20_000
"""Training rows, at equal distances, that modes are counted on."""
NUMBER: Final = "number"
"""Name, in the provenance of a fit, of how its number of modes was found."""


def settled(
    config: SparseConfig, prepared: Prepared, device: torch.device
) -> tuple[SparseConfig, dict[str, Any]]:
    """Settings with a number of modes that the rows decide, and how, where that is asked for."""
    if config.expansion != AUTO:
        return config, {}
    features, fitted = prepared.rows.features, int((~prepared.held).sum())
    most = config.most_modes(features, fitted)
    found = count_modes(_halves(prepared, config.seed, device), config, most)
    _say(found, fitted, few=most < config.most_modes(features, sys.maxsize))
    known = {AUTO: True, **dataclasses.asdict(found), "tried": [*map(_plain, found.tried)]}
    return dataclasses.replace(config, expansion=found.modes / features), {NUMBER: known}


def _plain(tried: Tried) -> dict[str, Any]:
    """One number and what it reached; None for no number, which JSON does not have."""
    known = dataclasses.asdict(tried)
    return {k: x if math.isfinite(x) else None for k, x in known.items()}


def settled_together(
    configs: Sequence[SparseConfig],
    prepared: Sequence[Prepared],
    rows: Sequence[object],  # what was prepared; the modes of one object are counted once
    devices: Sequence[torch.device],
) -> list[tuple[SparseConfig, Mapping[str, Any]]]:
    """Settle each of several fits; those that differ in their seed alone get one number."""
    known = dict[tuple[int, SparseConfig], tuple[SparseConfig, dict[str, Any]]]()
    found = list[tuple[SparseConfig, Mapping[str, Any]]]()
    for config, one, array, device in zip(configs, prepared, rows, devices, strict=True):
        key = (id(array), dataclasses.replace(config, seed=0))
        if key not in known:
            known[key] = settled(config, one, device)
        number = known[key][0].expansion
        found.append((dataclasses.replace(config, expansion=number), known[key][1]))
    return found


def _halves(prepared: Prepared, seed: int, device: torch.device) -> torch.Tensor:
    """Two halves of the training rows, (2, rows, channels): blocks of a movie, else single rows."""
    training = np.flatnonzero(~prepared.held)
    some = np.zeros(len(prepared), dtype=bool)
    some[training[:: -(-len(training) // _ROWS)]] = True
    rows = prepared.select(some)
    first = held_out(len(rows), 0.5, seed, series=prepared.rows.dim == v.TIME)
    size = min(first.sum(), (~first).sum())
    return torch.from_numpy(np.stack([rows[first][:size], rows[~first][:size]])).to(device)


def _say(found: Count, rows: int, *, few: bool) -> None:
    if found.tried and not found.replicated:
        warn(
            f"no mode of one half of {rows} rows comes back in the other, so that one is fitted; "
            "fit more rows, or name an expansion"
        )
    if not found.settled:
        why = f"which {rows} rows can support; more rows could have more"
        if not few:
            why = "as many as are tried for so many channels; expansion= takes any number"
        modes = "1 mode" if found.modes == 1 else f"{found.modes} modes"
        warn(f"{modes}, counted among at most {found.most}, {why}")
    _log.info("%d modes: tried %s", found.modes, ", ".join(str(t.modes) for t in found.tried))
