"""Regression of fields from their inner products."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from neurocodec.kernels.field_regression import (
    explained_variance,
    explained_variances,
    normalised_gram,
    separable_gram,
)


def test_inner_products_of_separable_fields_are_those_of_the_fields():
    temporal = np.array([[[1.0]], [[2.0]]])
    spatial = np.array([[[3.0, 0.0]], [[1.0, 1.0]]])
    assert separable_gram(temporal, spatial).tolist() == [[9.0, 6.0], [6.0, 8.0]]


def test_fields_are_scaled_to_norm_one():
    found = normalised_gram(np.array([[4.0, 2.0], [2.0, 4.0]]))
    assert found.tolist() == [[1.0, 0.5], [0.5, 1.0]]


def test_fields_that_are_their_regressors_are_explained_whole():
    x = np.random.default_rng(0).normal(size=(40, 2))
    assert explained_variance(x @ x.T, x, ridge=0.0, folds=4) == pytest.approx(1.0, abs=1e-6)


def test_cells_and_draws_are_each_by_itself_as_scikit_learn_has_them():
    random = np.random.default_rng(0)
    fields, draws = random.normal(size=(3, 40, 6)), random.normal(size=(4, 40, 2))
    fields[0, :, :2] += draws[1]
    fields[2] = 1.0  # never changes
    found = explained_variances(fields @ fields.transpose(0, 2, 1), draws, ridge=0.5, folds=5)
    assert np.isnan(found[2]).all()
    for i, j in np.ndindex(2, 4):
        left = total = 0.0
        for train, held in KFold(5).split(draws[j]):
            x = draws[j][train]
            penalty = 0.5 * np.sum((x - x.mean(0)) ** 2) / 2
            model = Ridge(alpha=penalty).fit(x, fields[i, train])
            left += np.sum((fields[i, held] - model.predict(draws[j][held])) ** 2)
            total += np.sum((fields[i, held] - fields[i, train].mean(0)) ** 2)
        assert found[i, j] == pytest.approx(1 - left / total)
