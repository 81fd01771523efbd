"""Channel sets that modes are compared with."""

import numpy as np
import xarray as xr

from neurocodec.maps.controls import random_sets, weights_of, whole_layer


def test_modes_of_the_same_weights_share_their_random_sets():
    weights = np.array([[[1.0, 1.0, 0.0]] * 2, [[0.0, 1.0, 1.0]] * 2])
    sets = random_sets(weights, draws=4, seed=0)
    assert sets.rows.shape == (4, 3)
    assert sets.of_mode.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert sets.together.tolist() == [[0, 1], [2, 3]]


def test_the_largest_weights_of_a_mode_count_one():
    modes = xr.DataArray([[3.0, 0.0, 1.0]], dims=("mode", "channel"))
    assert weights_of(modes, "layer1", "equal", top=1)[:, 0].tolist() == [[1.0, 0.0, 0.0]]


def test_the_whole_layer_is_one_set():
    assert whole_layer(3).values.tolist() == [[1.0, 1.0, 1.0]]
