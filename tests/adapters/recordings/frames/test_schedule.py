"""When frames were on: frames that never came on, and movies that have times of their own."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError

VALUES = np.random.default_rng(0).random((6, 2, 2))
TIMES = np.arange(6) / 10
SPIKES = {"a": [0.15, 0.45]}
AGAIN = {"a": [0.15, 3.15]}
LOST = np.where(TIMES == 0, np.nan, TIMES)


def labelled(**coords):
    return xr.DataArray(VALUES, dims=("time", "y", "x"), coords=coords)


KINDS = {
    "since the start": {"frame_times": LOST, "trials": [0.0, 3.0]},
    "of all trials": {"frame_times": np.r_[LOST, 3 + TIMES], "trials": [0.0, 3.0]},
    "of so many trials": {"frame_times": np.r_[LOST, 3 + TIMES], "trials": 2},
    "(trial, frame)": {"frame_times": np.stack([LOST, 3 + TIMES])},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_frame_that_never_came_on(kind):
    found = nc.recording(VALUES, AGAIN, **KINDS[kind])
    np.testing.assert_array_equal(found.stimulus, VALUES[1:])
    assert found.spike_count[:, :, 0].values.tolist() == [[1, 0, 0, 0, 0]] * 2
    assert np.isfinite(found.trial_start).all()


def test_no_frame_that_came_on():
    for trials in (None, [0.0, 3.0]):
        with pytest.raises(InputError, match="all NaN"):
            nc.recording(VALUES, AGAIN, frame_times=TIMES * np.nan, trials=trials)


def test_segments_of_a_movie_are_kept_and_the_rest_is_told():
    parts = ("time", [0, 0, 0, 1, 1, 1])
    found = nc.recording(labelled(segment=parts, lux=("time", TIMES)), SPIKES, frame_rate=10.0)
    assert found.segment.values.tolist() == [0, 0, 0, 1, 1, 1]
    assert "left coordinates of the stimulus along time: lux" in found.attrs["reading"]
    found = nc.recording(labelled(segment=parts), SPIKES, frame_rate=10.0, shown=[4, 2, 2, 0, 1])
    assert found.segment.values.tolist() == [1, 0, 0, 0, 0]


def test_times_of_a_movie_are_those_of_its_frames():
    found = nc.recording(labelled(time=TIMES + 0.1), SPIKES)
    np.testing.assert_allclose(found.time, TIMES + 0.1)
    assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [0, 3]
    in_ms = ("time", 1000 * TIMES, {"units": "ms"})
    np.testing.assert_allclose(nc.recording(labelled(time=in_ms), SPIKES).time, TIMES)
    numbered = nc.recording(labelled(time=np.arange(6)), SPIKES, frame_rate=10.0)
    np.testing.assert_allclose(numbered.time, TIMES)


def test_times_of_a_movie_beside_others():
    found = nc.recording(labelled(time=TIMES + 7), SPIKES, frame_rate=10.0)
    assert "the start of the times of the stimulus, 7 s" in found.attrs["reading"]
    found = nc.recording(labelled(time=TIMES * 2), SPIKES, frame_times=TIMES)
    assert "the times of the stimulus, as others were told" in found.attrs["reading"]
    found = nc.recording(labelled(time=TIMES), SPIKES, frame_times=TIMES)
    assert "left nothing" in found.attrs["reading"]


@pytest.mark.parametrize("times", [2 * TIMES, TIMES + 1.0 * (TIMES > 0.25)], ids=["rate", "pause"])
def test_another_rate_than_that_of_the_movie_is_refused(times):
    stimulus = labelled(time=times)
    with pytest.raises(InputError, match="frame_rate=10 of a stimulus") as raised:
        nc.recording(stimulus, SPIKES, frame_rate=10.0)
    plain = eval(raised.value.hint.split(", where")[0])  # noqa: S307 - what it says to type
    nc.recording(plain, SPIKES, frame_rate=10.0)
    nc.recording(stimulus, {"a": [0.15]})  # the second: without frame_rate=
