"""What a run may take: the batch size for a budget, and the refusal of what does not fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from neurocodec.errors import InputError

SHARE: Final = 0.8
"""Part of the free memory that a result may take."""


@dataclass(frozen=True)
class Budget:
    """What the passes of one batch may take, by kind of device; other kinds count as a CPU."""

    bytes: Mapping[str, int]
    samples: Mapping[str, int]

    def batch_size(self, bytes_per_sample: int, device: str) -> int:
        """Samples that are computed together, at least one."""
        kind = device if device in self.bytes else "cpu"
        return int(np.clip(self.bytes[kind] // max(1, bytes_per_sample), 1, self.samples[kind]))


PASSES: Final = Budget({"cpu": 2**30, "cuda": 2**33}, {"cpu": 128, "cuda": 128})
"""Of passes that keep what a backward pass needs."""


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):
        names = getattr(os, "sysconf_names", {})
        known = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(names)
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None


def require_memory(what: str, needed: int, hint: str) -> None:
    """Refuse a result that does not fit into free memory, before anything is computed."""
    free = available_memory()
    if free is not None and needed > SHARE * free:
        raise InputError(
            came=f"{what}, which take {needed / 2**30:.3g} GiB",
            expected=f"at most the memory that is free, {free / 2**30:.3g} GiB",
            hint=hint,
        )
