import numpy as np
import pytest
from sklearn.cluster import KMeans

from neurocodec.kernels.spherical import spherical_kmeans, unit_rows


def planted(seed=0, clusters=6, each=40, noise=0.05):
    rng = np.random.default_rng(seed)
    centers = unit_rows(rng.normal(size=(clusters, 12)))
    rows = np.repeat(centers, each, 0) + noise * rng.normal(size=(clusters * each, 12))
    return unit_rows(rows * rng.uniform(0.1, 9, size=(len(rows), 1))), centers


def test_planted_directions_are_found():
    rows, centers = planted()
    every = [spherical_kmeans(rows, 6, seed=s) for s in range(4)]  # each a local maximum
    found = max(every, key=lambda one: one.cosine.sum())
    np.testing.assert_allclose((found.centers @ centers.T).max(0), 1, atol=5e-3)
    np.testing.assert_array_equal(np.bincount(found.nearest), 40)
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1)
    np.testing.assert_allclose(found.cosine, (rows @ found.centers.T).max(1))


def test_it_is_no_worse_than_k_means_of_unit_rows():
    rows = unit_rows(np.random.default_rng(0).normal(size=(600, 8)))
    other = KMeans(30, n_init=1, random_state=0).fit(rows)
    expected = (rows @ unit_rows(other.cluster_centers_).T).max(1).mean()
    found = [spherical_kmeans(rows, 30, seed=s).cosine.mean() for s in range(3)]
    assert np.median(found) > 0.99 * expected


def test_centres_are_the_mean_directions_of_their_rows():
    rows = unit_rows(np.random.default_rng(3).normal(size=(200, 5)))
    found = spherical_kmeans(rows, 7, seed=0, most=300)
    means = np.stack([rows[found.nearest == k].sum(0) for k in range(7)])
    np.testing.assert_allclose(found.centers, unit_rows(means))
    assert found.rounds < 300


@pytest.mark.parametrize("clusters", [1, 5])
def test_few_rows_have_each_a_centre(clusters):
    rows = np.eye(5)
    found = spherical_kmeans(rows, clusters, seed=0)
    assert len({*found.nearest}) == clusters
    again = spherical_kmeans(rows, clusters, seed=0)
    np.testing.assert_array_equal(found.centers, again.centers)
