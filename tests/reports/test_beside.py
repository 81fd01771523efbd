"""What a copy of this process makes, fails to make, or dies of."""

import multiprocessing
import os
import time

import pytest

from neurocodec.reports import beside as module
from neurocodec.reports.beside import beside


def test_it_is_made_elsewhere_and_comes_back():
    later = beside(lambda: {"process": str(os.getpid()).encode(), "large": bytes(10**6)})
    found = later()
    assert len(found["large"]) == 10**6
    assert (found["process"] != str(os.getpid()).encode()) == module._can_fork()


def test_without_a_fork_it_is_made_here(monkeypatch):
    monkeypatch.setattr(module, "_can_fork", lambda: False)
    assert beside(lambda: {"process": str(os.getpid()).encode()})() == {
        "process": str(os.getpid()).encode()
    }


def test_what_goes_wrong_is_raised_where_it_is_waited_for():
    def fail():
        raise ValueError("no such font")

    later = beside(fail)
    with pytest.raises(ValueError, match="no such font"):
        later()


def test_of_a_copy_that_was_killed_it_is_made_again():
    here = os.getpid()

    def make():
        if os.getpid() != here:
            os._exit(1)
        return {"a": b"b"}

    assert beside(make)() == {"a": b"b"}


def test_of_a_copy_that_was_killed_while_it_sent_it_is_made_again(tmp_path):
    here, sending = os.getpid(), tmp_path / "sending"

    class Large(bytes):
        def __reduce__(self):
            sending.touch()
            return bytes, (bytes(10**6),)

    later = beside(lambda: {"a": b"b"} if os.getpid() == here else {"a": Large()})
    copies = multiprocessing.active_children()
    while copies and not sending.exists():
        time.sleep(0.01)
    time.sleep(0.1)  # more than a pipe holds: it waits for a reader
    for copy in copies:
        copy.kill()
        copy.join()
    assert later() == {"a": b"b"}
