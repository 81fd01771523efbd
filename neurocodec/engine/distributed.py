"""An analysis on the workers of a Dask client: ranges of samples, one Zarr store."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurocodec.engine.plan import Arrays, Plan
from neurocodec.engine.run import Run, chunk_rows
from neurocodec.engine.samples import bar, batches
from neurocodec.errors import InputError, NeurocodecError, StorageError
from neurocodec.network import Network
from neurocodec.storage.parts import KEPT
from neurocodec.storage.regions import SharedRun, write_range

logger = logging.getLogger(__name__)

RANGES_PER_WORKER = 8
"""So that the last ones to compute do not wait long for each other."""
MOST_CHUNKS = 8
"""Chunks of the store in a range."""
ATTEMPTS = 5
"""Rounds in which ranges are handed out again whose workers died."""
SECONDS_FOR_WORKERS = 60.0

_one_at_a_time = threading.Lock()
"""Threads of a worker process take turns: the batch fits the memory of one."""
_placed: dict[str, Network] = {}
"""In a worker process: run -> its network on this worker's device; of the latest run only."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to compute any range of a run."""

    key: str  # tells this run from others
    plan: Plan  # with its network on the CPU
    size: int  # samples computed together
    chunk_rows: int  # samples that a worker writes at once
    folder: Path  # where the store grows
    device: str  # where workers compute

    @contextmanager
    def on_its_device(self) -> Iterator[Plan]:
        """Analysis with the network on this worker's device, for one thread at a time."""
        with _one_at_a_time:
            if self.key not in _placed:
                _placed.clear()
                _placed[self.key] = self.plan.net.on(self.device)
            yield replace(self.plan, net=_placed[self.key])


def compute_range(job: Job, start: int, stop: int) -> int:
    """Compute a range of samples and write it into the store; what a worker does."""
    with job.on_its_device() as plan, Run.opened(plan, job.size, 1, progress=False) as run:
        found: list[Arrays] = []
        for block, rows in run.computed(_ranges(start, stop, job.size)):
            found.append({**rows, KEPT: block.kept})
            if (block.stop - start) % job.chunk_rows == 0 or block.stop == stop:
                whole = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
                write_range(job.folder, block.stop - len(whole[KEPT]), whole)
                found.clear()
    return stop - start


def run_distributed(
    plan: Plan,
    out: str | Path | None,
    client: Any,
    *,
    batch_size: int | None,
    device: str | None,
    progress: bool,
) -> xr.DataTree:
    """Run a plan on the workers of a Dask client, into a `.zarr` that they all see."""
    count = _require_client(client, out)
    plan.require_storable()
    plan = replace(plan, net=plan.net.on("cpu"), samples=_without_forks(plan))
    place = device or str(plan.net.device)
    with plan.opened() as bound:
        size = batch_size or bound.batch_size(place.partition(":")[0])
        here = Run(bound, size, progress=progress)
        one, marks, facts = here.one(), bound.identity(), bound.plan.facts
    with SharedRun(str(out), facts=facts, size=len(plan.samples), identity=marks) as run:
        run.prepare(lambda kept: here.template(one, kept), one, chunk_rows=chunk_rows(one, size))
        if not run.finished:
            job = Job(uuid.uuid4().hex, plan, size, run.chunk_rows, run.folder, place)
            _compute_all(client, job, run, count, progress=progress)
        return run.finish()


def _require_client(client: Any, out: str | Path | None) -> int:
    """Check what is asked for; number of workers."""
    if not hasattr(client, "scatter") or getattr(client, "asynchronous", False):
        raise InputError(
            came=f"client={client!r}",
            expected="a synchronous dask.distributed.Client",
            hint="client=dask.distributed.Client(n_workers=4, threads_per_worker=1)",
        )
    if out is None:
        raise InputError(
            came="client=... without out=",
            expected="a Zarr store that the client and its workers see",
            hint="out='run.zarr'",
        )
    _wait_for_workers(client)
    return len(client.nthreads())


def _wait_for_workers(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
    except TimeoutError as error:
        raise InputError(
            came=f"a Dask client without a worker for {SECONDS_FOR_WORKERS:.0f} s",
            expected="at least one worker",
            hint="client.dashboard_link shows what the cluster does",
        ) from error


def _without_forks(plan: Plan) -> Any:
    stored = plan.samples.stored
    return plan.samples if stored is None else replace(plan.samples, stored=stored.in_threads())


def _ranges(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    return [(start + a, start + b) for a, b in batches(stop - start, size, progress=False, what="")]


def _compute_all(client: Any, job: Job, run: SharedRun, workers: int, *, progress: bool) -> None:
    """Hand out the ranges that have no marker, again where their workers died."""
    total = len(job.plan.samples)
    chunks = total // (run.chunk_rows * workers * RANGES_PER_WORKER)
    chunks = int(np.clip(chunks, 1, MOST_CHUNKS))
    done = total - sum(r.stop - r.start for r in run.missing(chunks))
    with bar(total, "contributions", progress=progress, done=done) as shown:
        for _ in range(ATTEMPTS):
            missing = run.missing(chunks)
            if not missing:
                return
            _wait_for_workers(client)
            for size in _handed_out(client, job, missing):
                shown.update(size)
    missing = run.missing(chunks)
    if missing:
        raise StorageError(
            came=f"{len(missing)} ranges of samples whose workers died {ATTEMPTS} times",
            expected="workers that live as long as a range",
            hint="more memory for each worker, or a smaller batch_size; the same call goes on",
        )


def _handed_out(client: Any, job: Job, missing: list[slice]) -> Iterator[int]:
    """Sizes of the ranges that were computed, as they come; those lost are left out."""
    from distributed import as_completed  # noqa: PLC0415 - an extra

    shared = client.scatter(job, broadcast=True, hash=False)
    futures = [
        client.submit(compute_range, shared, rows.start, rows.stop, pure=False) for rows in missing
    ]
    try:
        for future in as_completed(futures):  # type: ignore[no-untyped-call]
            if future.status == "finished":
                yield future.result()
            else:
                _raise_unless_lost(future)
    finally:
        client.cancel([*futures, shared])


def _raise_unless_lost(future: Any) -> None:
    """Raise what the network, the stimulus or the disk did; not that a worker died."""
    from distributed import KilledWorker  # noqa: PLC0415 - an extra

    try:
        future.result()
    except NeurocodecError:
        raise
    except (KilledWorker, CancelledError) as error:
        logger.warning("a range was lost with its worker and is done again: %s", error)
