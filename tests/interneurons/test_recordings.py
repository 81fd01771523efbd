"""Recorded interneurons beside a movie in pieces."""

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.interneurons.compare import _time
from neurocodec.interneurons.recordings import RecordedInterneurons
from neurocodec.kernels.lagged import GAP

TIMES = np.arange(40) / 100


def recording(**coords):
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), rng.normal(size=(40, 2, 2))),
            "membrane_potential": (("time", "interneuron"), np.arange(40.0)[:, None]),
        },
        {"time": TIMES, **coords},
    )


@pytest.mark.parametrize("as_variable", [False, True])
def test_traces_are_those_of_the_windows_and_no_lag_reaches_over_a_border(as_variable):
    found = recording(segment=("time", np.arange(40) >= 17))
    found = found.reset_coords("segment") if as_variable else found
    net = nc.Network(torch.nn.Flatten(), [], history=3)
    data = RecordedInterneurons.of(net, found)
    ends = [*range(2, 17), *range(19, 40)]
    assert data.traces[:, 0].values.tolist() == ends
    assert len(data.samples) == len(ends)
    halves, _ = _time(net, data, lags=1, block=18, chance=0, seed=0)
    assert (halves[[14, 15]] == GAP).all(), "rows before and after the border"
    assert halves[13] == 0


def test_dates_of_a_recording_are_seconds():
    dates = np.datetime64("2024-05-01", "ms") + np.arange(40) * np.timedelta64(10, "ms")
    net = nc.Network(torch.nn.Flatten(), [], history=3)
    data = RecordedInterneurons.of(net, recording().assign_coords(time=dates))
    assert data.rate == 100.0
    assert data.traces.time.values.tolist() == TIMES[2:].tolist()
