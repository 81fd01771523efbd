"""Stacks of toy networks, trained one after the other, and kept in a folder until all are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from neurocodec import labels, storage
from neurocodec.nn import superposition as toys
from neurocodec.nn.superposition import Task, Toys


class Stacks:
    """Trains networks, those of a stack that is kept no second time."""

    def __init__(self, out: Path | None, steps: int, rate: float, facts: Mapping[str, Any]) -> None:
        self.steps, self.rate = steps, rate
        facts = {**facts, "versions": labels.versions()}
        key = labels.fingerprint(json.dumps(labels.plain(facts), sort_keys=True))[:12]
        # other settings have a folder of their own, and what was stopped is found again by name
        self.folder = None if out is None else out.with_name(f"{out.name}.{key}.parts")

    def trained(self, task: Task, size: int, seeds: int, told: Callable[[int], object]) -> Toys:
        """All networks of one size, in stacks of `nn.superposition.TOGETHER`."""
        found = []
        for first in range(0, seeds, toys.TOGETHER):
            some = range(first, min(first + toys.TOGETHER, seeds))
            found.append(self._stack(task, size, some))
            told(len(some))
        return Toys(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def _stack(self, task: Task, size: int, some: range) -> Toys:
        if self.folder is None:
            return toys.train(task, size, some, steps=self.steps, rate=self.rate)
        path = self.folder / f"units{size}-{some.start}.nc"
        if path.exists():
            with storage.open(path) as kept:
                weights = [torch.from_numpy(np.array(kept[name])) for name in Toys._fields]
            return Toys(*weights)
        found = toys.train(task, size, some, steps=self.steps, rate=self.rate)
        self.folder.mkdir(exist_ok=True)
        dims = {name: [f"{name}_{i}" for i in range(x.ndim)] for name, x in found._asdict().items()}
        rows = {name: (dims[name], x.numpy()) for name, x in found._asdict().items()}
        storage.save(xr.Dataset(rows), path)
        return found

    def done(self) -> None:
        """Remove the folder: all networks are in the result."""
        if self.folder is not None and self.folder.exists():
            shutil.rmtree(self.folder)
