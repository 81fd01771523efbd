"""Shape of receptive fields that are known."""

import numpy as np

from neurocodec.kernels.field_shape import biphasic, describe, orientations


def test_a_gaussian_is_where_it_is_and_as_wide():
    y, x = np.mgrid[:21, :21]
    gauss = np.exp(-((y - 10) ** 2 + (x - 8) ** 2) / 18.0)
    found = describe(np.array([[0.0, -0.5, 1.0]]), gauss[None])
    place = (found.y_center, found.x_center, found.radius)
    assert [round(float(v[0]), 1) for v in place] == [10.0, 8.0, 3.0]


def test_bars_along_y_have_ninety_degrees():
    bars = np.cos(np.arange(8) * np.pi / 2) * np.ones((8, 1))
    assert [float(v[0].round(6)) for v in orientations(bars[None])] == [90.0, 1.0]


def test_biphasic_index_compares_the_phases():
    assert biphasic(np.array([[0.0, -0.5, 1.0], [0.0, 0.5, 1.0]])).tolist() == [0.5, 0.0]
