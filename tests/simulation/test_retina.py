"""The seed of a retina, and its output nonlinearity."""

import numpy as np

from neurocodec.simulation.retina import draw_retina, generator, soft_threshold


def test_a_stream_of_random_numbers_depends_on_its_name_and_choices():
    first = generator(0, "spikes").random()
    assert first == generator(0, "spikes").random()
    others = generator(0, "stimulus"), generator(1, "spikes"), generator(0, "spikes", 1)
    assert first not in [other.random() for other in others]


def test_far_above_threshold_the_drive_is_what_is_above_it():
    found = soft_threshold(np.float32([[9.0]]), np.array([1.0]), np.array([0.1]))
    assert found.round(6).tolist() == [[8.0]]


def test_every_cell_of_a_retina_has_a_gain():
    retina = draw_retina(seed=1)
    assert retina.gain.shape == (16,)
    assert (retina.gain > 0).all()
