"""Something made in a copy of this process, while this one goes on."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

from neurocodec.nn.settings import one_at_a_time

Made: TypeAlias = dict[str, bytes]
Later: TypeAlias = Callable[[], Made]
"""Waits for what was begun."""


def beside(make: Later) -> Later:
    """Begin to make something in a copy of this process; what is returned waits for it.

    Where there is one core, or no fork, it is made here and now.
    """
    if not _can_fork():
        made = make()
        return lambda: made
    context = multiprocessing.get_context("fork")  # inherits what is needed: nothing is pickled
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, make), daemon=True)
    with one_at_a_time, warnings.catch_warnings():
        # of a fork beside threads: the copy touches nothing that torch's threads hold
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sender.close()

    def received() -> Made:
        try:
            found = receiver.recv()
        except (EOFError, OSError):  # it was killed, before or while it sent: memory is short
            found = make()
        process.join()
        if isinstance(found, Exception):
            raise found
        result: Made = found
        return result

    return received


def _can_fork() -> bool:
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return False
    return len(os.sched_getaffinity(0)) > 1


def _send(sender: Connection, make: Later) -> None:
    try:
        sender.send(make())
    except Exception as error:  # noqa: BLE001 - raised again where it is waited for
        sender.send(error)
