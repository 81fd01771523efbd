"""What threads share is given back as it was, whoever comes first and whoever leaves last."""

import threading
import warnings
from contextlib import contextmanager

import pytest
import torch

from neurocodec.nn.settings import (
    FUSED_ATTENTION,
    THREADS,
    Shared,
    building,
    full_precision,
    usual,
)


def overlapping(context):
    """Enter, in a thread, before the main thread does; leave before it does."""
    inside, leave = threading.Event(), threading.Event()

    def other():
        with context():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with context():
        leave.set()
        thread.join()
        yield


def test_the_last_to_leave_gives_back_what_the_first_has_found():
    before = torch.backends.mha.get_fastpath_enabled()
    for _ in overlapping(lambda: FUSED_ATTENTION.put(False)):
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_numbers_of_threads_come_back_in_this_thread_and_in_new_ones():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in overlapping(lambda: THREADS.put(1)):
            assert torch.get_num_threads() == 1
        found = [torch.get_num_threads()]
        new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert found == [3, 3]
    finally:
        torch.set_num_threads(before)


def test_a_shared_context_is_entered_once_and_left_once():
    told = []

    @contextmanager
    def context():
        told.append("in")
        yield
        told.append("out")

    for _ in overlapping(Shared(context).held):
        assert told == ["in"]
    assert told == ["in", "out"]


def test_all_digits_of_float32_count_meanwhile():
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision():
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before[1])
    assert torch.backends.cudnn.allow_tf32 == before[0]


@pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="newer settings of torch 2.9"
)
def test_newer_settings_of_digits_come_back_too():
    place = torch.backends.cudnn.conv
    before = torch.backends.cudnn.allow_tf32
    place.fp32_precision = "ieee"
    try:
        with pytest.raises(RuntimeError, match="mix"):  # of torch, and stays so
            _ = torch.backends.cudnn.allow_tf32
        with full_precision():
            assert torch.backends.cudnn.rnn.fp32_precision == "ieee"
        assert (place.fp32_precision, torch.backends.cudnn.rnn.fp32_precision) == ("ieee", "tf32")
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_modes_of_a_user_are_off_meanwhile():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16), torch.device("meta"):
        with usual():
            found = torch.ones(2, 2) @ torch.ones(2, 2)
        assert torch.ones(1).is_meta
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")
    assert not found.is_inference()


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_built_depends_on_the_seed_alone(seed):
    def build():
        with building(seed):
            return torch.nn.Linear(2, 2)

    plain, state = build().weight, torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.device("meta"):
            found = build().weight
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, plain, rtol=0, atol=0)
    assert found.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


def test_warnings_are_shown_again_after_two_threads_have_silenced_them():
    @contextmanager
    def silent():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield

    before = list(warnings.filters)
    for _ in overlapping(Shared(silent).held):
        pass
    assert warnings.filters == before
