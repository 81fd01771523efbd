"""What a model is fitted to and judged on."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.fitting.data import default_history, fitting_data


def test_the_last_fifth_of_a_single_part_is_judged_on():
    movie = np.random.default_rng(0).random((400, 5, 5))
    stimulus = (("time", "y", "x"), movie)
    rates = (("time", "cell"), movie[:, 2, 2:4])
    times = {"time": np.arange(400) / 100, "cell": ["a", "b"]}
    data = fitting_data(xr.Dataset({"stimulus": stimulus, "firing_rate": rates}, times))
    assert data.blocks[:2] == ((0, 80), (80, 160))
    assert len(data.test_frames) == 80
    assert data.cells == ["a", "b"]
    assert data.stretches == ((0, 80),)


@pytest.mark.parametrize(
    ("rate", "frames"),
    [(100.0, 40), (60.0, 24), (30.0, 12), (25.0, 10), (20.0, 10), (8.3, 10), (4.0, 5), (0.5, 1)],
)
def test_slow_movies_are_seen_in_more_than_a_few_frames(rate, frames):
    assert default_history(rate) == frames
