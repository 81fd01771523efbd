"""Trials and times of a file of arrays, where a number or a list may be a matrix."""

import numpy as np
import pytest
from laboratory import COUNTS, MOVIE, RATE, SPIKES, TIMES, pairs
from scipy.io import savemat

import neurocodec as nc
from neurocodec.errors import InputError


def npz(path, starts=(0.0,), **arrays):
    times, cells = pairs()
    told = {"spike_times": np.concatenate([s + times for s in starts])}
    told["spike_cell"] = np.tile(cells, len(starts))
    if "frame_times" not in arrays and "triggers" not in arrays:
        told["frame_rate"] = RATE
    np.savez(path, stimulus=MOVIE, **told, **arrays)
    return path


def mat(path, starts=(0.0,), **arrays):
    each = np.empty(len(SPIKES), object)
    each[:] = [np.concatenate([s + x for s in starts]) for x in SPIKES.values()]
    if "frame_times" not in arrays and "triggers" not in arrays:
        arrays["frame_rate"] = RATE
    told = {"stimulus": MOVIE.transpose(1, 2, 0), "stimulus_axes": "y x time"}
    savemat(path, {**told, "spike_times": each, **arrays})
    return path


def read(path):
    return nc.read_recording(path)["recording"]


FILES = {
    "npz, (start, stop)": lambda p: npz(p / "r.npz", [3.0], trials=[[3.0, 4.3]]),
    "npz, a list of a start": lambda p: npz(p / "r.npz", [3.0], trials=[3.0]),
    "npz, a start between whole numbers": lambda p: npz(p / "r.npz", [3.7], trials=3.7),
    "npz, a trial of times": lambda p: npz(p / "r.npz", [3.0], frame_times=[3 + TIMES]),
    "npz, (start, stop) and triggers": lambda p: npz(
        p / "r.npz", [3.0], triggers=np.r_[1.0, 3 + TIMES], trials=[[3.0, 4.3]]
    ),
    "MATLAB, (start, stop) that triggers prove": lambda p: mat(
        p / "r.mat", [3.0], triggers=np.r_[1.0, 3 + TIMES], trials=[[3.0, 4.3]]
    ),
    "MATLAB, a start between whole numbers": lambda p: mat(p / "r.mat", [3.7], trials=3.7),
    "MATLAB, a number of trials that triggers prove": lambda p: mat(
        p / "r.mat", [3.0], triggers=3 + TIMES, trials=1.0
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_one_trial_is_one(kind, tmp_path):
    found = read(FILES[kind](tmp_path))
    np.testing.assert_array_equal(found.spike_count, COUNTS[None])
    assert found.trial_start.values.tolist() in ([3.0], [3.7])


def test_columns_of_matlab_are_starts(tmp_path):
    path = mat(tmp_path / "r.mat", [3.0, 6.0], trials=np.array([[3.0], [6.0]]))
    np.testing.assert_array_equal(read(path).spike_count, np.stack([COUNTS] * 2))
    path = mat(
        tmp_path / "r.mat",
        [3.0, 6.0],
        triggers=np.r_[3 + TIMES, 6 + TIMES][None],
        trials=np.array([[2.0]]),
    )
    np.testing.assert_array_equal(read(path).spike_count, np.stack([COUNTS] * 2))


EITHER = {
    "a row of two": ([[3.0, 4.5]], "two starts or"),
    "a whole number": ([[3.0]], "how many there are, or one start"),
}


@pytest.mark.parametrize("kind", EITHER)
def test_trials_of_matlab_that_may_be_either_are_refused(kind, tmp_path):
    trials, told = EITHER[kind]
    path = mat(tmp_path / "r.mat", [3.0], trials=trials)
    with pytest.raises(InputError, match=told) as raised:
        read(path)
    call = raised.value.hint.split(", where")[0]
    found = eval(call, {"nc": nc, "stimulus": MOVIE, "path": path})  # noqa: S307 - a hint
    np.testing.assert_array_equal(found.spike_count, COUNTS[None])


def test_a_whole_float_is_no_number_of_trials():
    spikes = {"a": np.r_[0.1, 3.1]}
    with pytest.raises(InputError, match="may be how many") as raised:
        nc.recording(MOVIE, spikes, frame_rate=RATE, trials=2.0)
    assert raised.value.hint == "trials=2, or trials=[2.0]"
    found = nc.recording(MOVIE, {"a": [2.1]}, frame_rate=RATE, trials=[2.0])
    assert int(found.spike_count.sum()) == 1
    triggers = np.r_[TIMES, 3 + TIMES]
    found = nc.recording(MOVIE, spikes, triggers=triggers, trials=2)
    assert found.sizes["repeat"] == 2


REFUSED = {
    "rows of fractions": ({"shown": np.full(12, 0.5)}, "shown= of float64"),
    "two frame rates": ({"frame_rate": [60.0, 30.0]}, "frame_rate=nan"),
    "two numbers of frames": ({"triggers": TIMES, "frames_per_trigger": [1, 2]}, "per_trigger=nan"),
    "no triggers": ({"triggers": np.empty((0, 0)), "trials": [[1.0, 2.0]]}, "triggers of"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("form", [npz, mat])
def test_what_is_wrong_is_named(kind, form, tmp_path):
    arrays, told = REFUSED[kind]
    times = {} if {"frame_rate", "triggers"} & {*arrays} else {"frame_times": TIMES}
    path = tmp_path / f"r.{form.__name__}"
    if "frame_rate" in arrays and form is npz:
        np.savez(path, stimulus=MOVIE, spike_times=[0.1], **arrays)
    elif "frame_rate" in arrays:
        savemat(path, {"stimulus": MOVIE.transpose(1, 2, 0), "spike_times": [0.1], **arrays})
    else:
        form(path, **times, **arrays)
    with pytest.raises(InputError, match=told):
        read(path)


def test_a_frame_rate_beside_other_times_is_told(tmp_path):
    times, cells = pairs()
    told = {"stimulus": MOVIE, "spike_times": times, "spike_cell": cells, "frame_times": TIMES}
    np.savez(tmp_path / "r.npz", frame_rate=2 * RATE, **told)
    assert (
        "frame_rate 20, as the frame times tell 10 Hz"
        in (nc.read_recording(tmp_path / "r.npz").attrs["reading"])
    )
    np.savez(tmp_path / "r.npz", frame_rate=RATE, **told)
    assert "frame_rate" not in nc.read_recording(tmp_path / "r.npz").attrs["reading"]
