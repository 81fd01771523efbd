"""Something made in a copy of this process, while this one goes on."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

from neurocodec.nn.settings import one_at_a_time

T = TypeVar("T")


def beside(make: Callable[[], T], *, tensors: bool = False) -> Callable[[], T]:
    """Begin to make something in a copy of this process; what is returned waits for it.

    Where there is one core, or no fork, it is made here and now; so are `tensors` where torch has
    a device in use, which a copy could not go on using.
    """
    if not can_fork() or (tensors and torch.cuda.is_initialized()):  # type: ignore[no-untyped-call]
        made = make()
        return lambda: made
    context = multiprocessing.get_context("fork")  # inherits what is needed: nothing is pickled
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, make), daemon=True)
    with one_at_a_time, warnings.catch_warnings():
        # of a fork beside threads: the copy computes in one thread, and needs none of the others
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sender.close()

    def received() -> T:
        try:
            found = receiver.recv()
        except (EOFError, OSError):  # it was killed, before or while it sent: memory is short
            found = make()
        process.join()
        if isinstance(found, Exception):
            raise found
        result: T = found
        return result

    return received


def can_fork() -> bool:
    """Whether a copy of this process can be made, and finds a core of its own."""
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return False
    return cores() > 1


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _send(sender: Connection, make: Callable[[], object]) -> None:
    try:
        # threads do not come along: who waits for those of a pool waits for ever
        torch.set_num_threads(1)
        with threadpool_limits(1):
            sender.send(make())
    except Exception as error:  # noqa: BLE001 - raised again where it is waited for
        sender.send(error)
