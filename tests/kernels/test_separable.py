"""Separable components of receptive fields, and the sign of time courses."""

import numpy as np
import pytest

from neurocodec.errors import InputError
from neurocodec.kernels.separable import leading, recent_sign, require_rank, separable_components


def test_a_product_is_split_into_its_course_and_its_map():
    field = np.multiply.outer([0.6, -0.8], [[5.0, 0.0]])
    found = separable_components(field, rank=1)
    assert found.temporal.round(6).tolist() == [[-0.6, 0.8]]
    assert found.spatial.round(6).tolist() == [[[-5.0, 0.0]]]


def test_the_leading_eigenvector_has_the_largest_share():
    temporal, share = leading(np.diag([1.0, 3.0]), rank=2)
    assert np.abs(temporal).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert share.tolist() == [0.75, 0.25]


def test_the_recent_phase_is_that_of_the_newest_large_value():
    courses = np.array([[0.0, 1.0, -0.6, 0.1], [0.0, 0.0, 0.0, 0.0]])
    assert recent_sign(courses).tolist() == [-1.0, 1.0]


def test_a_rank_is_at_most_the_number_of_lags():
    require_rank(2, 40)
    require_rank(np.int64(40), 40)
    for rank in (0, 41, 2.0, True):
        with pytest.raises(InputError, match="from 1 to 40"):
            require_rank(rank, 40)
