import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import planted_rows
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet

from neurocodec.nn.sparse.coding import (
    elastic_net,
    keep_largest,
    keep_share,
    largest_eigenvalue,
    unit_rows,
)
from neurocodec.nn.sparse.dictionary import (
    OnlineDictionary,
    centre_directions,
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


def problem(seed, *, rows=20, channels=9, modes=5):
    random = np.random.default_rng(seed)
    return torch.tensor(random.random((rows, channels))), torch.tensor(
        random.random((modes, channels))
    )


def test_codes_without_penalties_are_non_negative_least_squares():
    rows, atoms = problem(0)
    codes = elastic_net(rows, atoms, 0.0, 0.0, iterations=5000)
    expected = [nnls(atoms.T.numpy(), row)[0] for row in rows.numpy()]
    np.testing.assert_allclose(codes.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.3, 0.5), (0.05, 2.0)])
def test_codes_are_those_of_scikit_learns_elastic_net(l1, l2):
    rows, atoms = problem(1, modes=12)
    codes = elastic_net(rows, atoms, l1, l2, iterations=5000)
    channels = atoms.shape[1]
    # scikit-learn divides the squared error by the number of channels
    theirs = ElasticNet(
        alpha=(l1 + l2) / channels,
        l1_ratio=l1 / (l1 + l2),
        fit_intercept=False,
        positive=True,
        max_iter=100_000,
        tol=1e-10,
    )
    expected = [theirs.fit(atoms.T.numpy(), row).coef_ for row in rows.numpy()]
    assert (codes > 0).any()
    np.testing.assert_allclose(codes.numpy(), expected, atol=1e-5)


def test_the_steps_taken_are_enough_for_real_sizes():
    rows, atoms = planted_rows(200, 64, 192, active=8, noise=0.1, seed=0)
    rows, atoms = torch.tensor(rows), torch.tensor(atoms)
    found = elastic_net(rows, atoms, 0.4, 0.35)
    exact = elastic_net(rows, atoms, 0.4, 0.35, iterations=5000)
    assert (found - exact).abs().max() < 1e-3 * exact.max()


def test_codes_of_a_row_do_not_depend_on_the_other_rows_or_fits():
    rows, atoms = problem(2, rows=6)
    other = torch.rand(2, 6, 9, dtype=torch.float64, generator=generator())
    alone = elastic_net(rows[:1], atoms, 0.2, 0.1)
    together = elastic_net(rows, atoms, 0.2, 0.1)
    stacked = elastic_net(
        torch.stack([rows, other[0]]),
        torch.stack([atoms, 2 * atoms]),
        torch.tensor([0.2, 0.4])[:, None, None],
        torch.tensor([0.1, 0.0])[:, None, None],
    )
    torch.testing.assert_close(together[:1], alone)
    torch.testing.assert_close(stacked[0], together)
    torch.testing.assert_close(stacked[1], elastic_net(other[0], 2 * atoms, 0.4, 0.0))


def test_modes_outside_of_the_support_stay_at_zero():
    rows, atoms = problem(3)
    support = torch.rand(20, 5, generator=generator()) > 0.5
    codes = elastic_net(rows, atoms, 0.0, 0.0, support=support, iterations=5000)
    assert (codes[~support] == 0).all()
    row, on = rows[0].numpy(), support[0].numpy()
    np.testing.assert_allclose(codes[0].numpy()[on], nnls(atoms.numpy()[on].T, row)[0], atol=1e-6)


def test_the_ridge_lets_twins_fire_together_where_the_lasso_need_not():
    atoms = unit_rows(torch.tensor([[1.0, 0.02], [1.0, -0.02], [0.0, 1.0]]))
    codes = elastic_net(torch.tensor([[2.0, 0.01]]), atoms, 0.1, 0.5, iterations=500)
    assert abs(float(codes[0, 0] - codes[0, 1])) < 0.05 * float(codes[0, 0])


@given(st.integers(0, 100))
def test_the_bound_of_the_eigenvalue_is_one(seed):
    _, atoms = problem(seed, modes=7)
    exact = torch.linalg.eigvalsh(atoms @ atoms.T)[-1]
    found = largest_eigenvalue(atoms @ atoms.T)
    assert exact * (1 - 1e-9) <= found <= 1.06 * exact


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9), st.floats(0.05, 0.99))
def test_the_share_kept_is_reached_by_the_fewest_codes(values, share):
    codes = torch.tensor([values], dtype=torch.float64)
    kept = keep_share(codes, share)
    energy = np.sort(np.square(values))[::-1]
    fewest = int((np.cumsum(energy) - energy < share * energy.sum()).sum())
    assert int((kept > 0).sum()) <= fewest
    assert float(kept.square().sum()) >= share * energy.sum() * (1 - 1e-9)
    assert ((kept == codes) | (kept == 0)).all()


def test_the_largest_codes_are_kept():
    codes = torch.rand(30, 9, generator=generator())
    kept = keep_largest(codes, 4)
    assert ((kept > 0).sum(dim=1) == 4).all()
    assert torch.equal(kept.sort(dim=1).values[:, -4:], codes.sort(dim=1).values[:, -4:])
    assert torch.equal(keep_largest(codes, 99), codes)


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
        iterations=20_000,
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
