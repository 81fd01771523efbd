"""Scores over blocks are those over all rows; Hoyer's measure is that of his paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocodec.kernels import scores
from neurocodec.kernels.scores import LeftOut, Moments, ReconstructionScores
from neurocodec.kernels.sparsity import hoyer

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.integers(-1000, 1000).map(lambda i: i / 8),
)


def cut(x, places):
    return np.split(x, sorted(p % (len(x) + 1) for p in places))


@given(matrices, st.lists(st.integers(0, 9), max_size=3))
def test_moments_of_blocks_are_those_of_the_whole(x, places):
    found = Moments(x.shape[1])
    for block in cut(x, places):
        found.add(block)
    assert found.count == len(x)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.squares, len(x) * x.var(axis=0), atol=1e-6)
    np.testing.assert_array_equal(found.varies, np.ptp(x, axis=0) > 0)
    assert found.pooled_deviation == pytest.approx(x.std(), abs=1e-8)


def test_moments_keep_their_digits_far_from_zero():
    x = 1e8 + np.random.default_rng(0).random((1000, 3))
    found = Moments(3)
    for block in np.array_split(x, 7):
        found.add(block)
    np.testing.assert_allclose(found.squares, 1000 * x.var(axis=0), rtol=1e-6)


@given(matrices, st.lists(st.integers(0, 9), max_size=3))
def test_r2_of_blocks_is_that_of_the_whole(x, places):
    made = x + np.cos(np.arange(x.size).reshape(x.shape))
    found = ReconstructionScores(x.shape[1])
    for a, b in zip(cut(x, places), cut(made, places), strict=True):
        found.add(a, b)
    near = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}
    assert found.r2 == pytest.approx(scores.r2(x, made), **near)
    assert found.r2_pooled == pytest.approx(scores.r2_pooled(x, made), **near)
    np.testing.assert_allclose(found.r2_features, scores.r2_features(x, made), rtol=1e-6, atol=1e-6)


def test_nothing_has_no_score():
    found = ReconstructionScores(2)
    assert np.isnan([found.r2, found.r2_pooled, *found.r2_features]).all()


def test_a_mode_left_out_costs_what_the_residual_without_it_says():
    random = np.random.default_rng(0)
    x, z, d = random.random((50, 6)), random.random((50, 4)), random.standard_normal((4, 6))
    found = LeftOut(4, 6)
    for block in np.array_split(np.arange(50), 3):
        found.add(x[block] - z[block] @ d, z[block])
    whole = ((x - z @ d) ** 2).sum()
    without = [((x - np.delete(z, k, 1) @ np.delete(d, k, 0)) ** 2).sum() for k in range(4)]
    np.testing.assert_allclose(found.increase(d), np.array(without) - whole)


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
