"""Channel sets that modes are compared with."""

import numpy as np
import xarray as xr

from neurocodec.maps.controls import as_dictionary, random_sets, weights_of


def test_modes_of_the_same_weights_share_their_random_sets():
    weights = np.array([[[1.0, 1.0, 0.0]] * 2, [[0.0, 1.0, 1.0]] * 2])
    sets = random_sets(weights, draws=4, seed=0)
    assert sets.rows.shape == (4, 3)
    assert sets.of_mode.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert sets.together.tolist() == [[0, 1], [2, 3]]


def test_the_largest_weights_of_a_mode_count_one():
    modes = xr.DataArray([[3.0, 0.0, 1.0]], dims=("mode", "channel"))
    assert weights_of(modes, "layer1", "equal", top=1)[:, 0].tolist() == [[1.0, 0.0, 0.0]]


def test_weights_are_the_same_after_they_were_a_dictionary():
    weights = np.array([[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]])
    for some in (weights, weights[1:]):
        assert (weights_of(as_dictionary(some), "layer1", "dictionary", 1) == some).all()
