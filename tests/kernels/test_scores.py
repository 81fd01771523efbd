"""R2 at once against scikit-learn, over blocks against all rows at once, and what modes add."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import r2_score

from neurocodec.errors import InputError
from neurocodec.kernels.scores import (
    LeftOut,
    Moments,
    ReconstructionScores,
    r2,
    r2_features,
    r2_pooled,
)

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.integers(-1000, 1000).map(lambda i: i / 8),
)


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    data = random.gamma(1.0, size=(50, 4)) * [1.0, 10.0, 0.1, 3.0]
    return data, data + random.standard_normal((50, 4)) * [0.5, 1.0, 0.2, 1.0]


def test_features_agree_with_scikit_learn(pair):
    expected = r2_score(*pair, multioutput="raw_values")
    np.testing.assert_allclose(r2_features(*pair), expected)
    assert r2(*pair) == pytest.approx(expected.mean())


def test_pooled_agrees_with_scikit_learn_on_the_flattened(pair):
    assert r2_pooled(*pair) == pytest.approx(r2_score(*(x.ravel() for x in pair)))


def test_the_other_axis_gives_the_same(pair):
    data, made = pair
    np.testing.assert_allclose(r2_features(data.T, made.T, axis=1), r2_features(data, made))


def test_the_mean_of_each_feature_explains_nothing_per_feature_but_something_pooled(pair):
    data, _ = pair
    mean = np.broadcast_to(data.mean(axis=0), data.shape)
    assert r2(data, mean) == pytest.approx(0.0)
    assert r2_pooled(data, mean) > 0.3


def test_constant_features_are_nan_and_left_out_of_the_mean():
    data = np.array([[0.1, 0.0], [0.1, 2.0], [0.1, 4.0]])
    made = data + np.array([1.0, 0.0])
    assert np.isnan(r2_features(data, made)).tolist() == [True, False]
    assert r2(data, made) == 1.0
    assert np.isnan(r2(data[:, :1], made[:, :1]))
    assert np.isnan(r2_pooled(data[:, :1], made[:, :1]))


def test_different_shapes_are_refused_not_broadcast():
    with pytest.raises(InputError, match=r"\(3, 2\).*\(3, 1\)"):
        r2(np.ones((3, 2)), np.ones((3, 1)))


def test_a_feature_that_varies_by_rounding_alone_is_constant():
    random = np.random.default_rng(0)
    data = random.random((50, 2)).astype(np.float32)
    rounded = np.float32(1.0) + np.float32(1.2e-7) * random.integers(0, 2, (50, 1))
    data = np.hstack([data, rounded.astype(np.float32)])
    made = data + np.float32(1e-3)
    assert np.isnan(r2_features(data, made)[2])
    np.testing.assert_allclose(r2(data, made), r2(data[:, :2], made[:, :2]))
    small = data[:, :2] * 1e-12
    np.testing.assert_allclose(
        r2(small, 0.9 * small), r2(data[:, :2], 0.9 * data[:, :2]), rtol=1e-5
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
    assert found.r2 == pytest.approx(r2(x, made), **near)
    assert found.r2_pooled == pytest.approx(r2_pooled(x, made), **near)
    np.testing.assert_allclose(found.r2_features, r2_features(x, made), rtol=1e-6, atol=1e-6)


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


DATA, MADE = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 2.0], [2.0, 2.0]])


def test_r2_of_a_feature_is_one_at_best_and_zero_for_its_mean():
    assert r2_features(DATA, MADE).tolist() == [1.0, 0.0]


def test_r2_is_the_mean_over_features():
    assert r2(DATA, MADE) == 0.5


def test_pooled_r2_counts_means_of_features_as_explained():
    assert r2_pooled(DATA, MADE) == 0.6


def test_moments_by_hand():
    moments = Moments(2)
    moments.add([[0.0, 5.0]])
    moments.add([[2.0, 5.0]])
    assert moments.mean.tolist() == [1.0, 5.0]
    assert moments.squares.tolist() == [2.0, 0.0]
    assert moments.varies.tolist() == [True, False]


def test_reconstruction_scores_by_hand():
    found = ReconstructionScores(2)
    found.add(DATA, MADE)
    assert found.r2_features.tolist() == [1.0, 0.0]
    assert (found.r2, found.r2_pooled) == (0.5, 0.6)


def test_left_out_by_hand():
    found = LeftOut(1, 2)
    found.add(np.array([[0.0, 0.5]]), np.array([[2.0]]))
    assert found.increase(np.array([[1.0, 0.0]])).tolist() == [4.0]  # |(2, 0.5)|^2 - |(0, 0.5)|^2
