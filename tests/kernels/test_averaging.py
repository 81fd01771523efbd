"""Averages over cells of another grid."""

import numpy as np

from neurocodec.kernels.averaging import area_average


def test_a_cell_across_two_old_ones_weighs_them_by_their_widths():
    found = area_average(np.array([1.0, 3.0]), np.array([0, 1, 2]), np.array([0, 0.5, 2]), axis=0)
    np.testing.assert_allclose(found, [1.0, 7 / 3])
