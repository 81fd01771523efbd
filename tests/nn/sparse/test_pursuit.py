"""Orthogonal matching pursuit: against scikit-learn's, and least squares."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp

from neurocodec.nn.sparse.coding import unit_rows
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.inference.model import InferenceModel
from neurocodec.nn.sparse.pursuit import pursue


def atoms_of(modes, channels, seed=0):
    return unit_rows(torch.randn(modes, channels, generator=torch.Generator().manual_seed(seed)))


def test_codes_are_those_of_scikit_learn_where_these_are_not_negative():
    atoms, generator = atoms_of(30, 12), torch.Generator().manual_seed(1)
    codes = torch.rand(40, 30, generator=generator)
    codes *= codes.argsort(dim=1).argsort(dim=1) >= 27
    rows = codes @ atoms + 0.05 * torch.randn(40, 12, generator=generator)
    theirs = orthogonal_mp(atoms.T.double().numpy(), rows.T.double().numpy(), n_nonzero_coefs=3).T
    same = (theirs >= 0).all(axis=1)
    assert same.sum() >= 10
    found = pursue(rows, atoms, 3).dense(30).numpy()
    np.testing.assert_allclose(found[same], theirs[same], atol=1e-4)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_codes_are_the_best_that_are_not_negative_on_their_modes(l2):
    atoms, rows = atoms_of(20, 6), torch.rand(25, 6, generator=torch.Generator().manual_seed(2))
    found = pursue(rows, atoms, 4, l2)
    for row, index, value in zip(rows.double(), found.index, found.value, strict=True):
        some = atoms[index.unique()].double().numpy()
        ridge = np.sqrt(l2) * np.eye(len(some))
        best = nnls(np.vstack([some.T, ridge]), np.append(row.numpy(), np.zeros(len(some))))[1]
        made = value.double().numpy() @ atoms[index].double().numpy()
        error = np.sqrt(((row.numpy() - made) ** 2).sum() + l2 * (value.double() ** 2).sum().item())
        assert error <= best + 5e-3


def test_silence_and_what_goes_against_all_modes_have_no_codes():
    atoms = torch.eye(3)[:2]
    rows = torch.tensor([[0.0, 0.0, 0.0], [-1.0, -2.0, 5.0], [0.0, 2.0, 1.0]])
    assert pursue(rows, atoms, 2).dense(2).tolist() == [[0, 0], [0, 0], [0, pytest.approx(2.0)]]


def test_a_model_takes_them_as_its_loadings():
    config = SparseConfig(expansion=2, sparsifier="pursuit", active=2)
    model, atoms = InferenceModel(6, config), atoms_of(12, 6)
    model.start(atoms, atoms, row_length=1.0)
    rows = torch.rand(9, 6, generator=torch.Generator().manual_seed(3))
    expected = pursue(rows, atoms, 2, config.l2_loading).dense(12)
    assert torch.equal(model.encode(rows), expected)
    assert int((model.encode(rows) > 0).sum(dim=1).max()) == 2
