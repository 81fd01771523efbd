"""Rows of a fit, in memory or block by block."""

import threading

import numpy as np
import torch
from array_reader import ArrayReader

from neurocodec.nn.sparse.source import Resident, Streamed, sample_rows


def test_rows_in_memory_are_one_block():
    source = Resident(torch.zeros(1, 4, 2))
    assert (source.count, source.channels, len(list(source.blocks()))) == (4, 2, 1)


def test_a_sample_is_rows_at_equal_distances():
    source = Resident(torch.arange(6.0).view(1, 6, 1))
    assert sample_rows(source, 3).flatten().tolist() == [0.0, 2.0, 4.0]


def test_rows_of_a_file_come_in_blocks_without_those_that_are_left_out():
    read = ArrayReader(np.arange(4, dtype=np.float32)[:, None])
    wanted = np.array([True, True, False, True])
    source = Streamed(read, 1, wanted, block=2, device=torch.device("cpu"))
    assert [block[0, :, 0].tolist() for block in source.blocks()] == [[0.0, 1.0], [3.0]]


def test_the_next_block_of_a_file_is_read_while_the_present_one_is_used():
    asked = [threading.Event() for _ in range(3)]

    class Noted(ArrayReader):
        def __call__(self, start, stop):
            asked[start // 2].set()
            return super().__call__(start, stop)

    read = Noted(np.arange(6, dtype=np.float32)[:, None])
    source = Streamed(read, 1, np.ones(6, dtype=bool), block=2, device=torch.device("cpu"))
    for place, block in enumerate(source.blocks()):
        assert block[0, 0, 0] == 2 * place
        assert all(event.wait(10) for event in asked[: place + 2])
        assert not any(event.is_set() for event in asked[place + 2 :])
