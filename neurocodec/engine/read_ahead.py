"""Blocks of a stored stimulus, read ahead by worker processes or a thread, in their order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection

import torch

from neurocodec.engine.stored import ReadRows, StoredSamples
from neurocodec.errors import StorageError
from neurocodec.nn.settings import one_at_a_time

Range = tuple[int, int]

MOST_WORKERS = 16
CORES_PER_WORKER = 4
"""On a CPU, which computes as well: one worker decodes for the rest."""

_rows: list[StoredSamples] = []
"""In a worker process: what it reads."""


def automatic_workers(device: str) -> int:
    """Worker processes that decode while this kind of device computes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    wanted = cores // CORES_PER_WORKER if device == "cpu" else cores - 1
    return min(max(1, wanted), MOST_WORKERS)


@contextmanager
def read_ahead(
    rows: StoredSamples, ranges: Sequence[Range], workers: int
) -> Iterator[Iterator[tuple[Range, ReadRows]]]:
    """Read ranges of samples while earlier ones are computed; they come in their order.

    Files of images are decoded by worker processes; of one large file (HDF5, Zarr), which does not
    survive a fork, or a Dask array, the next blocks are read in one thread.
    """
    if not workers or not ranges:
        yield ((r, rows.read(*r)) for r in ranges)
        return
    pool, read = _pool(rows, min(workers, len(ranges)))
    try:
        yield _in_order(pool, read, ranges, depth=workers + 1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(rows: StoredSamples, workers: int) -> tuple[Executor, Callable[[int, int], ReadRows]]:
    can_fork = sys.platform == "linux" and not multiprocessing.current_process().daemon
    if not rows.from_files:
        return ThreadPoolExecutor(1, "neurocodec-read"), rows.read
    if not (can_fork and rows.forks):  # elsewhere a new process would import the user's script
        return ThreadPoolExecutor(workers, "neurocodec-read"), rows.read
    context = multiprocessing.get_context("fork")  # inherits the rows: nothing is pickled
    return ProcessPoolExecutor(workers, context, _begin, (rows,)), _read


def _in_order(
    pool: Executor, read: Callable[[int, int], ReadRows], ranges: Sequence[Range], depth: int
) -> Iterator[tuple[Range, ReadRows]]:
    following = iter(ranges)
    waiting: deque[tuple[Range, Future[ReadRows]]] = deque()
    with one_at_a_time, warnings.catch_warnings():
        # of a fork beside threads: the workers touch nothing that torch's threads hold
        warnings.simplefilter("ignore", DeprecationWarning)
        waiting.extend((r, pool.submit(read, *r)) for r in islice(following, depth))
    while waiting:
        done, future = waiting.popleft()
        block = _result(future, done)
        waiting.extend((r, pool.submit(read, *r)) for r in islice(following, 1))
        yield done, block


def _result(future: Future[ReadRows], wanted: Range) -> ReadRows:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise StorageError(
            came=f"a worker process that ended while it read the samples {wanted}",
            expected="workers that live as long as the run",
            hint="fewer workers=... where memory is short; workers=0 reads in the main process",
        ) from error


def _begin(rows: StoredSamples) -> None:
    """Make a forked process a worker: no threads of torch, no interrupt, no life of its own."""
    _rows[:] = [rows]
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends its workers itself
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _read(start: int, stop: int) -> ReadRows:
    return _rows[0].read(start, stop)
