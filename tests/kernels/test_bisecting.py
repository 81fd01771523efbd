import numpy as np
import pytest
from sklearn.cluster import BisectingKMeans

from neurocodec.kernels.bisecting import bisecting
from neurocodec.kernels.spherical import nearest_center, unit_rows


def rows_of(count=600, channels=8, seed=0, kind=float):
    return unit_rows(np.random.default_rng(seed).normal(size=(count, channels))).astype(kind)


def distance(rows, centers):
    return 1 - nearest_center(rows, unit_rows(centers))[1].mean()


@pytest.mark.parametrize("kind", [float, np.float32])
def test_every_row_is_in_one_cluster_whose_centre_is_its_mean_direction(kind):
    rows = rows_of(kind=kind)
    found = bisecting(rows, 37, seed=0)
    assert found.centers.shape == (37, 8)
    assert found.centers.dtype == kind
    assert np.bincount(found.nearest, minlength=37).min() >= 1
    means = np.stack([rows[found.nearest == k].sum(0) for k in range(37)])
    np.testing.assert_allclose(found.centers, unit_rows(means), rtol=2e-5, atol=1e-6)
    own = (rows * found.centers[found.nearest]).sum(1)
    np.testing.assert_allclose(found.cosine, own, rtol=1e-5)


def test_it_is_no_worse_than_that_of_scikit_learn():
    rows = rows_of(1500, 12)
    options = {"bisecting_strategy": "largest_cluster"}
    theirs = [
        distance(rows, BisectingKMeans(60, random_state=s, **options).fit(rows).cluster_centers_)
        for s in range(3)
    ]
    ours = [distance(rows, bisecting(rows, 60, seed=s).centers) for s in range(3)]
    assert np.median(ours) <= 1.01 * np.median(theirs)


def test_the_largest_is_always_split():
    sizes = {k: np.bincount(bisecting(rows_of(), k, seed=0).nearest).max() for k in (2, 8, 32)}
    assert sizes[2] >= 300
    assert sizes[2] > sizes[8] > sizes[32]
    few, more = (bisecting(rows_of(), k, seed=0).nearest for k in (8, 9))
    assert len({*zip(few, more, strict=True)}) == 9  # one of the eight, in two


def test_planted_directions_are_parted():
    rng = np.random.default_rng(1)
    centers = unit_rows(rng.normal(size=(8, 20)))
    rows = unit_rows(np.repeat(centers, 30, 0) + 0.02 * rng.normal(size=(240, 20)))
    best = max((bisecting(rows, 8, seed=s) for s in range(5)), key=lambda c: c.cosine.sum())
    assert best.cosine.mean() > 0.98


def test_copies_are_never_parted():
    rows = np.repeat(rows_of(5, 4), 20, 0)
    found = bisecting(rows, 9, seed=0)
    assert len(found.centers) == 5
    np.testing.assert_array_equal(np.sort(np.bincount(found.nearest)), 20)


def test_rows_may_be_put_into_another_order(monkeypatch):
    rows = rows_of()
    expected = bisecting(rows, 20, seed=0)
    monkeypatch.setattr("neurocodec.kernels.bisecting.AT_ONCE", 1800)
    found = bisecting(rows, 20, seed=0, overwrite=True)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(rows, rows_of())


def test_rows_are_left_as_they_were_and_a_seed_repeats():
    rows = rows_of()
    before = rows.copy()
    first, again = (bisecting(rows, 20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_array_equal(first.centers, again.centers)
    assert not np.array_equal(first.centers, bisecting(rows, 20, seed=4).centers)
