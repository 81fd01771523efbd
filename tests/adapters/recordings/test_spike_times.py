"""Spike times into counts."""

import numpy as np
import pytest

from neurocodec.adapters.recordings.spike_times import count_spikes, frame_edges, report_outside
from neurocodec.errors import NeurocodecWarning


def test_the_last_frame_lasts_as_long_as_the_median_one():
    assert frame_edges(np.array([0.0, 1.0, 2.0])).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_spikes_count_for_the_frame_that_is_shown():
    found = count_spikes({"a": [0.0, 0.015, 0.019]}, np.array([0.0, 0.01, 0.02]))
    assert found.ravel().tolist() == [1, 2, 0]


def test_spikes_outside_of_the_stimulus_are_counted():
    report_outside({"a": [0.5]}, [np.array([0.0, 1.0])])
    with pytest.warns(NeurocodecWarning, match="1 of 2 spikes are outside"):
        report_outside({"a": [0.5, 1.5]}, [np.array([0.0, 1.0])])
