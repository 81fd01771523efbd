"""Times of samples, their range and parts of it."""

import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.plotting import timeline


def test_the_range_is_half_a_step_wider_than_the_samples():
    data = xr.DataArray([1.0, 2.0], {"time": [0.0, 1.0]}, "time")
    assert timeline.time_range(data) == (-0.5, 1.5)
    assert timeline.time_range(data[:1]) == (-0.5, 0.5)


def test_samples_without_labels_are_numbered():
    assert timeline.times_of(xr.DataArray([1.0, 2.0], dims="time")).tolist() == [0.0, 1.0]


def test_a_range_of_times_is_cut_out():
    rate = xr.DataArray([1.0, 2.0], {"time": [0.0, 1.0]}, "time")
    assert timeline.within(rate, slice(0.5, None)).values.tolist() == [2.0]
    assert timeline.within(rate, None) is rate
    with pytest.raises(InputError, match="times from 0 to 1 s"):
        timeline.within(rate, slice(2.0, 3.0))
