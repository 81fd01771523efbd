"""Correlations against numpy and scipy, and from sums over blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr

from neurocodec.errors import InputError
from neurocodec.kernels.correlation import Comoments, correlate, unit_columns


def test_every_pair_agrees_with_scipy():
    random = np.random.default_rng(0)
    a, b = random.gamma(0.5, size=(200, 4)), random.standard_normal((200, 3))
    b[:, 0] += a[:, 2]
    expected = [[pearsonr(x, y).statistic for y in b.T] for x in a.T]
    np.testing.assert_allclose(correlate(a, b), expected, rtol=0, atol=1e-13)


def test_a_large_offset_in_single_precision_is_no_rounding_error():
    signal = np.random.default_rng(0).standard_normal((500, 1))
    offset = (signal + 1e4).astype(np.float32)
    expected = np.corrcoef(offset[:, 0].astype(float), signal[:, 0])[0, 1]
    assert correlate(offset, signal)[0, 0] == pytest.approx(expected, abs=1e-10)


def test_samples_along_the_other_axis_give_the_same():
    random = np.random.default_rng(1)
    a, b = random.random((30, 2)), random.random((30, 5))
    np.testing.assert_array_equal(correlate(a.T, b.T, axis=1), correlate(a, b))


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_constant_columns_are_nan_without_a_warning(value):
    varying = np.arange(7.0)[:, None]
    constant = np.full((7, 1), value)
    assert np.isnan(correlate(constant, varying)).all()
    assert np.isnan(correlate(varying, np.hstack([constant, varying]))).tolist() == [[True, False]]


def test_a_nan_stays_in_its_column():
    a = np.array([[1.0, 0.0], [np.nan, 1.0], [2.0, 5.0]])
    assert np.isnan(correlate(a, a)).tolist() == [[True, True], [True, False]]


def test_tiny_and_huge_numbers_neither_vanish_nor_overflow():
    x = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(correlate(x * 1e-300, x * 1e300), [[1.0]])


@given(arrays(np.float64, (6, 2), elements=st.floats(-1e3, 1e3)))
def test_within_one_and_symmetric(values):
    r = correlate(values, values)
    inside = r[~np.isnan(r)]
    assert (np.abs(inside) <= 1).all()
    np.testing.assert_array_equal(r, r.T)


@pytest.mark.parametrize(
    ("a", "b"), [((3, 1), (4, 1)), ((1, 1), (1, 1)), ((3,), (3, 1)), ((0, 2), (0, 2))]
)
def test_bad_shapes_are_refused(a, b):
    with pytest.raises(InputError):
        correlate(np.ones(a), np.ones(b))


def test_rising_columns_correlate_by_one_and_falling_ones_by_minus_one():
    found = correlate([[0.0], [1.0], [2.0]], [[1.0, 5.0], [2.0, 3.0], [3.0, 1.0]])
    np.testing.assert_allclose(found, [[1.0, -1.0]], rtol=1e-15)


def test_unit_columns_have_mean_zero_and_norm_one():
    found = unit_columns([[1.0, 2.0], [3.0, 2.0]], 0) * 2**0.5
    np.testing.assert_allclose(found, [[-1.0, np.nan], [1.0, np.nan]])


def test_comoments_of_two_blocks_are_those_of_all_rows():
    first, second = Comoments.of([[1.0], [3.0]]), Comoments.of([[5.0]])
    whole = first.merge(second)
    assert whole.count == 3
    assert whole.means[0].tolist() == [3.0]
    assert whole.products.tolist() == [[8.0]]
