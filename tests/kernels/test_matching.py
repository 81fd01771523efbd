"""Matching of modes and their consensus: properties, and every permutation tried."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from neurocodec.errors import InputError
from neurocodec.kernels.matching import (
    consensus_modes,
    cosine_similarity,
    distinct_modes,
    found_share,
    match_modes,
    mean_off_diagonal,
    nearest_cosine,
    replication,
    unit_rows,
    variance_ratio,
)

seeds = st.integers(0, 2**32 - 1)


def random_modes(seed, modes, channels, *, signed=False):
    random = np.random.default_rng(seed)
    made = random.exponential(size=(modes, channels))
    return made * random.choice([-1.0, 1.0], size=made.shape) if signed else made


def best_total(a, b):
    """Largest sum of cosines over every way to pair modes, by trying them all."""
    cosine = 1 - cdist(a, b, "cosine")
    if len(a) > len(b):
        cosine = cosine.T
    rows = range(len(cosine))
    return max(
        cosine[rows, list(p)].sum()
        for p in itertools.permutations(range(cosine.shape[1]), len(rows))
    )


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_no_other_pairing_has_a_larger_sum(seed, m, n, signed):
    a, b = (random_modes(s, k, 4, signed=signed) for s, k in ((seed, m), (seed + 1, n)))
    index, cosine = match_modes(a, b)
    assert cosine.sum() == pytest.approx(best_total(a, b))
    used = index[index >= 0]
    assert len(used) == len({*used}) == min(m, n)
    np.testing.assert_allclose(
        cosine[index >= 0], (1 - cdist(a, b, "cosine"))[index >= 0, used], atol=1e-12
    )
    assert (cosine[index < 0] == 0).all()


@given(seeds, st.integers(2, 8))
def test_order_and_strength_of_modes_do_not_matter(seed, count):
    random = np.random.default_rng(seed)
    a = random_modes(seed, count, 12)
    order = random.permutation(count)
    scale = 10.0 ** random.uniform(-200, 200, size=(count, 1))
    index, cosine = match_modes(a, (a * scale)[order])
    np.testing.assert_array_equal(order[index], np.arange(count))
    np.testing.assert_allclose(cosine, 1.0)


def test_a_sign_matters_and_a_zero_mode_is_like_nothing():
    a = np.eye(2)
    assert cosine_similarity(a, -a).tolist() == [[-1, 0], [0, -1]]
    assert match_modes(a, [[0.0, 0.0], [1.0, 0.0]])[1].tolist() == [1.0, 0.0]


@given(seeds)
def test_consensus_of_copies_is_what_was_copied(seed):
    random = np.random.default_rng(seed)
    true = random_modes(seed, 6, 20)
    order = [random.permutation(6) for _ in range(4)]
    copies = [true[o] * random.uniform(0.1, 9.0, size=(6, 1)) for o in order]
    found = consensus_modes(copies)
    names = np.stack([o[i] for o, i in zip(order, found.index, strict=True)])
    assert (names == names[0]).all()  # each consensus mode is one true mode, in all copies
    np.testing.assert_allclose(match_modes(found.modes, true)[1], 1.0)
    np.testing.assert_allclose(found.cosine, 1.0)
    np.testing.assert_allclose(np.linalg.norm(found.modes, axis=1), 1.0)


def test_consensus_is_nearer_to_the_truth_than_its_parts():
    random = np.random.default_rng(0)
    true = random_modes(0, 8, 30)
    noisy = [true[random.permutation(8)] + 0.5 * random.standard_normal((8, 30)) for _ in range(6)]
    parts = np.mean([match_modes(true, d)[1].mean() for d in noisy])
    whole = match_modes(true, consensus_modes(noisy).modes)[1].mean()
    assert 1 - whole < (1 - parts) / 4  # about a sixth: a mean of six


def test_order_of_the_dictionaries_does_not_matter():
    dictionaries = [random_modes(s, 5, 9) for s in range(3)]
    there, back = (consensus_modes(d) for d in (dictionaries, dictionaries[::-1]))
    index, cosine = match_modes(there.modes, back.modes)
    np.testing.assert_allclose(cosine, 1.0)
    np.testing.assert_allclose(there.cosine, back.cosine[::-1][:, index], atol=1e-6)


def test_two_dictionaries_are_compared_with_each_other_not_with_their_mean():
    a, b = random_modes(1, 6, 10), random_modes(2, 6, 10)
    direct = match_modes(a, b)[1]
    found = consensus_modes([a, b])
    np.testing.assert_allclose(found.cosine[0], found.cosine[1])
    np.testing.assert_allclose(np.sort(found.cosine[0]), np.sort(direct))


def test_a_dictionary_that_lacks_a_mode_does_not_blur_it():
    true = np.eye(4)
    lacking = true.copy()
    lacking[3] = [0.3, 0.3, 0.3, 0.1]
    found = consensus_modes([true, true, true, lacking, true[:3]])
    index, cosine = match_modes(true, found.modes)
    assert (cosine > 0.99).all()  # a plain mean would have 0.96
    last = index[3]
    assert found.index[4, last] == -1
    assert found.cosine[4, last] == 0
    assert found.cosine[3, last] < 0.3
    assert (found.cosine[:3] > 0.99).all()


@given(seeds, st.integers(1, 12), st.floats(0.5, 0.99))
def test_distinct_modes_stand_for_all(seed, count, cosine):
    modes = random_modes(seed, count, 3)
    kept = distinct_modes(modes, cosine)
    similar = 1 - cdist(modes, modes, "cosine")
    among = similar[np.ix_(kept, kept)] - np.eye(kept.sum())
    assert (among < cosine + 1e-9).all()  # none of them resemble each other
    norms = np.linalg.norm(modes, axis=1)
    for mode in np.flatnonzero(~kept):  # what is left out resembles a stronger one that is kept
        alike = kept & (similar[mode] >= cosine - 1e-9)
        assert norms[alike].max() >= norms[mode]
    np.testing.assert_array_equal(distinct_modes(1e-3 * modes, cosine), kept)


def test_copies_are_counted_once_and_zeros_never():
    true = np.eye(3)
    assert distinct_modes(np.concatenate([true, 2 * true, -true])).tolist() == (
        [False] * 3 + [True] * 6
    )
    assert distinct_modes(np.zeros((2, 3))).tolist() == [False, False]
    assert distinct_modes(np.zeros((0, 3))).shape == (0,)
    chain = np.array([[np.cos(x), np.sin(x)] for x in (0.0, 0.1, 0.2)]) * [[2], [3], [1]]
    assert distinct_modes(chain, 0.99).tolist() == [False, True, False]
    assert distinct_modes(chain[::2], 0.99).tolist() == [True, True]


@given(seeds, st.integers(2, 8))
def test_nearest_is_the_largest_cosine_with_another(seed, count):
    modes = random_modes(seed, count, 3, signed=True)
    similar = 1 - cdist(modes, modes, "cosine")
    expected = [np.delete(row, i).max() for i, row in enumerate(similar)]
    np.testing.assert_allclose(nearest_cosine(modes), expected, atol=1e-12)
    assert np.isnan(nearest_cosine(modes[:1])).all()
    assert nearest_cosine(modes[:0]).shape == (0,)


def test_replication_counts_the_modes_of_the_first():
    a, b, none = np.eye(3), np.eye(3)[:1], np.zeros((0, 3))
    assert replication([a, b], 0.9)[0, 1] == pytest.approx(1 / 3)
    assert replication([a, b], 0.9)[1, 0] == 1
    assert found_share([a, b], [b, none], 0.9) == pytest.approx((1 / 3 + 0 + 1 + 0) / 4)
    assert np.isnan(mean_off_diagonal(np.ones((1, 1))))


def test_bad_dictionaries_are_named():
    with pytest.raises(InputError, match="dictionaries of 2 and 3 channels"):
        match_modes(np.eye(2), np.eye(3))
    with pytest.raises(InputError, match="3 values finite"):
        match_modes(np.eye(2), [[np.nan, 0.0], [0.0, 1.0]])
    with pytest.raises(InputError, match=r"dictionaries of \[2, 0\] modes"):
        consensus_modes([np.eye(2), np.zeros((0, 2))])
    with pytest.raises(InputError, match="at least two"):
        consensus_modes([np.eye(2)])


def test_rows_get_norm_one_and_zeros_stay():
    assert unit_rows([[3.0, 4.0], [0.0, 0.0]]).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_cosines_are_those_of_every_pair():
    assert cosine_similarity([[2.0, 0.0]], [[1.0, 0.0], [0.0, 5.0]]).tolist() == [[1.0, 0.0]]


def test_a_mode_too_many_has_no_match_and_a_cosine_of_zero():
    index, cosine = match_modes([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.0, 9.0], [2.0, 0.0]])
    assert index.tolist() == [1, 0, -1]
    assert cosine.tolist() == [1.0, 1.0, 0.0]


def test_nearest_cosine_is_one_for_copies_and_zero_for_what_none_resembles():
    assert nearest_cosine([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]).tolist() == [0.0, 1.0, 1.0]


def test_the_strongest_of_copies_is_kept():
    assert distinct_modes([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]).tolist() == [True, False, True]


def test_consensus_knows_the_row_of_each_dictionary():
    a = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert consensus_modes([a, 3 * a[::-1]]).index.tolist() == [[0, 1], [1, 0]]


def test_replication_is_not_symmetric():
    found = replication([np.eye(2), np.array([[0.0, 3.0]])], 0.9)
    assert found.tolist() == [[1.0, 0.5], [1.0, 1.0]]


def test_found_share_is_a_mean_over_pairs_also_with_fits_without_modes():
    assert found_share([np.eye(2)], [np.array([[0.0, 3.0]]), np.zeros((0, 2))], 0.9) == 0.25


def test_mean_off_diagonal_leaves_a_fit_with_itself_out():
    assert mean_off_diagonal(np.array([[1.0, 0.5], [0.25, 1.0]])) == 0.375


def test_rows_vary_twice_as_much_along_two_channels_that_are_one():
    a, b = np.random.default_rng(0).standard_normal((2, 50))
    b -= (b @ a) / (a @ a) * a  # what is left goes with a by nothing but its mean
    a, b = a - a.mean(), b - b.mean()
    b -= (b @ a) / (a @ a) * a
    rows = 3 + np.stack([a, a, -a, b, np.zeros(50)], axis=1)
    modes = np.zeros((5, 5))
    modes[[0, 0, 1, 1, 2, 3, 3, 4], [0, 1, 0, 2, 0, 0, 3, 4]] = [1, 1, 1, 1, 4, 1, 2, 1]
    np.testing.assert_allclose(variance_ratio(modes, rows), [2, 0, 1, 1, np.nan], atol=1e-12)
    many = np.tile(modes[:4], (100, 1))
    np.testing.assert_allclose(variance_ratio(many, rows), np.tile([2, 0, 1, 1], 100), atol=1e-12)
    assert variance_ratio(np.zeros((0, 5)), rows).shape == (0,)
