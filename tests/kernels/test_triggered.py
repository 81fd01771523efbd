"""Sums of windows weighted by responses."""

import numpy as np

from neurocodec.kernels.triggered import TriggeredSums


def test_sums_of_two_windows_by_hand():
    sums = TriggeredSums(history=2)
    sums.add(np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1), np.array([[1.0], [3.0]]))
    assert sums.weighted.ravel().tolist() == [7.0, 14.0]
    assert sums.plain.ravel().tolist() == [3.0, 6.0]
