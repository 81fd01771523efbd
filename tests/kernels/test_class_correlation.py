"""Correlation of columns with masks by hand, and against chance."""

import numpy as np

from neurocodec.kernels.class_correlation import (
    Masks,
    bootstrap_medians,
    chance_of_sizes,
    largest,
)
from neurocodec.kernels.correlation import unit_columns

MEMBER = np.array([[True, False], [True, False], [False, True], [False, False]])


def test_a_column_that_is_a_mask_correlates_by_one():
    found = Masks(MEMBER).correlate(unit_columns([[2.0], [2.0], [0.0], [0.0]], 0))
    assert found.round(3).tolist() == [[1.0, -0.577]]


def test_the_largest_correlation_is_no_nan_where_one_is_known():
    found = largest(np.array([[0.1, np.nan], [np.nan, np.nan]]))
    np.testing.assert_array_equal(found, [0.1, np.nan])


def test_medians_of_equal_values_are_their_value():
    assert bootstrap_medians([2.0, 2.0], 3, 0).tolist() == [2.0, 2.0, 2.0]


def test_chance_of_a_size_is_that_of_random_masks():
    columns = unit_columns(np.random.default_rng(0).gamma(1.0, size=(60, 3)), 0)
    found = chance_of_sizes(columns, [5, 20, 0, 60], draws=400, level=0.95, seed=0)
    random = np.random.default_rng(1)
    for place, size in enumerate((5, 20)):
        masks = np.zeros((400, 60))
        for mask in masks:
            mask[random.choice(60, size, replace=False)] = 1
        r = [[np.corrcoef(mask, column)[0, 1] for mask in masks] for column in columns.T]
        np.testing.assert_allclose(found[:, place], np.quantile(r, 0.95, axis=1), atol=0.06)
    assert np.isnan(found[:, 2:]).all()
