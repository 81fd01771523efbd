"""Frames, rates and responses of one part of a recording."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.fitting.parts import (
    frame_rate_of,
    frames_of,
    has_responses,
    require_alike,
    responses_of,
    smoothed,
)


def test_rates_or_counts_are_responses():
    assert has_responses(xr.Dataset({"firing_rate": ("time", [0.0])}))
    assert has_responses(xr.Dataset({"spike_count": ("time", [0])}))
    assert not has_responses(xr.Dataset({"stimulus": ("time", [0.0])}))


def test_frames_stay_bytes_and_are_float32_otherwise():
    frames = np.eye(2)[None]
    dims = ("time", "y", "x")
    assert frames_of(xr.Dataset({"stimulus": (dims, frames)})).dtype == np.float32
    assert frames_of(xr.Dataset({"stimulus": (dims, frames.astype("u1"))})).dtype == np.uint8


def test_the_frame_rate_is_that_of_the_times():
    assert frame_rate_of(xr.Dataset(coords={"time": [0.0, 0.01, 0.02]})) == 100.0


def test_counts_become_rates_of_cells_with_names():
    part = xr.Dataset(
        {"spike_count": (("time", "cell"), [[0], [1], [0]])},
        {"time": [0.0, 0.1, 0.2], "cell": [7]},
    )
    found = responses_of(part, 0, [(0, 3, None)])
    assert found.values.ravel().tolist() == [0.0, 10.0, 0.0]
    assert found.cell.values.tolist() == ["7"]


def test_smoothing_stays_inside_of_a_stretch():
    pulse = np.array([0.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1)
    found = smoothed(pulse, 1.0, [(0, 2, None), (2, 4, None)])
    assert found[0, 2:].ravel().tolist() == [0.0, 0.0]
    assert found[0, 0, 0] > 0


def test_parts_of_one_rate_and_size_are_alike():
    part = xr.Dataset({"stimulus": (("time", "y", "x"), np.zeros((9, 2, 2)))})
    fast, slow = (part.assign_coords(time=np.arange(9) / rate) for rate in (100, 50))
    require_alike(fast, fast.copy())
    with pytest.raises(InputError, match="50 frames per second"):
        require_alike(fast, slow)
