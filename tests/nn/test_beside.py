"""What a copy of this process makes, fails to make, or dies of."""

import multiprocessing
import os
import time

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from neurocodec.errors import InputError
from neurocodec.nn import beside as module
from neurocodec.nn.beside import beside


def test_it_is_made_elsewhere_and_comes_back():
    later = beside(lambda: {"process": str(os.getpid()).encode(), "large": bytes(10**6)})
    found = later()
    assert len(found["large"]) == 10**6
    assert (found["process"] != str(os.getpid()).encode()) == module.can_fork()


def test_without_a_fork_it_is_made_here(monkeypatch):
    monkeypatch.setattr(module, "can_fork", lambda: False)
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


def test_a_copy_computes_in_one_thread_and_comes_to_an_end():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # a pool that does not come along
    x = torch.randn(2, 3, 64, 64)
    net = torch.nn.Conv2d(3, 3, 5)
    expected = net(x).sum().item()

    def make():
        points = np.random.default_rng(0).normal(size=(500, 4))
        KMeans(3, n_init=2, random_state=0).fit(points)
        y = x.clone().requires_grad_()
        net(y).sum().backward()
        return torch.get_num_threads(), net(x).sum().item(), bool(y.grad.any())

    KMeans(3, n_init=1, random_state=0).fit(np.eye(9))
    try:
        alone, found, differentiated = beside(make, tensors=True)()
    finally:
        torch.set_num_threads(threads)
    assert found == pytest.approx(expected, rel=1e-5)
    assert differentiated
    assert alone == 1 or not module.can_fork()


def test_errors_of_the_package_come_back_whole():
    def fail():
        raise InputError(came="2 cells", expected="3", hint="cells=3")

    with pytest.raises(InputError) as told:
        beside(fail)()
    assert told.value.hint == "cells=3"


def test_tensors_stay_here_where_a_device_is_in_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert beside(os.getpid, tensors=True)() == os.getpid()
