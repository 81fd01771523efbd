"""How many modes rows have: planted numbers, hand arithmetic, bounds."""

import pytest
import torch

from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.counting import Tried, count_modes

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
    assert max(one.replicated for one in found.tried) == modes
    assert {one.modes for one in found.tried} >= {modes, 4}


def test_what_more_modes_explain_ends_where_all_are_there():
    found = count_modes(halves(3), QUICK, most=12).tried
    best = {n: max(x.r2 for x in found if x.modes == n) for n in {x.modes for x in found}}
    assert max(best) >= 6  # twice as many were tried
    assert best[2] < best[3] - 0.1
    assert max(best.values()) < best[3] + 0.02
    longest = [one for one in found if one.modes == 3][-1]
    assert longest.l0 == pytest.approx(1.0, abs=0.1)
    assert longest.accidental < 2  # of three pairs of channels, a permutation rarely has one


def test_no_more_modes_are_tried_than_allowed_and_that_is_told():
    found = count_modes(halves(3), QUICK, most=2)
    assert {one.modes for one in found.tried} == {1, 2}
    assert not found.settled
    assert found.modes <= 2
    assert count_modes(halves(3), QUICK, most=1).tried == ()


def test_a_half_that_is_silent_has_no_modes_that_come_back():
    rows = halves(3, silent=True)
    rows[1] = 0.0
    found = count_modes(rows, QUICK, most=4)
    assert found.modes == 1
    assert all(one.replicated == 0 for one in found.tried)


def explaining(monkeypatch, r2, pairs):
    """Numbers that are tried, in their order, where so many modes explain so much."""
    seen = []

    def tried(_halves, _config, modes, _part):
        seen.append(modes)
        return Tried(modes, r2(modes), r2(modes), 1.0, 1, 0.0)

    monkeypatch.setattr("neurocodec.nn.sparse.counting._tried", tried)
    return seen, count_modes(halves(pairs), QUICK, most=4000)


@pytest.mark.parametrize("enough", [1, 5, 23, 150, 1000])
def test_numbers_double_until_twice_as_many_explain_no_more(monkeypatch, enough):
    seen, found = explaining(monkeypatch, lambda modes: min(1.0, modes / enough), 2 + enough // 2)
    assert found.settled
    assert max(seen) <= max(8, 4 * enough)
    assert len({*seen}) < 20
    known = sorted(one.modes for one in found.tried)
    least = next(n for n in known if n >= 0.98 * enough)
    assert least <= 1.5 * enough + 1  # and no number far above the one that is enough


def test_where_more_always_explain_more_the_bound_ends_it(monkeypatch):
    seen, found = explaining(monkeypatch, lambda modes: modes / 4000, 500)
    assert max(seen) == 4000
    assert not found.settled


@pytest.mark.parametrize(
    ("weak", "pairs", "expected"), [(1, 3, 2), (2, 3, 2), (4, 3, 4), (16, 3, 6), (16, 2, 4)]
)
def test_weak_channels_get_further_modes_up_to_one_each(monkeypatch, weak, pairs, expected):
    def tried(_halves, _config, modes, _part):  # two come back, three explain all but weak channels
        return Tried(modes, min(0.3 * modes, 0.9), min(1.0, modes / weak), 1.0, min(modes, 2), 0.0)

    monkeypatch.setattr("neurocodec.nn.sparse.counting._tried", tried)
    found = count_modes(halves(pairs), QUICK, most=40)  # of two channels for each pair
    assert (found.modes, found.replicated, found.settled) == (expected, 2, True)
