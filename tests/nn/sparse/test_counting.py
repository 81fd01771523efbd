"""How many modes rows have: planted numbers, hand arithmetic, bounds."""

import math

import pytest
import torch

from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.counting import Tried, count_modes, enough

QUICK = SparseConfig(expansion="auto", epochs=9)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def halves(modes, rows=64, silent=False):
    """One of some modes of two channels each is active on every row."""
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(modes, (2, rows), generator=generator)
    strength = 0.5 + torch.rand(2, rows, 1, generator=generator)
    found = torch.eye(modes)[which].repeat_interleave(2, dim=2) * strength
    found[1] *= not silent
    return found + 0.01 * torch.rand(found.shape, generator=generator)


@pytest.mark.parametrize("modes", [1, 3])
def test_planted_modes_are_counted(modes):
    found = count_modes(halves(modes), QUICK, most=12)
    assert found.modes == modes
    assert found.settled
    assert found.replicated == modes
    assert [one.modes for one in found.tried] == [1, 2, 3, 4, 6][: len(found.tried)]
    assert {one.modes: one.replicated for one in found.tried}[modes] == modes


def test_what_more_modes_explain_ends_where_all_are_there():
    reached = {one.modes: one for one in count_modes(halves(3), QUICK, most=12).tried}
    assert reached[2].r2 < reached[3].r2 - 0.1
    assert reached[4].r2 < reached[3].r2 + 0.02
    assert reached[3].l0 == pytest.approx(1.0, abs=0.1)
    assert reached[3].accidental < 2  # of three pairs of channels, a permutation rarely has one


def test_no_more_modes_are_tried_than_allowed_and_that_is_told():
    found = count_modes(halves(3), QUICK, most=2)
    assert [one.modes for one in found.tried] == [1, 2]
    assert not found.settled
    assert found.modes <= 2
    assert count_modes(halves(3), QUICK, most=1).tried == ()


def test_a_half_that_is_silent_has_no_modes_that_come_back():
    rows = halves(3, silent=True)
    rows[1] = 0.0
    found = count_modes(rows, QUICK, most=4)
    assert found.modes == 1
    assert all(one.replicated == 0 for one in found.tried)


def test_enough_is_the_first_number_within_two_hundredths_of_the_best():
    assert enough([0.5, 0.9, 0.97, 0.985, 0.98]) == 2
    assert enough([0.5, 0.9, 0.9, 0.99]) == 3
    assert enough([-math.inf, -math.inf]) == 0


@pytest.mark.parametrize(
    ("weak", "pairs", "expected"), [(1, 3, 2), (2, 3, 2), (4, 3, 4), (16, 3, 6), (16, 2, 4)]
)
def test_weak_channels_get_further_modes_up_to_one_each(monkeypatch, weak, pairs, expected):
    def tried(_halves, _config, modes):  # two come back, three explain all but weak channels
        return Tried(modes, min(0.3 * modes, 0.9), min(1.0, modes / weak), 1.0, min(modes, 2), 0.0)

    monkeypatch.setattr("neurocodec.nn.sparse.counting._tried", tried)
    found = count_modes(halves(pairs), QUICK, most=40)  # of two channels for each pair
    assert (found.modes, found.replicated, found.settled) == (expected, 2, True)
