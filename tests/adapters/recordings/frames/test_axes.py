"""Frames whose first axis is not time: what times and spikes tell of it, and what is typed then."""

import numpy as np
import pytest

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning

RATE, FRAMES = 30.0, 120
TIMES = np.arange(FRAMES) / RATE
RANDOM = np.random.default_rng(0)
MOVIE = RANDOM.random((FRAMES, 8, 6))
SPIKES = {"a": RANDOM.uniform(0, FRAMES / RATE, 300)}
COUNTS = np.histogram(SPIKES["a"], np.append(TIMES, FRAMES / RATE))[0]


def require_frames(found):
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)
    np.testing.assert_array_equal(found.stimulus, MOVIE)


@pytest.mark.parametrize("given", ["frame_times", "triggers"])
@pytest.mark.parametrize("axis", [1, 2])
def test_times_of_another_axis_tell_which_one_is_time(given, axis):
    stimulus = np.moveaxis(MOVIE, 0, axis)
    with pytest.raises(InputError, match=f"whose axis {axis} has 120") as raised:
        nc.recording(stimulus, SPIKES, **{given: TIMES})
    frames = eval(raised.value.hint.split(", where")[0], {"np": np, "stimulus": stimulus})  # noqa: S307
    require_frames(nc.recording(frames, SPIKES, **{given: TIMES}))


def test_triggers_of_repeats_may_be_as_many_as_pixels():
    stimulus = RANDOM.random((60, FRAMES, 6))
    with pytest.raises(InputError, match="trials=2"):
        nc.recording(stimulus, SPIKES, triggers=TIMES)
    assert nc.recording(stimulus, SPIKES, triggers=TIMES, trials=2).sizes["time"] == 60


def test_spikes_that_last_as_long_as_another_axis_doubt_the_first(tmp_path):
    stimulus = np.moveaxis(MOVIE, 0, -1)
    with pytest.warns(NeurocodecWarning, match="last at about frame 1[12].") as told:
        nc.recording(stimulus, SPIKES, frame_rate=RATE)
    assert "np.moveaxis(stimulus, 2, 0)" in str(told[0].message)
    cells = np.zeros(300, int)
    arrays = {"spike_times": SPIKES["a"], "spike_cell": cells, "frame_rate": RATE}
    np.savez(tmp_path / "r.npz", stimulus=stimulus, **arrays)
    with pytest.warns(NeurocodecWarning, match="last at about frame 1[12]."):
        nc.read_recording(tmp_path / "r.npz")
    require_frames(nc.recording(MOVIE, SPIKES, frame_rate=RATE))  # nothing is doubted


def test_onsets_in_a_column_are_one_a_frame():
    require_frames(nc.recording(MOVIE, SPIKES, frame_times=TIMES[:, None]))


def test_onsets_beside_ends_are_no_trials():
    frame_times = np.stack([TIMES, TIMES + 1 / RATE], 1)
    with pytest.raises(InputError, match="onsets and ends") as raised:
        nc.recording(MOVIE, SPIKES, frame_times=frame_times)
    onsets = eval(raised.value.hint.split(", where")[0], {"frame_times": frame_times})  # noqa: S307
    require_frames(nc.recording(MOVIE, SPIKES, frame_times=onsets))


def test_two_pulses_a_frame_are_told_beside_repeats():
    pulses = np.sort(np.append(TIMES, TIMES + 0.5 / RATE))
    with pytest.raises(InputError, match=r"triggers\[::2\], where there are 2 pulses a frame"):
        nc.recording(MOVIE, SPIKES, triggers=pulses)
    with pytest.raises(InputError) as raised:  # a pause between the two is one of trials
        nc.recording(MOVIE, SPIKES, triggers=np.append(TIMES, TIMES + 9))
    assert raised.value.hint == "trials=2, where all of it was repeated"


def test_rows_that_were_never_shown_are_told():
    found = nc.recording(MOVIE, SPIKES, frame_times=TIMES[:118], shown=np.arange(1, 119))
    assert "rows of the stimulus that were never shown: 0, 119" in found.attrs["reading"]


def test_durations_are_seconds_and_dates_are_refused():
    durations = (TIMES * 1e9).astype("timedelta64[ns]")
    spikes = {"a": (SPIKES["a"] * 1e9).round().astype("timedelta64[ns]")}
    require_frames(nc.recording(MOVIE, spikes, frame_times=durations))
    dates = np.datetime64("2026-01-01") + durations
    with pytest.raises(InputError, match="of dates") as raised:
        nc.recording(MOVIE, spikes, frame_times=dates)
    names = {"np": np, "dates": dates, "start": np.datetime64("2026-01-01")}
    require_frames(nc.recording(MOVIE, spikes, frame_times=eval(raised.value.hint, names)))  # noqa: S307


@pytest.mark.parametrize(("given", "told"), [(0.5, r"\[time\]"), (None, r"\[\]")])
def test_a_cell_of_one_spike_or_none_is_a_list(given, told):
    with pytest.raises(InputError, match=told):
        nc.recording(MOVIE, {"a": given}, frame_rate=RATE)


def test_frames_of_pynapple_have_their_times():
    nap = pytest.importorskip("pynapple")
    cells = {"a": SPIKES["a"] + 7}
    require_frames(nc.recording(nap.TsdTensor(TIMES + 7, MOVIE), cells))
    light = nc.recording(nap.Tsd(TIMES + 7, MOVIE[:, 0, 0]), cells)
    assert light.stimulus.dims == ("time", "y", "x")
    np.testing.assert_array_equal(light.spike_count[0, :, 0], COUNTS)
    stimulus = nap.TsdFrame(TIMES, MOVIE[:, 0])
    with pytest.raises(InputError, match="a pynapple TsdFrame") as raised:
        nc.recording(stimulus, SPIKES)
    bars = eval(f"dict(stimulus={raised.value.hint.split(', for')[0]})", {"stimulus": stimulus})  # noqa: S307
    found = nc.recording(**bars, spike_times=SPIKES)
    assert found.stimulus.shape == (FRAMES, 1, 6)
