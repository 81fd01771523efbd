"""How much of each pixel a shape covers."""

import numpy as np
import pytest

from neurocodec.kernels.coverage import disc_coverage, polygon_coverage


def test_pixels_of_a_disc_add_up_to_its_area():
    assert disc_coverage((9, 9), (4, 4), 3.0).sum() == pytest.approx(np.pi * 9)


def test_a_square_between_four_pixels_covers_a_quarter_of_each():
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    assert polygon_coverage((2, 2), square).tolist() == [[0.25, 0.25], [0.25, 0.25]]
