"""Influence over paths, against fractions worked out by hand and a matrix that is inverted."""

import numpy as np
import pytest

from neurocodec.concept_graphs.influence import carrying, influence, shares

LAST = np.array([[[3.0, -1.0, 4.0]]])  # answer <- a, b, residual: 3/8, 1/8, 4/8
FIRST = np.array([[[1.0, 1.0, 2.0], [0.0, -5.0, 5.0]]])  # a <- c, d, rest; b <- c, d, rest


def test_two_layers_by_hand():
    found = influence([LAST, FIRST], [np.array([0, 1])])
    np.testing.assert_allclose(found.nodes[0], [[3 / 8, 1 / 8, 4 / 8]])
    # through a come 3/8 of the answer, and through b 1/8
    np.testing.assert_allclose(found.nodes[1], [[3 / 32, 5 / 32, 8 / 32]])
    np.testing.assert_allclose(found.edges[1], [[[3 / 32, 3 / 32, 6 / 32], [0, 2 / 32, 2 / 32]]])


def test_the_product_of_layers_is_the_sum_over_all_paths():
    """(I - A)^-1 - I of the whole graph, as circuit-tracer writes it, of 3 layers and residuals."""
    rng = np.random.default_rng(0)
    sizes = (5, 4, 3)  # sources of each layer, the last layer first; the last source a residual
    pairs = [rng.normal(size=(1, t, s)) for t, s in zip((1, 4, 3), sizes, strict=True)]
    followed = [np.array([0, 1, 2, 3]), np.array([2, 0, 1])]
    whole = np.zeros((13, 13))  # answer, 5, 4, 3
    starts = [1, 6, 10]
    for k, edges in enumerate(pairs):
        into = [0] if k == 0 else starts[k - 1] + followed[k - 1]
        whole[np.ix_(into, range(starts[k], starts[k] + sizes[k]))] = np.abs(edges[0])
    total = whole.sum(1, keepdims=True)
    whole /= np.where(total > 0, total, 1)
    paths = (np.linalg.inv(np.eye(13) - whole) - np.eye(13))[0]
    found = influence(pairs, followed)
    for k, start in enumerate(starts):
        np.testing.assert_allclose(found.nodes[k][0], paths[start : start + sizes[k]], atol=1e-12)


def test_what_ends_sums_to_one_in_every_sample():
    rng = np.random.default_rng(1)
    pairs = [rng.normal(size=(6, 1, 9)), rng.normal(size=(6, 3, 8)), rng.normal(size=(6, 2, 7))]
    followed = [np.array([0, 4, 7]), np.array([1, 6])]
    found = influence(pairs, followed)
    ends = found.nodes[2].sum(1)
    for k in (0, 1):
        ends = ends + np.delete(found.nodes[k], followed[k], axis=1).sum(1)
    np.testing.assert_allclose(ends, 1)


def test_a_target_that_nothing_goes_into_ends_nothing_and_sizes_may_be_extreme():
    np.testing.assert_array_equal(shares(np.zeros((1, 1, 3))), 0)
    np.testing.assert_allclose(shares(np.array([3e-320, 1e-320])), [0.75, 0.25], rtol=1e-2)
    np.testing.assert_allclose(shares(np.array([1.5e308, -1.5e308])), 0.5)
    assert shares(np.zeros((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(0.8, [1, 1, 0, 0]), (0.5, [1, 0, 0, 0]), (0.81, [1, 1, 1, 0]), (1.0, [1, 1, 1, 0])],
)
def test_the_fewest_that_carry_so_much_are_kept(keep, expected):
    assert carrying(np.array([0.5, 0.3, 0.2, 0.0]), keep).tolist() == expected


def test_equal_ones_stay_together_and_nothing_is_kept_of_nothing():
    assert carrying(np.array([0.25, 0.25, 0.25, 0.25]), 0.5).all()
    assert not carrying(np.zeros(3), 0.8).any()
