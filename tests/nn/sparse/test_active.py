"""Codes on candidates are those of all modes, and as exact."""

import numpy as np
import pytest
import torch
from planted import planted_rows
from scipy.optimize import nnls
from sklearn.linear_model import ElasticNet

from neurocodec.nn.sparse.active import Codes, active_net, refitted
from neurocodec.nn.sparse.coding import elastic_net, keep_share, unit_rows


@pytest.fixture(autouse=True)
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def problem(*, rows=40, channels=24, modes=160):
    x, _ = planted_rows(rows, channels, modes, active=5, noise=0.1, seed=0)
    generator = torch.Generator().manual_seed(0)
    atoms = unit_rows(torch.rand(modes, channels, generator=generator) ** 8)
    return torch.tensor(x, dtype=torch.float32), atoms


def objective(rows, atoms, codes, l1, l2):
    rows, atoms, codes = (t.double() for t in (rows, atoms, codes))
    error = (rows - codes @ atoms).square().sum(1)
    return 0.5 * error + l1 * codes.sum(1) + 0.5 * l2 * codes.square().sum(1)


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.35), (0.5, 1.0), (0.1, 0.0)])
def test_the_objective_is_that_of_all_modes_solved_at_length(l1, l2):
    rows, atoms = problem()
    found = active_net(rows, atoms, torch.tensor(l1), l2).dense(len(atoms))
    exact = elastic_net(rows.double(), atoms.double(), l1, l2, iterations=3000)
    reached, least = (objective(rows, atoms, codes, l1, l2) for codes in (found, exact))
    assert ((reached - least) / least).max() < 1e-4
    assert 1 < (found > 0).sum(1).float().mean() < 40


def test_codes_are_those_of_scikit_learn():
    rows, atoms = problem(rows=5)
    found = active_net(rows, atoms, torch.tensor(0.1), 0.5).dense(len(atoms))
    # scikit-learn divides the squared error by the number of channels
    share = {"alpha": 0.6 / rows.shape[1], "l1_ratio": 0.1 / 0.6}
    theirs = ElasticNet(**share, fit_intercept=False, positive=True, max_iter=100_000, tol=1e-10)
    expected = [theirs.fit(atoms.double().T.numpy(), x).coef_ for x in rows.double().numpy()]
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("known", [True, False])
def test_products_of_modes_and_through_the_channels_give_the_same(known, monkeypatch):
    rows, atoms = problem()
    gram = atoms @ atoms.T if known else None
    monkeypatch.setattr("neurocodec.nn.sparse.active._gram", lambda *_: gram)
    found = active_net(rows, atoms, torch.tensor(0.1), 0.35).dense(len(atoms))
    exact = elastic_net(rows, atoms, 0.1, 0.35, iterations=3000)
    torch.testing.assert_close(found, exact, atol=5e-3, rtol=0)


def test_codes_of_a_row_do_not_depend_on_the_other_rows():
    rows, atoms = problem()
    together = active_net(rows, atoms, torch.tensor(0.1), 0.35).dense(len(atoms))
    alone = torch.cat(
        [active_net(x[None], atoms, torch.tensor(0.1), 0.35).dense(len(atoms)) for x in rows]
    )
    torch.testing.assert_close(together, alone, atol=5e-3, rtol=0)


def test_a_good_start_is_as_good_after_few_steps():
    rows, atoms = problem()
    exact = active_net(rows, atoms, torch.tensor(0.1), 0.35)
    again = active_net(rows, atoms, torch.tensor(0.1), 0.35, start=exact, rounds=1, steps=2)
    torch.testing.assert_close(again.dense(160), exact.dense(160), atol=1e-3, rtol=0)


def test_a_refit_is_the_ridge_of_what_is_active():
    rows, atoms = problem(rows=6)
    kept = keep_share(active_net(rows, atoms, torch.tensor(0.1), 0.35).dense(160), 0.9)
    found = refitted(rows, atoms, 0.35, kept, steps=200).double().numpy()
    for x, codes, before in zip(rows.double().numpy(), found, kept, strict=True):
        on = (before > 0).numpy()
        assert not codes[~on].any()
        # a ridge is least squares with one more row per mode
        design = np.vstack([atoms.double().numpy()[on].T, np.sqrt(0.35) * np.eye(on.sum())])
        goal = np.append(x, np.zeros(on.sum()))
        np.testing.assert_allclose(codes[on], nnls(design, goal)[0], atol=1e-3)


def test_codes_are_cut_filled_up_and_multiplied():
    codes = Codes.of(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]))
    assert codes.dense(3).tolist() == [[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]
    assert codes.cut(1).dense(3).tolist() == [[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]]
    assert codes.cut(5).value.shape == (2, 5)
    assert codes.times(torch.eye(3)).tolist() == codes.dense(3).tolist()


def test_rows_of_silence_have_no_codes():
    atoms = problem()[1]
    assert not active_net(torch.zeros(3, 24), atoms, torch.tensor(0.1), 0.35).value.any()
    assert not refitted(torch.zeros(3, 24), atoms, 0.35, torch.zeros(3, 160), 5).any()


def test_codes_of_parts_are_joined_row_after_row():
    dense = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    parts = [Codes.of(part) for part in dense.split(2)]
    assert [part.value.shape[1] for part in parts] == [2, 3]
    torch.testing.assert_close(Codes.joined(parts).dense(3), dense, rtol=0, atol=0)


@pytest.mark.parametrize("l2", [0.0, 1e-3, 1e-2])
def test_near_copies_are_solved_with_next_to_no_ridge(l2):
    random = np.random.default_rng(0)
    atoms = unit_rows(torch.tensor(random.random((80, 8)), dtype=torch.float32) ** 3)
    rows = torch.tensor(random.random((6, 8)), dtype=torch.float32)
    theirs = ElasticNet(
        alpha=(0.05 + l2) / 8,
        l1_ratio=0.05 / (0.05 + l2),
        fit_intercept=False,
        positive=True,
        max_iter=100_000,
        tol=1e-9,
    )
    exact = [theirs.fit(atoms.double().T.numpy(), row.double().numpy()).coef_ for row in rows]
    codes = active_net(rows, atoms, torch.tensor(0.05), l2).dense(80)
    least = objective(rows, atoms, torch.tensor(np.stack(exact)), 0.05, l2)
    assert (objective(rows, atoms, codes, 0.05, l2) <= least * (1 + 1e-4)).all()
    plain = objective(rows, atoms, elastic_net(rows, atoms, 0.05, l2), 0.05, l2)
    assert (plain > least * (1 + 1e-4)).any()  # steps alike for all rows are not enough
