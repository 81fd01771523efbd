"""Hoyer's measure is that of his paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocodec.kernels.sparsity import hoyer

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.integers(-1000, 1000).map(lambda i: i / 8),
)


def test_hoyer_by_hand():
    assert hoyer([3.0, 0.0, -4.0, 0.0]) == pytest.approx((2 - 7 / 5) / (2 - 1))
    assert hoyer(np.ones((4, 3)), axis=0) == pytest.approx([0.0] * 3)
    assert hoyer([[5.0], [0.0]]).tolist() == pytest.approx([1.0, np.nan], nan_ok=True)


@given(matrices)
def test_hoyer_ignores_scale_and_order_and_lies_between_0_and_1(x):
    found = hoyer(x, axis=1)
    np.testing.assert_allclose(hoyer(-2.0 * x[:, ::-1], axis=1), found, atol=1e-9)
    known = found[x.any(axis=1)]
    assert ((known >= 0) & (known <= 1)).all()
    assert np.isnan(found[~x.any(axis=1)]).all()


def test_hoyer_is_zero_for_equal_entries_and_one_for_a_single_one():
    assert hoyer([[1.0, 1.0], [0.0, 3.0]]).round(6).tolist() == [0.0, 1.0]
