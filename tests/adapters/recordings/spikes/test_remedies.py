"""What is printed to be typed where times are in other units: typed, it puts them right."""

import re

import h5py
import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning

FRAMES = 60
MOVIE = np.random.default_rng(0).random((FRAMES, 2, 2)).astype(np.float32)
TIMES = np.arange(FRAMES) / 10
SPIKES = np.sort(np.random.default_rng(1).random(200)) * 6
COUNTS = np.histogram(SPIKES, np.append(TIMES, 6.0))[0]


def told(call):
    """The hint of a refusal, without the reason after it."""
    with pytest.raises(InputError) as raised:
        call()
    return re.split(r", (?:where|the samples)", raised.value.hint)[0]


def read(spikes, **options):
    return nc.recording(MOVIE, {"a": spikes}, **({"frame_times": TIMES} | options))


def test_spikes_in_ms():
    hint = told(lambda: read(1000 * SPIKES))
    found = eval(f"read(1000 * SPIKES, {hint})")  # noqa: S307 - what it says to type
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)


def test_the_wrong_remedy_is_refused_or_doubted():
    """A clock of samples for times in ms would put all spikes into the first frames."""
    assert told(lambda: read(1000 * SPIKES, sample_rate=30000.0)) == "sample_rate=1000.0"
    with pytest.warns(NeurocodecWarning, match="are both in seconds"):
        read(np.round(1000 * SPIKES), sample_rate=30000.0)


def test_spikes_in_samples():
    samples = np.round(30000 * SPIKES)
    hint = told(lambda: read(samples))
    found = eval(f"read(samples, {hint})", {"read": read, "samples": samples})  # noqa: S307
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)


def test_spikes_at_whole_seconds_are_no_seconds():
    """Some of them would be inside of the stimulus, and the others left without a doubt."""
    assert "sample_rate" in told(lambda: read(np.round(100 * SPIKES), frame_rate=None))
    read(np.arange(6.0))


@pytest.mark.parametrize("name", ["frame_times", "triggers"])
def test_frames_in_ms(name):
    times = 1000 * TIMES
    hint = told(lambda: read(SPIKES, **{"frame_times": None, name: times}))
    options = eval(f"dict({hint})", {name: times})  # noqa: S307 - what it says to type
    found = read(SPIKES, **{"frame_times": None, **options})
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)


def test_spikes_on_another_clock():
    hint = told(lambda: read(100.5 + SPIKES, frame_times=None, frame_rate=10.0))
    options = eval(f"dict({hint})", {"start": 100.5})  # noqa: S307 - what it says to type
    found = read(100.5 + SPIKES, frame_times=None, frame_rate=10.0, **options)
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)


FILES = {
    "spikes in ms": {"spike_times": 1000 * SPIKES, "frame_times": TIMES},
    "spikes in samples": {"spikes": np.round(30000 * SPIKES), "frame_times": TIMES},
    "frames in ms": {"spike_times": SPIKES, "time": 1000 * TIMES},
    "triggers in ms": {"spike_times": SPIKES, "triggers": 1000 * TIMES},
}


@pytest.mark.parametrize("part", ["", "train"])
@pytest.mark.parametrize("kind", FILES)
def test_an_npz(kind, part, tmp_path):
    path = tmp_path / "r.npz"
    arrays = {"stimulus": MOVIE, **FILES[kind]}
    np.savez(path, **{f"{part}/{k}".strip("/"): x for k, x in arrays.items()})
    hint = told(lambda: nc.read_recording(path))
    eval(hint, {"np": np, "path": path})  # noqa: S307 - what it says to type
    found = nc.read_recording(path)[part or "recording"]
    np.testing.assert_array_equal(found.spike_count[0, :, 0], COUNTS)


def test_both_in_ms(tmp_path):
    """Where nothing contradicts it: a warning, whose call also puts rates and bins right."""
    with pytest.warns(NeurocodecWarning, match="last 100 s each") as raised:
        recording = read(1000 * SPIKES, frame_times=1000 * TIMES)
    call = str(raised[0].message).split("in ms: ")[1]
    right = read(SPIKES)
    found = eval(call, {"recording": recording})  # noqa: S307 - what it says to type
    for name in ("time", "firing_rate", "spike_count", "bin_width"):
        np.testing.assert_allclose(found[name], right[name])
    path = tmp_path / "r.npz"
    spikes, times = 1000 * SPIKES, 1000 * (TIMES + 1)
    np.savez(path, stimulus=MOVIE, spike_times=spikes, frame_times=times - 1000)
    with pytest.warns(NeurocodecWarning, match="last 100 s each") as raised:
        recording = nc.read_recording(path)
    call = str(raised[0].message).split("in ms: ")[1]
    found = eval(call, {"recording": recording})  # noqa: S307 - what it says to type
    for name in ("time", "firing_rate", "spike_count", "bin_width"):
        np.testing.assert_allclose(found[name], right[name])


def test_trials_in_ms():
    starts = np.array([0.0, 7000.0])
    spikes = np.concatenate([1000 * SPIKES, 7000 + 1000 * SPIKES])
    with pytest.warns(NeurocodecWarning, match="in ms") as raised:
        recording = read(spikes, frame_times=1000 * TIMES, trials=starts)
    call = str(raised[0].message).split("in ms: ")[1]
    found = eval(call, {"recording": recording})  # noqa: S307 - what it says to type
    np.testing.assert_allclose(found.trial_start, [0, 7])
    np.testing.assert_allclose(found.firing_rate[:, 0], 10 * COUNTS)


def test_rates_that_were_stored_stay(tmp_path):
    rate = np.random.default_rng(0).random((FRAMES, 1))
    path = tmp_path / "r.npz"
    np.savez(path, stimulus=MOVIE, time=1000 * TIMES, firing_rate=rate)
    with pytest.warns(NeurocodecWarning, match="in ms") as raised:
        recording = nc.read_recording(path)
    call = str(raised[0].message).split("in ms: ")[1]
    found = eval(call, {"recording": recording})  # noqa: S307 - what it says to type
    np.testing.assert_allclose(found.time, TIMES)
    np.testing.assert_array_equal(found.firing_rate, rate)


def test_a_file_that_tells_units(tmp_path):
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        file["train/stimulus"], file["train/time"] = MOVIE, 1000 * TIMES
        file["train/spikes/cell00"] = SPIKES
    hint = told(lambda: nc.read_recording(path))
    exec(hint, {"h5py": h5py, "path": path})  # noqa: S102 - what it says to type
    found = nc.read_recording(path)["train"]
    np.testing.assert_allclose(found.firing_rate[:, 0], 10 * COUNTS[1:], rtol=1e-6)


def test_bins_of_a_file_give_no_call_on_a_recording(tmp_path):
    """There is none yet."""
    path = tmp_path / "r.npz"
    counts = np.ones((FRAMES, 1), int)
    np.savez(path, stimulus=MOVIE, time=1000 * TIMES, spike_count=counts, bin_width=0.1)
    with pytest.raises(InputError, match="'time' / 1000 there") as raised:
        nc.read_recording(path)
    assert not raised.value.hint
    assert isinstance(read(SPIKES), xr.Dataset)
