"""Regression of fields from their inner products."""

import numpy as np
import pytest

from neurocodec.kernels.field_regression import (
    explained_variance,
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
