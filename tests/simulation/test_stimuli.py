"""Movies that a simulated retina sees."""

import numpy as np

from neurocodec.simulation import NaturalScenes
from neurocodec.simulation.stimuli import eye_movements, natural_scene_movie, white_noise_movie


def test_natural_scenes_are_contrasts_above_darkness():
    movie = natural_scene_movie(150, 50, np.random.default_rng(0), held_out=True)
    assert movie.shape == (150, 50, 50)
    assert movie.min() >= -1.0


def test_a_pattern_of_white_noise_is_shown_for_three_frames():
    movie = white_noise_movie(6, 4, np.random.default_rng(0))
    assert np.sign(movie[:, 0, 0]).tolist() == [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]


def test_the_eye_stays_within_the_margin():
    path = eye_movements(1000, np.random.default_rng(0))
    assert abs(path).max() <= NaturalScenes().margin
