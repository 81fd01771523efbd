"""How many dimensions a cloud of rows has, by hand."""

import numpy as np

from neurocodec.kernels.dimensionality import (
    components,
    describe,
    eigenvalues,
    participation_ratio,
    variances,
)


def test_a_square_varies_alike_in_both_directions():
    found = variances([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    np.testing.assert_allclose(found, [4.0, 4.0])


def test_the_largest_eigenvalue_comes_first():
    assert eigenvalues([[2.0, 0.0], [0.0, 5.0]]).tolist() == [5.0, 2.0]


def test_components_are_counted_up_to_a_share():
    assert components([[6.0, 3.0, 1.0], [1.0, 0.0, 0.0]], 0.9).tolist() == [2.0, 1.0]


def test_participation_ratio_counts_equal_variances():
    assert participation_ratio([[1.0, 1.0, 1.0], [4.0, 0.0, 0.0]]).tolist() == [3.0, 1.0]


def test_both_counts_together():
    assert describe([1.0, 1.0], 0.95).tolist() == [2.0, 2.0]
