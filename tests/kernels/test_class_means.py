"""Means of rows by class, and of rows drawn again within each class."""

import numpy as np

from neurocodec.kernels.class_means import ClassMeans, draw_within


def test_as_many_rows_of_a_class_are_drawn_as_it_has():
    counts = draw_within(np.array([0, 1, 0, -1]), 3, seed=0)
    assert counts[0].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert counts[:, [0, 2]].sum(axis=1).tolist() == [2.0, 2.0, 2.0]
    assert counts[:, 1].tolist() == [1.0, 1.0, 1.0]


def test_means_of_two_blocks_are_joined():
    first, second = (ClassMeans.of([[x]], np.array([0]), np.ones((1, 1)), 1) for x in (1.0, 5.0))
    assert first.merge(second).mean.tolist() == [[[3.0]]]
