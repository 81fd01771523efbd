"""What a run may take: batch sizes, chunks, memory that is short."""

import numpy as np
import pytest
import torch

from neurocodec.engine import memory
from neurocodec.engine.estimate import Estimate, peak_memory
from neurocodec.engine.memory import Budget, require_memory
from neurocodec.engine.run import chunk_rows, is_out_of_memory
from neurocodec.errors import InputError


def test_batches_fill_the_budget_of_the_device():
    budget = Budget({"cpu": 100, "cuda": 1000}, {"cpu": 8, "cuda": 64})
    assert budget.batch_size(20, "cpu") == 5
    assert budget.batch_size(20, "cuda") == 50
    assert budget.batch_size(1, "cpu") == 8
    assert budget.batch_size(10**9, "cpu") == 1
    assert budget.batch_size(0, "mps") == 8


def test_what_does_not_fit_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    require_memory("3 maps", int(0.7 * 2**30), "fewer")
    with pytest.raises(InputError, match="3 maps, which take 0.9 GiB") as found:
        require_memory("3 maps", int(0.9 * 2**30), "fewer stimuli")
    assert "fewer stimuli" in str(found.value)
    monkeypatch.setattr(memory, "available_memory", lambda: None)  # a system that does not say
    require_memory("3 maps", 2**60, "fewer")


def test_errors_that_say_that_memory_is_short():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("wrong shape"))


def test_chunks_are_whole_batches():
    assert chunk_rows({"a": np.zeros((1, 2**16), "float32")}, 4) == 16


def test_this_process_has_held_some_memory():
    assert peak_memory() > 2**20


def test_what_has_no_layers_is_not_told_to_have_none():
    told = str(Estimate(281, 0, 64, 328_000, 92_168_000, 2**30, 0, 3.0))
    assert told.startswith("281 samples, 64 at once;")
