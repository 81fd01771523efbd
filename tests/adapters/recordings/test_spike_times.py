"""Spike times into counts."""

import numpy as np
import pytest

from neurocodec.adapters.recordings.spike_times import count_spikes, report_outside
from neurocodec.errors import InputError, NeurocodecWarning

SECOND = np.array([0.0, 0.5])  # frames of half a second


def test_spikes_count_for_the_frame_that_is_shown():
    found = count_spikes({"a": [0.0, 0.015, 0.019]}, np.array([0.0, 0.01, 0.02]))
    assert found.ravel().tolist() == [1, 2, 0]


def test_spikes_outside_of_the_stimulus_are_counted():
    report_outside({"a": [0.5]}, [SECOND])
    with pytest.warns(NeurocodecWarning, match="1 of 2 spikes are outside"):
        report_outside({"a": [0.5, 1.5]}, [SECOND])


def test_a_frame_before_a_gap_lasts_one_step():
    frames = np.array([0.0, 0.01, 0.02, 6.0, 6.01])
    spikes = {"a": [0.025, 0.031, 3.0, 5.99, 6.0, 6.015], "b": [1.0]}
    assert count_spikes(spikes, frames).tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [1, 0]]
    with pytest.warns(NeurocodecWarning, match="4 of 7 spikes are in gaps"):
        report_outside(spikes, [frames])


def test_spikes_in_seconds_beside_frames_in_ms_are_noticed():
    spikes, frames = {"a": np.linspace(0, 4.9, 40)}, np.arange(500) * 10.0
    with pytest.raises(InputError, match="frame_times / 1000"):
        report_outside(spikes, [frames])
    report_outside(spikes, [frames / 1000])
    with pytest.warns(NeurocodecWarning, match="are both in seconds"):
        report_outside({"a": np.linspace(0, 0.04, 40)}, [frames / 1000])
    report_outside({"a": [0.01, 0.02]}, [frames / 1000])


def test_times_that_were_stored_too_coarsely_are_doubted():
    """As float32, far from 0, several frames share a time."""
    far = 200_000.0
    frames, spikes = far + np.arange(300) / 60, far + np.linspace(0.1, 4.9, 100)
    report_outside({"a": spikes}, [frames], session=True)
    with pytest.warns(NeurocodecWarning, match=r"times of spikes .* exact to 0.016 s"):
        report_outside({"a": spikes.astype(np.float32)}, [frames], session=True)
    coarse = (frames - far + 50_000).astype(np.float32).astype(float)
    with pytest.warns(NeurocodecWarning, match=r"times of frames .* exact to 0.0039 s"):
        report_outside({"a": spikes - far + 50_000}, [coarse], session=True)
    near = frames - far
    report_outside({"a": (spikes - far).astype(np.float32)}, [near], session=True)
    with pytest.warns(NeurocodecWarning, match=r"stored as float16 are exact to 0.5 s"):
        report_outside({"a": (near[:250] + 1000).astype(np.float16)}, [near + 1000], session=True)
