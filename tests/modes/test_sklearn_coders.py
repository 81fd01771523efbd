"""Coders of plain arrays do what scikit-learn's estimators do."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from neurocodec.errors import InputError
from neurocodec.modes.sklearn_coders import (
    LinearCoder,
    SolvingCoder,
    coder_from,
    coder_of,
    computed,
    independent_columns,
    whole_settings,
)


def test_a_linear_coder_projects_what_differs_from_the_mean():
    one = np.ones(1, np.float32)
    coder = LinearCoder(one, one[:, None], 2 * one, one[:, None])
    assert coder.encode(np.array([[5.0]], np.float32)).tolist() == [[3.0]]
    assert coder.decode(one[:, None]).tolist() == [[3.0]]


def test_a_row_belongs_to_its_nearest_centre():
    coder = SolvingCoder(np.ones(2, np.float32), np.eye(2, dtype=np.float32), "kmeans", {})
    assert coder.encode(np.array([[3.0, 1.0]], np.float32)).tolist() == [[1.0, 0.0]]


def test_a_fitted_estimator_makes_a_coder():
    rows = np.random.default_rng(0).random((20, 3))
    estimator = PCA(2).fit(rows)
    coder = coder_of("pca", estimator, {})
    assert coder.modes == 2
    found = coder.encode(rows.astype(np.float32))
    np.testing.assert_allclose(found, estimator.transform(rows), atol=1e-5)


def test_arrays_make_a_coder():
    assert coder_from("nmf", {"strength": np.ones(1), "atoms": np.ones((1, 2))}, {}).modes == 1


def test_what_scikit_learn_refuses_is_an_error_of_ours():
    with pytest.raises(InputError) as found:
        computed("pca", {"tol": -1}, lambda: PCA(tol=-1).fit(np.eye(2)))
    assert found.value.came == "'pca' of scikit-learn with {'tol': -1}"
    assert found.value.expected == (
        "The 'tol' parameter of PCA must be a float in the range [0.0, inf). Got -1 instead."
    )


def test_a_sum_of_columns_does_not_count_as_another():
    x = np.random.default_rng(0).random((20, 2))
    assert independent_columns(np.c_[x, x.sum(axis=1)]) == 2
    assert independent_columns(np.zeros((20, 0))) == 0


def test_settings_are_ours_where_they_are_not_scikit_learns():
    assert whole_settings("nmf", {"tol": 0.1})["max_iter"] == 500
    assert whole_settings("nmf", {"max_iter": 3})["max_iter"] == 3
