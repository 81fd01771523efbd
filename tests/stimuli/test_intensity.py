"""Light over time, and frames as a stimulus."""

import numpy as np
import pytest

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.labels import time_coordinate
from neurocodec.stimuli.intensity import light, movie, require_size


def test_plain_light_has_the_times_of_its_frame_rate():
    assert light([0.0, 1.0], 100.0).time.values.tolist() == [0.0, 0.01]


def test_a_size_is_two_whole_numbers():
    assert require_size((50, 50)) == (50, 50)
    assert require_size([np.int64(50), 40]) == (50, 40)
    for size in ((1.5, 50), (True, 50), (50,), 50, (0, 50)):
        with pytest.raises(InputError, match=r"pixels \(y, x\)"):
            require_size(size)


def test_frames_are_labelled_as_a_stimulus():
    made = movie(np.zeros((1, 2, 3)), time_coordinate(1, 100.0), "nc.stimuli.disc", outer=2.0)
    assert dict(made.sizes) == {"time": 1, "y": 2, "x": 3}
    assert made.name == "stimulus"
    assert nc.labels.provenance(made)["outer"] == 2.0
