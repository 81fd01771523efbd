"""Carry out a plan: batch by batch, smaller where memory is short, into memory or a file."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec import arguments, storage
from neurocodec.engine.estimate import Estimate
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.samples import Block, bar, batches
from neurocodec.engine.stored import read_coords
from neurocodec.errors import InputError
from neurocodec.storage.encoding import CHUNK_BYTES
from neurocodec.storage.parts import KEPT

logger = logging.getLogger(__name__)

CHUNK_BATCHES = 16
"""Batches in a chunk of a Zarr store, at most: what is lost with a worker stays small."""
TRIALS = 2
"""Batches after which the time is estimated, from the last: the first one warms up."""
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "bad_alloc")
"""What torch and its libraries say, in a plain RuntimeError, where a CPU has no memory left."""


@dataclass
class Work:
    """Computes the rows of blocks; takes fewer samples at once from where memory was short on."""

    bound: Bound
    size: int  # samples computed together

    def rows(self, block: Block, into: Arrays) -> Arrays:
        """Rows of all samples of a block; `into` are their places in `Bound.zeros`."""
        plan = self.bound.plan
        parts: list[Arrays] = []
        start = block.start
        while start < block.stop:
            stop = min(start + self.size, block.stop)
            with self._smaller_if_needed() as done:
                batch = plan.samples.place(block, start, stop, plan.net.device)
                own = slice(start - block.start, stop - block.start)
                parts.append(self.bound.rows(batch, {name: a[own] for name, a in into.items()}))
                done.append(stop)
            if not done:
                for array in into.values():  # what was begun in them
                    array[start - block.start : stop - block.start] = 0
            start = done[-1] if done else start
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    @contextmanager
    def _smaller_if_needed(self) -> Iterator[list[int]]:
        short = False
        try:
            yield []
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self.size == 1:
                raise InputError(
                    came=f"one sample whose passes do not fit into memory: {error}",
                    expected="memory for one sample, its activations and their gradients",
                    hint="fewer layers=[...], reduce='channel', or device='cpu'",
                ) from error
            self.size, short = self.size // 2, True
            logger.warning("out of memory: batches of %d samples from here on", self.size)
        if short and self.bound.plan.net.device.type == "cuda":
            torch.cuda.empty_cache()  # here, where the error no longer holds the tensors


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)


@dataclass
class Run:
    """One run of a plan, as it is asked for."""

    bound: Bound
    size: int  # samples computed together
    workers: int | None = None  # processes that decode files of images; None chooses
    progress: bool = True  # a bar and, before a run into a file, an estimate
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        self.work = Work(self.bound, self.size)

    @classmethod
    @contextmanager
    def opened(
        cls,
        plan: Plan,
        batch_size: int | None,
        workers: int | None = None,
        *,
        progress: bool,
        out: str | Path | None = None,
    ) -> Iterator[Self]:
        """Hook the network of a plan for the length of a ``with`` block; `out` as for `result`."""
        if out is not None:
            plan.require_storable()
        with plan.opened() as bound:
            yield cls(bound, batch_size or bound.batch_size(), workers, progress)

    @property
    def plan(self) -> Plan:
        """What is computed."""
        return self.bound.plan

    def result(self, out: str | Path | None) -> xr.DataTree:
        """Compute everything: into memory, or into a file."""
        return (
            self.in_memory()
            if out is None
            else self.streamed(arguments.path("out", out, hint="out='run.nc'"))
        )

    def in_memory(self) -> xr.DataTree:
        """Compute everything, and keep it."""
        self.bound.require_memory()
        total, each = len(self.plan.samples), self.plan.rows_of_sample
        arrays = self.bound.zeros(total)
        kept = np.ones(total, bool)
        ranges = list(batches(total, self.size, progress=False, what=""))
        for block, found in self.computed(ranges, into=dict(arrays)):
            for name, rows in found.items():
                if name not in arrays:
                    arrays[name] = np.empty((total * each, *rows.shape[1:]), rows.dtype)
                if not np.shares_memory(arrays[name], rows):
                    arrays[name][block.start * each : block.stop * each] = rows
            kept[block.start : block.stop] = block.kept
        coords = read_coords(self.plan.samples.coords, self.plan.samples.dim, kept)
        if not kept.all():
            arrays = {name: rows[kept.repeat(each)] for name, rows in arrays.items()}
        return self.bound.label(arrays, coords)

    def streamed(self, out: Path) -> xr.DataTree:
        """Write rows as they come; go on where an earlier call with the same facts stopped."""
        each, identity = self.plan.rows_of_sample, self.bound.identity(self.workers)
        size = len(self.plan.samples) * each
        with storage.RunWriter(out, facts=self.plan.facts, size=size, identity=identity) as run:
            gaps = run.missing(self.size * each)
            missing = [(rows.start // each, rows.stop // each) for rows in gaps]
            for block, rows in self.computed(missing, estimated=True):
                kept = {KEPT: block.kept.repeat(each)} if self.plan.samples.skips else {}
                run.write(block.start * each, {**rows, **kept})
                del rows  # the writer has its own copy; the next batch is to find the memory
            if run.finished:
                return run.finish(xr.DataTree())
            one = self.one()
            chunk = chunk_rows(one, self.size) if self.plan.chunked_by_batches else None
            template = self.template(one, run.kept()[::each])
            return run.finish(template, chunk_rows=chunk)

    def computed(
        self,
        ranges: list[tuple[int, int]],
        *,
        into: Arrays | None = None,
        estimated: bool = False,
    ) -> Iterator[tuple[Block, Arrays]]:
        """Blocks and their rows, behind a progress bar; with an estimate before it is long."""
        total = len(self.plan.samples)
        todo = sum(stop - start for start, stop in ranges)
        device = self.plan.net.device
        with (
            bar(total, self.plan.what, progress=self.progress, done=total - todo) as shown,
            self.plan.samples.blocks(ranges, self.workers, device) as blocks,
        ):
            before = time.perf_counter()
            for count, block in enumerate(blocks, 1):
                places = slice(block.start, block.stop)
                own = {name: array[places] for name, array in (into or {}).items()}
                rows = self.work.rows(block, own)
                yield block, rows
                shown.update(len(block.kept))
                now = time.perf_counter()
                if estimated and count == min(TRIALS, len(ranges)):
                    self._tell(self._estimate(rows, (now - before) / len(block.kept) * todo))
                before = now
                del rows

    def estimate(self) -> Estimate:
        """Compute the first batches, and estimate the whole from the last of them."""
        ranges = list(batches(len(self.plan.samples), self.size, progress=False, what=""))[:TRIALS]
        before = after = time.perf_counter()
        for block, rows in self.computed(ranges):
            before, after, found, count = after, time.perf_counter(), rows, len(block.kept)
        return self._estimate(found, (after - before) / count * len(self.plan.samples))

    def one(self) -> Arrays:
        """Arrays of one sample, for their shapes and types."""
        batch = self.plan.samples.batch(0, 1, self.plan.net.device)
        return self.bound.rows(batch, {})

    def template(self, one: Arrays, kept: NDArray[np.bool_]) -> xr.DataTree:
        """Result with all its labels, whose numbers take no memory."""
        samples = self.plan.samples
        coords = read_coords(samples.coords, samples.dim, kept)
        size = int(kept.sum()) * self.plan.rows_of_sample
        shapes = {name: np.broadcast_to(r[0], (size, *r.shape[1:])) for name, r in one.items()}
        return self.bound.label(shapes, coords)

    def _estimate(self, rows: Arrays, seconds: float) -> Estimate:
        return Estimate.of(
            rows,
            samples=len(self.plan.samples),
            layers=len(self.plan.layers),
            batch_size=self.work.size,
            seconds=seconds,
            device=self.plan.net.device,
        )

    def _tell(self, told: Estimate) -> None:
        logger.info("%s", told)
        if self.progress:
            tqdm.write(str(told), file=sys.stderr)


def chunk_rows(rows: Arrays, batch_size: int) -> int:
    """Samples in a chunk of a Zarr store: whole batches, so that workers share no chunk."""
    largest = max(r.dtype.itemsize * math.prod(r.shape[1:]) for r in rows.values())
    return batch_size * int(np.clip(CHUNK_BYTES // (largest * batch_size), 1, CHUNK_BATCHES))
