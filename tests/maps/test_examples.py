"""Which modes are worth a map, and how many channels stand for one."""

import numpy as np

from neurocodec.maps.examples import decomposed, distinct, largest, top_channels
from neurocodec.nn.attribution.methods import ActGrad, InputGrad, SmoothGrad


def test_ten_channels_stand_for_a_mode_or_fewer_in_a_small_layer():
    assert [top_channels(count) for count in (512, 16, 1)] == [10, 3, 1]


def test_the_largest_channels_of_either_sign_but_none_of_weight_zero():
    assert largest(np.array([0.1, -2.0, 0.0]), 3) == [1, 0]


def test_near_copies_are_left_out():
    atoms = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    assert distinct(atoms, [1, 0, 2], 2) == [0, 2]


def test_maps_are_made_with_the_method_of_the_contributions_where_it_can_be():
    assert decomposed(ActGrad()) == ActGrad()
    assert decomposed(SmoothGrad()) == InputGrad()
