"""How two parts of contributions go together."""

import numpy as np

from neurocodec.kernels.signs import WeightedParts, row_correlation


def test_parts_in_proportion_correlate_by_one():
    found = row_correlation(np.array([[[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]]]))
    assert found.round(12).tolist() == [1.0]


def test_a_part_that_falls_as_the_other_rises_correlates_by_minus_one():
    parts = np.array([[[1.0], [3.0]], [[2.0], [1.0]], [[3.0], [-1.0]]])
    found = WeightedParts.of(parts, np.ones((1, 3))).correlation
    assert found.round(12).tolist() == [[-1.0]]
