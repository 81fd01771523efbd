"""Correlation of columns with masks by hand, and against chance."""

import numpy as np

from neurocodec.kernels.class_correlation import Masks, bootstrap_medians, largest
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
