"""Windows of a movie as regressors."""

import numpy as np

from neurocodec.kernels.lagged_features import LaggedFeatures, block_rows, receptive_centres


def test_the_first_response_of_a_block_has_its_whole_window_there():
    assert block_rows((100, 200), history=40) == (139, 200)


def test_the_centre_is_the_pixel_that_drives_the_cell():
    movie = np.random.default_rng(0).standard_normal((500, 9, 8)).astype(np.float32)
    assert receptive_centres(movie, movie[:, 6, [2]], [(0, 500)], np.eye(1)) == [(6, 2)]


def test_features_are_pixels_by_functions_for_the_rows_of_the_parts():
    movie = np.random.default_rng(0).standard_normal((50, 9, 9)).astype(np.float32)
    features = LaggedFeatures(movie, (4, 4), 1, np.eye(3), [(2, 20), (22, 50)])
    assert features.values.shape == (46, 27)
