import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import planted_rows
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet

from neurocodec.nn.sparse.coding import (
    bound_of,
    elastic_net,
    keep_largest,
    keep_share,
    largest_eigenvalue,
    unit_rows,
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


@given(st.integers(0, 100), st.booleans())
def test_the_bound_of_products_is_one_of_every_matrix_of_a_stack(seed, signed):
    atoms = torch.stack([problem(seed + k, modes=7)[1] - 0.5 * signed for k in range(2)])
    gram = atoms @ atoms.mT
    exact = torch.linalg.eigvalsh(gram)[:, -1, None, None]
    assert (exact * (1 - 1e-9) <= bound_of(gram)).all()
    assert (bound_of(gram) <= 1.06 * exact).all()


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


def test_penalties_lower_a_code_and_cut_a_small_one():
    rows, atoms = torch.tensor([[2.0, 0.1]]), torch.eye(2)
    assert elastic_net(rows, atoms, 0.5, 0.0).tolist() == [[1.5, 0.0]]
    assert elastic_net(rows, atoms, 0.5, 0.5).tolist() == [[1.0, 0.0]]


def test_of_three_codes_two_have_nine_tenths_of_the_energy():
    assert keep_share(torch.tensor([[6.0, 1.0, 3.0]]), 0.9).tolist() == [[6.0, 0.0, 3.0]]


def test_of_three_codes_the_largest_is_kept():
    assert keep_largest(torch.tensor([[6.0, 1.0, 3.0]]), 1).tolist() == [[6.0, 0.0, 0.0]]


def test_rows_of_norm_1_and_rows_of_zeros():
    found = unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    assert found[1].tolist() == [0.0, 0.0]


def test_modes_of_zeros_have_no_loadings():
    codes = elastic_net(torch.ones(2, 3), torch.zeros(4, 3), 0.0, 0.0)
    assert (codes == 0).all()
