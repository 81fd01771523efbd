"""Scores of a fit by cell."""

import numpy as np

from neurocodec.fitting.data import FittingData
from neurocodec.fitting.results import score_cells


def test_a_rate_upside_down_is_correlated_with_minus_1():
    answer = np.arange(12.0).reshape(1, 6, 2) ** 2
    movie, cells = np.zeros((6, 3, 3)), {"cell": ["a", "b"]}
    data = FittingData(movie, answer[0], ((0, 6),), movie, answer, 100.0, cells, ())
    scores = score_cells(data, answer[0], -answer[0], history=1)
    np.testing.assert_allclose(scores.correlation, [1.0, 1.0])
    np.testing.assert_allclose(scores.correlation_ln, [-1.0, -1.0])
    assert scores.ceiling.isnull().all()  # of one repeat
