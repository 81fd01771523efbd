"""Where dictionaries start, how they learn, and the last step of least squares."""

import numpy as np
import pytest
import torch
from planted import planted_rows
from scipy.optimize import nnls

from neurocodec.nn.sparse.coding import elastic_net, unit_rows
from neurocodec.nn.sparse.dictionary import (
    OnlineDictionary,
    centre_directions,
    draw_orders,
    least_squares_dictionary,
    residual_directions,
    spread_rows,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_start_rows_are_data_rows_of_different_directions():
    directions = torch.eye(6)
    rows = directions.repeat(50, 1) * torch.rand(300, 1, generator=generator())
    chosen = spread_rows(rows, 6, generator())
    assert sorted(chosen.argmax(dim=1).tolist()) == list(range(6))


def test_rows_of_silence_can_be_started_from():
    assert torch.isfinite(spread_rows(torch.zeros(5, 3), 4, generator())).all()


def test_centres_find_clusters_of_directions():
    truth = unit_rows(torch.rand(5, 12, generator=generator(1)) ** 4)
    member = torch.arange(500) % 5
    noise = 0.02 * torch.randn(500, 12, generator=generator(2))
    rows = (truth[member] + noise) * (0.5 + torch.rand(500, 1, generator=generator(3)))
    centres = centre_directions(rows, 5, generator(4))
    assert ((truth @ centres.T).max(dim=1).values > 0.999).all()


@pytest.mark.parametrize("nonnegative", [True, False])
def test_dictionaries_learn_side_by_side_what_each_learns_alone(nonnegative):
    """Of 100 atoms, more than a block; fits use different ones, and one uses fewer."""
    random = generator(1)
    codes = torch.rand(3, 30, 100, generator=random)
    codes *= torch.rand(3, 1, 100, generator=random) < torch.tensor([0.9, 0.7, 0.1])[:, None, None]
    rows, atoms = (torch.rand(3, n, 7, generator=random) for n in (30, 100))
    together = OnlineDictionary(atoms, nonnegative=nonnegative)
    alone = [OnlineDictionary(one[None], nonnegative=nonnegative) for one in atoms]
    for keep in (1.0, 0.5):
        together.update(rows, codes * keep, forget=0.3, sweeps=2)
        for fit, one in enumerate(alone):
            one.update(rows[[fit]], codes[[fit]] * keep, forget=0.3, sweeps=2)
    found = torch.cat([one.atoms for one in alone])
    assert (found - unit_rows(atoms)).abs().max() > 0.01
    torch.testing.assert_close(together.atoms, found, rtol=1e-4, atol=1e-5)
    unused = ~(codes > 0).any(dim=1)
    torch.testing.assert_close(together.atoms[unused], unit_rows(atoms)[unused], rtol=0, atol=0)


def test_of_many_atoms_a_part_moves_at_a_batch_and_each_has_its_turn():
    random = generator(2)
    atoms, others = torch.rand(2, 1, 1100, 5, generator=random)
    codes = torch.rand(1, 40, 1100, generator=random)
    rows = codes @ others
    learner = OnlineDictionary(atoms, nonnegative=True)
    moved = list[int]()
    for turn in range(4):
        before = learner.atoms
        learner.update(rows, codes, forget=0.0, turn=turn)
        some = (learner.atoms != before).any(dim=2)[0].nonzero()[:, 0].tolist()
        assert len(some) <= 275
        moved += some
    assert len({*moved}) == len(moved) > 1000  # one may stay where it is best
    # what is remembered is of all modes and all batches
    torch.testing.assert_close(learner.second, 4 * codes.mT @ codes, rtol=1e-4, atol=1e-4)


def test_a_dictionary_update_with_the_right_codes_moves_towards_the_truth():
    rows, atoms = planted_rows(600, 8, 12, active=2, noise=0.0, seed=0)
    rows, truth = torch.tensor(rows)[None], torch.tensor(atoms)[None]
    codes = elastic_net(rows, truth, 0.01, 0.0, iterations=500)
    start = unit_rows(truth + 0.3 * torch.rand(truth.shape, generator=generator()))
    learner = OnlineDictionary(start, nonnegative=True)
    for _ in range(50):
        learner.update(rows, codes, forget=0.5)
    before, after = ((a * truth).sum(-1).mean() for a in (start, learner.atoms))
    assert after > before + 0.02
    assert after > 0.99


def test_atoms_that_start_again_forget_what_they_were():
    learner = OnlineDictionary(torch.eye(3)[None].repeat(2, 1, 1), nonnegative=True)
    learner.update(torch.ones(2, 4, 3), torch.ones(2, 4, 3), forget=0.1)
    other = learner.second[1].clone()
    learner.restart(0, torch.tensor([1]), torch.tensor([[0.0, 0.0, 5.0]]))
    assert learner.atoms[0, 1].tolist() == [0.0, 0.0, 1.0]
    assert not learner.second[0, 1].any()
    assert not learner.second[0, :, 1].any()
    assert not learner.cross[0, 1].any()
    assert torch.equal(learner.second[1], other)


def test_residuals_that_explain_nothing_are_not_taken():
    left = torch.tensor([[-3.0, 0.0], [0.0, 1.0]])
    found = residual_directions(left, 5, generator(), nonnegative=True)
    assert (found == torch.tensor([0.0, 1.0])).all()


def test_the_last_dictionary_is_least_squares_where_it_is_not_tied():
    random = np.random.default_rng(0)
    codes, rows = random.random((50, 4)), random.random((50, 6))
    found = least_squares_dictionary(
        *(torch.tensor(m) for m in (codes.T @ codes, codes.T @ rows, random.random((4, 6)))),
        tie=0.0,
        nonnegative=True,
        sweeps=5_000,
    )
    expected = np.stack([nnls(codes, column)[0] for column in rows.T], axis=1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_fast_tie_gives_the_atoms_times_the_one_best_factor():
    random = np.random.default_rng(1)
    codes, atoms = random.random((50, 4)), random.random((4, 6))
    rows = 2.5 * codes @ atoms
    tensors = [torch.tensor(m) for m in (codes.T @ codes, codes.T @ rows, atoms)]
    for nonnegative in (True, False):
        found = least_squares_dictionary(*tensors, tie=1e6, nonnegative=nonnegative)
        np.testing.assert_allclose(found.numpy(), 2.5 * atoms, rtol=1e-5)


def test_rows_of_silence_are_not_drawn_while_there_are_others():
    rows = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    assert sorted(spread_rows(rows, 2, generator()).tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_two_centres_of_three_rows():
    rows = torch.tensor([[2.0, 0.1], [2.0, -0.1], [0.0, 3.0]])
    assert sorted(centre_directions(rows, 2, generator()).tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_an_atom_moves_to_the_direction_of_its_row():
    learner = OnlineDictionary(torch.eye(2)[None], nonnegative=True)
    learner.update(torch.tensor([[[2.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]]), forget=0.1)
    assert learner.atoms[0, 0].tolist() == pytest.approx([0.894, 0.447], abs=5e-4)


def test_a_row_without_residual_gives_no_direction():
    left = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert residual_directions(left, 1, generator(), nonnegative=True).tolist() == [[0.0, 1.0]]


def test_least_squares_finds_the_row_that_codes_were_multiplied_with():
    codes, atoms = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0]])
    rows = codes @ torch.tensor([[3.0, 4.0]])
    found = least_squares_dictionary(
        codes.T @ codes, codes.T @ rows, atoms, tie=0.0, nonnegative=True
    )
    assert found[0].tolist() == pytest.approx([3.0, 4.0], abs=5e-4)


def test_an_order_has_every_row_once():
    assert draw_orders(3, [generator()]).sort().values.tolist() == [[0, 1, 2]]
