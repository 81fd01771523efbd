"""How many passes, in what steps."""

import pytest
import torch

from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.schedule import passes, rows_of_a_step
from neurocodec.nn.sparse.source import Resident


def rows(count, channels=2):
    return Resident(torch.zeros(1, 1, channels).expand(1, count, channels))


def test_a_pass_has_sixteen_steps_where_rows_are_few():
    assert rows_of_a_step(SparseConfig(expansion=10), rows(160)) == 10


def test_steps_have_more_rows_where_modes_are_many():
    many = SparseConfig(expansion=3)
    assert rows_of_a_step(many, rows(50_000, 2048)) == 2048
    assert rows_of_a_step(SparseConfig.preset("topk"), rows(50_000, 2048)) == 256


@pytest.mark.parametrize(
    ("count", "channels", "expected"),
    [(100, 2, 57), (20, 2, 48), (4500, 64, 54), (50_000, 64, 5), (10**6, 64, 5), (4500, 512, 16)],
)
def test_passes_follow_the_steps(count, channels, expected):
    # 960 steps, of more than 512 modes 256; a pass of 4,500 rows has 18 of 256 or 17 of 281
    assert passes(SparseConfig(expansion=3), rows(count, channels)) == expected


def test_passes_that_are_set_are_taken():
    assert passes(SparseConfig(expansion=10, epochs=3), rows(100)) == 3
    assert passes(SparseConfig(expansion=10, encoder="linear", sparsifier="topk"), rows(100)) == 80
