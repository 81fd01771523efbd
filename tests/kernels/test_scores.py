import numpy as np
import pytest
from sklearn.metrics import r2_score

from neurocodec.errors import InputError
from neurocodec.kernels.scores import r2, r2_features, r2_pooled
from neurocodec.kernels.splits import held_out


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


@pytest.mark.parametrize("series", [True, False])
@pytest.mark.parametrize("size", [2, 7, 99, 1000])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.999])
def test_as_many_rows_are_held_out_as_asked(size, fraction, series):
    mask = held_out(size, fraction, seed=3, series=series)
    assert mask.sum() == min(max(1, round(fraction * size)), size - 1)
    np.testing.assert_array_equal(mask, held_out(size, fraction, seed=3, series=series))


def test_a_series_is_held_out_in_whole_blocks_all_over_it():
    mask = held_out(6000, 0.1, seed=0, series=True)
    edges = np.flatnonzero(np.diff(mask.astype(int)))
    assert len(edges) <= 20
    assert all(part.sum() == 60 for part in np.array_split(mask, 10))


def test_nothing_is_held_out_where_nothing_is_asked_or_possible():
    assert not held_out(10, 0.0, seed=0, series=True).any()
    assert not held_out(1, 0.5, seed=0, series=False).any()


def test_another_seed_holds_out_other_rows():
    a, b = (held_out(100, 0.1, seed=seed, series=False) for seed in (0, 1))
    assert (a != b).any()


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
