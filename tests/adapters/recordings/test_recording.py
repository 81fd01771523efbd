"""`nc.recording`: one recording in every form in memory, and what is refused of it."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from laboratory import COUNTS, FRAMES, MOVIE, RATE, SPIKES, TIMES

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError

STARTS = np.array([2.0, 5.0, 9.0])
AGAIN = {k: np.concatenate([s + x for s in STARTS]) for k, x in SPIKES.items()}
"""The same spikes in each of three trials."""
TRIGGERS = np.concatenate([s + TIMES for s in STARTS])


def once(**options):
    return nc.recording(MOVIE, SPIKES, **options)


def again(**options):
    return nc.recording(MOVIE, AGAIN, **options)


IN_MEMORY = {
    "frame times": lambda: once(frame_times=TIMES),
    "frame rate": lambda: once(frame_rate=RATE),
    "a trigger a frame": lambda: once(triggers=[*TIMES]),
    "a trigger every three frames": lambda: once(triggers=TIMES[::3], frames_per_trigger=3),
    "a trigger every five, not all of the last": lambda: once(
        triggers=TIMES[::5], frames_per_trigger=5
    ),
    "a list of cells": lambda: nc.recording(MOVIE, [*SPIKES.values()], frame_times=TIMES),
    "spikes in samples": lambda: nc.recording(
        MOVIE, {k: 100 * x for k, x in SPIKES.items()}, frame_times=TIMES, sample_rate=100
    ),
    "a missing trigger": lambda: once(triggers=np.delete(TIMES, 5), missing="unseen"),
    "a labelled movie": lambda: nc.recording(
        xr.DataArray(MOVIE, dims=("time", "y", "x")).transpose("x", "y", "time"),
        SPIKES,
        frame_rate=RATE,
    ),
}


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_spikes_are_counted_by_frame(kind):
    found = IN_MEMORY[kind]()
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)
    np.testing.assert_allclose(found.firing_rate, COUNTS * RATE, rtol=1e-5)
    np.testing.assert_array_equal(found.stimulus, MOVIE)
    np.testing.assert_allclose(found.time, TIMES, atol=1e-12)


REPEATED = {
    "starts and a rate": lambda: again(trials=STARTS, frame_rate=RATE),
    "starts and times in a trial": lambda: again(trials=STARTS, frame_times=TIMES),
    "starts and all times": lambda: again(trials=STARTS, frame_times=TRIGGERS),
    "times (trial, frame)": lambda: again(frame_times=STARTS[:, None] + TIMES),
    "a number and triggers": lambda: again(trials=3, triggers=TRIGGERS),
    "starts and triggers": lambda: again(trials=STARTS, triggers=np.r_[0.5, TRIGGERS, 20.0]),
    "starts and sparse triggers": lambda: again(
        trials=STARTS, triggers=(STARTS[:, None] + TIMES[::4]).ravel(), frames_per_trigger=4
    ),
    "starts and stops": lambda: again(trials=np.stack([STARTS, STARTS + 1.2], 1), frame_rate=RATE),
    "a trial that stopped early": lambda: again(
        trials=[[0.0, 0.5], *zip(STARTS, STARTS + 2, strict=True)], frame_rate=RATE
    ),
}


@pytest.mark.parametrize("kind", REPEATED)
def test_trials_are_repeats(kind):
    found = REPEATED[kind]()
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
    np.testing.assert_allclose(found.firing_rate, COUNTS * RATE, rtol=1e-5)
    np.testing.assert_allclose(found.time, TIMES, atol=1e-12)
    np.testing.assert_allclose(found.trial_start, STARTS, atol=1e-12)
    assert float(found.bin_width) == pytest.approx(1 / RATE)


def test_pynapple_is_taken_as_it_is():
    nap = pytest.importorskip("pynapple")
    labels = {"quality": ["good", "noise", "good"], "depth": [1.0, 2.0, 3.0]}
    group = nap.TsGroup(
        {0: nap.Ts(AGAIN["a"]), 1: nap.Ts(np.array([2.5, 2.6])), 7: nap.Ts(AGAIN["b"])},
        metadata=labels,
    )
    trials = nap.IntervalSet(STARTS, STARTS + 1.3)
    found = nc.recording(MOVIE, group, trials=trials, triggers=nap.Ts(TRIGGERS))
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
    assert found.cell.values.tolist() == ["unit 0", "unit 7"]
    assert found.quality.values.tolist() == ["good", "good"]
    assert "1 noise units: unit 1" in found.attrs["reading"]
    assert "metadata of the cells: depth" in found.attrs["reading"]


def test_tables_of_pynapple_are_no_spike_times():
    nap = pytest.importorskip("pynapple")
    table = nap.TsdFrame(t=TIMES, d=np.ones((FRAMES, 2)))
    for spikes in (table, {"a": table}):
        with pytest.raises(InputError, match="TsdFrame.*(?s:.)*firing_rate"):
            nc.recording(MOVIE, spikes, frame_times=TIMES)
    amplitudes = nap.Tsd(t=AGAIN["a"], d=np.ones(len(AGAIN["a"])))
    with pytest.raises(InputError, match="to_tsgroup"):
        nc.recording(MOVIE, amplitudes, frame_times=TIMES)
    intervals = nap.IntervalSet(TIMES, TIMES + 0.05)
    with pytest.raises(InputError, match=r"intervals\.start"):
        nc.recording(MOVIE, {"a": [0.1]}, frame_times=intervals)
    found = nc.recording(MOVIE, {"a": [0.1]}, frame_times=intervals.start)
    np.testing.assert_allclose(found.time, TIMES)


def test_a_pause_cuts_the_movie():
    times = TIMES + 3.0 * (np.arange(FRAMES) >= 6)
    spikes = {"a": [0.13, 0.55, 1.5, 3.71]}
    with pytest.warns(NeurocodecWarning, match="1 of 4 spikes are in gaps"):
        found = nc.recording(MOVIE, spikes, frame_times=times)
    assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [1, 5, 7]
    assert "1 pauses" in found.attrs["reading"]


@pytest.mark.parametrize("kind", ["NaN", "trigger", "shown"])
def test_a_dropped_frame_leaves_the_one_before(kind):
    """The display went on with frame 4 while frame 5 should have come."""
    kept = np.delete(np.arange(FRAMES), 5)
    options = {
        "NaN": {"frame_times": np.where(np.arange(FRAMES) == 5, np.nan, TIMES)},
        "trigger": {"triggers": TIMES[kept], "missing": "skipped"},
        "shown": {"shown": kept, "frame_times": TIMES[kept]},
    }[kind]
    spikes = {"a": [0.55, 0.71]}
    found = nc.recording(MOVIE, spikes, gaps="hold", **options)
    np.testing.assert_array_equal(found.stimulus, MOVIE[[0, 1, 2, 3, 4, 4, *range(6, 12)]])
    np.testing.assert_allclose(found.time, TIMES, atol=1e-9)
    assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [5, 7]
    with pytest.warns(NeurocodecWarning, match="1 of 2 spikes are in gaps"):
        cut = nc.recording(MOVIE, spikes, **options)
    np.testing.assert_array_equal(cut.stimulus, MOVIE[kept])
    assert int(cut.spike_count.sum()) == 1


def test_rows_in_another_order_and_twice():
    rows = np.array([3, 3, 0, 11])
    found = nc.recording(MOVIE, {"a": [0.05]}, shown=rows, frame_rate=RATE)
    np.testing.assert_array_equal(found.stimulus, MOVIE[rows])


@pytest.mark.parametrize("shape", [(FRAMES,), (FRAMES, 2, 5, 6), (FRAMES, 5, 6, 2)])
def test_light_and_colour(shape):
    values = np.random.default_rng(0).random(shape)
    found = nc.recording(values, SPIKES, frame_rate=RATE).stimulus
    if len(shape) == 1:
        assert found.dims == ("time", "y", "x")
        np.testing.assert_array_equal(found[:, 0, 0], values)
        return
    assert found.dims == ("time", "color", "y", "x")
    assert found.shape == (FRAMES, 2, 5, 6)
    first = values if shape[1] == 2 else np.moveaxis(values, -1, 1)
    np.testing.assert_array_equal(found, first)


def test_a_stored_movie(tmp_path):
    np.save(tmp_path / "movie.npy", MOVIE)
    found = nc.recording(tmp_path / "movie.npy", SPIKES, frame_rate=RATE)
    np.testing.assert_array_equal(found.stimulus, MOVIE)


def test_a_session_is_longer_than_its_stimulus():
    """Spikes of other stimuli are left and counted; a silent stimulus is doubted."""
    spikes = {"a": np.r_[SPIKES["a"], np.arange(50.0, 60.0)]}
    found = nc.recording(MOVIE, spikes, frame_times=TIMES)
    assert int(found.spike_count.sum()) == 2
    assert "10 of 12 spikes, outside of the stimulus" in found.attrs["reading"]
    spikes = {"a": np.r_[0.5, np.arange(2.0, 60.0, 0.02)]}
    with pytest.warns(NeurocodecWarning, match="are both on one clock"):
        nc.recording(MOVIE, spikes, frame_times=TIMES)


def test_the_index_of_pandas_is_none_of_times():
    trials = pd.Series(STARTS)
    spikes = {k: pd.Series(x) for k, x in AGAIN.items()}
    found = nc.recording(MOVIE, spikes, trials=trials, triggers=pd.Series(TRIGGERS))
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
    table = pd.DataFrame({"start_time": STARTS, "stop_time": STARTS + 1.3})
    found = nc.recording(MOVIE, spikes, trials=table, frame_rate=RATE)
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))


def test_cells_are_chosen_and_a_silent_one_is_named():
    found = once(frame_rate=RATE, cells=["b"])
    assert found.cell.values.tolist() == ["b"]
    with pytest.warns(NeurocodecWarning, match="1 of 2 cells have no spikes: c"):
        nc.recording(MOVIE, {"a": [0.1], "c": []}, frame_rate=RATE)


def test_the_log_ends_with_one_line(caplog):
    caplog.set_level(logging.INFO, logger="neurocodec")
    found = again(trials=STARTS, triggers=np.r_[TRIGGERS, 20.0])
    (record,) = [r for r in caplog.records if r.name.startswith("neurocodec.adapters")]
    assert record.getMessage() == found.attrs["reading"]
    assert "12 frames (3 x 4), 10 Hz, 2 cells, 3 repeats" in record.getMessage()
    assert "left 1 triggers outside of the trials" in record.getMessage()


def test_it_is_a_recording_for_what_follows(tmp_path):
    found = again(trials=STARTS, frame_rate=RATE)
    nc.save(found, tmp_path / "r.nc")
    read = nc.read_recording(tmp_path / "r.nc")["recording"].to_dataset()
    xr.testing.assert_identical(read.load(), found)


REFUSED = {
    "no times": (once, "without times"),
    "both times": (lambda: once(frame_times=TIMES, triggers=TIMES), "both frame_times= and"),
    "times and a rate": (lambda: once(frame_times=TIMES, frame_rate=RATE), "and frame_rate="),
    "a rate of nothing": (lambda: once(frame_rate=0), "frame_rate=0"),
    "too few times": (lambda: once(frame_times=TIMES[:-1]), "11 frame times for 12"),
    "an end too": (lambda: once(frame_times=np.r_[TIMES, 1.2]), r"frame_times\[:-1\]"),
    "times that fall": (lambda: once(frame_times=TIMES[::-1]), "do not rise"),
    "all times NaN": (lambda: once(frame_times=TIMES * np.nan), "all NaN"),
    "times of text": (lambda: once(frame_times=["0"] * FRAMES), "frame_times of <U1"),
    "times of three axes": (lambda: once(frame_times=np.zeros((2, 2, 2))), "shape"),
    "times (trial, frame) of other frames": (
        lambda: once(frame_times=np.zeros((3, 5))),
        "5 frame times a trial",
    ),
    "times of the first trial": (
        lambda: again(trials=STARTS, frame_times=TIMES + 2),
        r"frame_times - trials\[0\]",
    ),
    "too few triggers": (lambda: once(triggers=np.delete(TIMES, 5)), r"late after triggers \[4\]"),
    "triggers of every third": (lambda: once(triggers=TIMES[::3]), "frames_per_trigger=3"),
    "triggers of three trials": (lambda: again(triggers=TRIGGERS), "trials=3"),
    "too many triggers": (lambda: once(triggers=np.r_[TIMES, 1.2]), r"triggers\[:12\]"),
    "triggers missing in pieces": (
        lambda: once(triggers=np.delete(TIMES, 5) + 0.05 * (np.arange(11) == 0), missing="unseen"),
        "steps together|look at np.diff",
    ),
    "skipped frames of sparse triggers": (
        lambda: once(triggers=[0, 0.6], frames_per_trigger=4, missing="skipped"),
        "missing='skipped' with 4 frames",
    ),
    "frames per trigger without triggers": (
        lambda: once(frame_times=TIMES, frames_per_trigger=3),
        "without triggers=",
    ),
    "one trigger": (lambda: once(triggers=[0.0], frames_per_trigger=12), "one trigger"),
    "triggers of NaN": (lambda: once(triggers=TIMES * np.nan), "triggers, which is nan"),
    "no frames per trigger": (lambda: once(triggers=TIMES, frames_per_trigger=0), "per_trigger=0"),
    "a trial without triggers": (
        lambda: again(trials=[*STARTS, 30.0], triggers=TRIGGERS),
        r"without triggers: \[3\]",
    ),
    "a trial with one trigger less": (
        lambda: again(trials=STARTS, triggers=np.delete(TRIGGERS, 15)),
        "in trial 1",
    ),
    "triggers that do not divide": (lambda: again(trials=3, triggers=TRIGGERS[:-1]), "35 triggers"),
    "trials as a number without triggers": (lambda: again(trials=3, frame_rate=RATE), "trials=3"),
    "trials that overlap": (lambda: again(trials=[0, 1.0], frame_rate=RATE), "1 s apart"),
    "trials that stop first": (lambda: again(trials=[[1, 0]], frame_rate=RATE), "stop after"),
    "trials one in the other": (
        lambda: again(trials=[[0, 3], [2, 5]], frame_rate=RATE),
        "which overlap",
    ),
    "trials all too short": (lambda: again(trials=[[0, 0.5]], frame_rate=RATE), "at most 0.5 s"),
    "trials of three columns": (lambda: again(trials=np.zeros((2, 3)), frame_rate=RATE), "trials="),
    "a trial with a late frame": (
        lambda: again(
            frame_times=STARTS[:, None] + TIMES + 0.3 * (np.arange(36) > 30).reshape(3, 12)
        ),
        "trial 2, whose frame",
    ),
    "rows beyond the stimulus": (lambda: once(shown=[0, 12], frame_rate=RATE), "shown - 1"),
    "rows of fractions": (lambda: once(shown=[0.5, 1.5], frame_rate=RATE), "shown= of float64"),
    "an unknown way of gaps": (lambda: once(frame_rate=RATE, gaps="fill"), "way to treat gaps"),
    "an unknown way of missing": (lambda: once(frame_rate=RATE, missing="x"), "missing triggers"),
    "a pause to be held": (
        lambda: once(frame_times=TIMES + 99.0 * (np.arange(FRAMES) >= 6), gaps="hold"),
        "a pause is no dropped frame",
    ),
    "a stimulus of two axes": (lambda: nc.recording(MOVIE[0], SPIKES, frame_rate=1), "shape"),
    "a stimulus of text": (lambda: nc.recording(["a"], SPIKES, frame_rate=1), "stimulus of <U1"),
    "a stimulus of nothing": (lambda: nc.recording(MOVIE[:0], SPIKES, frame_rate=1), "shape"),
    "a stimulus of one frame": (lambda: nc.recording(MOVIE[:1], SPIKES, frame_rate=1), "single"),
    "NaN in a stimulus": (lambda: nc.recording(TIMES * np.nan, SPIKES, frame_rate=1), "12 NaN"),
    "colours of no axis": (
        lambda: nc.recording(np.zeros((5, 3, 3, 3)), SPIKES, frame_rate=1),
        "dims=.'time', 'color'",
    ),
    "a stimulus of other dims": (
        lambda: nc.recording(xr.DataArray(MOVIE, dims=("t", "y", "x")), SPIKES, frame_rate=1),
        "rename",
    ),
    "a stimulus in a file of frames": (
        lambda: nc.recording(__file__, SPIKES, frame_rate=1),
        "a .npy file",
    ),
    "spikes of no cell": (lambda: nc.recording(MOVIE, {}, frame_rate=RATE), "of no cell"),
    "spikes of a number": (lambda: nc.recording(MOVIE, 3, frame_rate=RATE), "type int"),
    "spikes of trials": (
        lambda: nc.recording(MOVIE, [[[0.1], [0.2, 0.3]], [[0.1], [0.2]]], frame_rate=RATE),
        "no lists of times",
    ),
    "spikes of other lengths": (
        lambda: nc.recording(MOVIE, {"a": [0.1, np.array([0.2, 0.3])]}, frame_rate=RATE),
        "2 lists",
    ),
    "triggers of lists": (lambda: once(triggers=[[1, 2], [3]]), "triggers of lists"),
    "times of lists": (lambda: once(frame_times=[[1, 2], [3]]), "frame_times of lists"),
    "trials of lists": (lambda: again(frame_rate=RATE, trials=[[1, 2], [3]]), "trials= of lists"),
    "rows of lists": (lambda: once(frame_rate=RATE, shown=[[1, 2], [3]]), "shown= of lists"),
    "a stimulus of lists": (
        lambda: nc.recording([[1, 2], [3]], SPIKES, frame_rate=RATE),
        "stimulus of lists",
    ),
    "a stimulus behind a mask": (
        lambda: nc.recording(np.ma.array(MOVIE, mask=MOVIE > 200), SPIKES, frame_rate=RATE),
        "a mask hides",
    ),
    "a recording as a stimulus": (
        lambda: nc.recording(once(frame_rate=RATE), SPIKES, frame_rate=RATE),
        r"stimulus\['stimulus'\]",
    ),
    "cells without a name": (
        lambda: nc.recording(MOVIE, {"": [0.1]}, frame_rate=RATE),
        "called ''",
    ),
    "cells called NaN": (
        lambda: nc.recording(MOVIE, {np.nan: [0.1]}, frame_rate=RATE),
        "called nan",
    ),
    "a quality of numbers": (lambda: once(frame_rate=RATE, quality=3), "quality=3"),
    "ways in an array": (
        lambda: once(triggers=TIMES, missing=np.array([1, 2])),
        "missing triggers",
    ),
    "triggers (trial, frame)": (
        lambda: again(triggers=STARTS[:, None] + TIMES),
        r"np.ravel\(triggers\), trials=3",
    ),
    "triggers in samples beside spikes in samples": (
        lambda: nc.recording(MOVIE, {"a": [130, 710]}, triggers=1000 * TIMES, sample_rate=1000.0),
        r"triggers=triggers / 1000\.0, where they are samples",
    ),
    "cells as a number": (lambda: once(frame_rate=RATE, cells=0), "cells=0"),
    "spikes of text": (lambda: nc.recording(MOVIE, {"a": ["x"]}, frame_rate=RATE), "of 'a', <U1"),
    "a train of 0 and 1": (
        lambda: nc.recording(MOVIE, {"a": [True, False]}, frame_rate=RATE),
        "np.flatnonzero",
    ),
    "spikes of a matrix": (
        lambda: nc.recording(MOVIE, {"a": np.zeros((2, 2))}, frame_rate=RATE),
        r"shape \(2, 2\)",
    ),
    "spikes of NaN": (lambda: nc.recording(MOVIE, {"a": [np.nan]}, frame_rate=RATE), "NaN or inf"),
    "two cells of a name": (
        lambda: nc.recording(MOVIE, {1: [0.1], "unit 1": [0.1]}, frame_rate=RATE),
        "two cells called 'unit 1'",
    ),
    "spikes on another clock": (
        lambda: nc.recording(MOVIE, {"a": [50.0, 60.0]}, frame_rate=RATE),
        "on one clock",
    ),
    "spikes in samples unsaid": (
        lambda: nc.recording(MOVIE, {"a": np.arange(0, 9000, 0.9)}, frame_rate=RATE),
        "sample_rate=",
    ),
    "a quality that nobody told": (
        lambda: nc.recording(MOVIE, SPIKES, frame_rate=RATE, quality="good"),
        "without a label",
    ),
    "a cell that is not there": (lambda: once(frame_rate=RATE, cells=["c"]), "no cell 'c'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_named(kind):
    call, told = REFUSED[kind]
    with pytest.raises((InputError, UnknownNameError), match=told):
        call()


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        nc.recording(tmp_path / "no.npy", SPIKES, frame_rate=RATE)
    with pytest.raises(StorageError, match="does not exist"):
        nc.recording(MOVIE, tmp_path / "no", frame_rate=RATE)


def test_lists_of_one_cell_are_trials_and_refused():
    """A spike a trial would look like a column of times."""
    with pytest.raises(InputError, match="of 'a', 2 lists"):
        nc.recording(MOVIE, {"a": [[0.1], [0.2]]}, frame_rate=RATE)
    for times in ([[0.1, 0.2]], np.array([[0.1], [0.2]]), [np.array(0.1), np.array(0.2)]):
        found = nc.recording(MOVIE, {"a": times}, frame_rate=RATE)
        assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [1, 2]


def test_samples_of_any_type():
    samples = {k: np.round(1000 * x) for k, x in SPIKES.items()}
    for kind in (np.uint64, np.int64, np.float32):
        spikes = {k: x.astype(kind)[::-1] for k, x in samples.items()}
        found = nc.recording(MOVIE, spikes, frame_rate=RATE, sample_rate=1000.0)
        np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_what_a_mask_hides_is_no_time():
    """As netCDF's library gives what is missing in a file."""
    times = np.ma.array(TIMES, mask=TIMES[5] == TIMES)
    spikes = {"a": np.ma.array([0.15, 0.75], mask=[True, False])}
    found = nc.recording(MOVIE, spikes, frame_times=times)
    np.testing.assert_array_equal(found.stimulus, np.delete(MOVIE, 5, 0))
    assert np.flatnonzero(found.spike_count[0, :, 0]).tolist() == [6]


def test_times_that_tell_their_units():
    times = xr.DataArray(1000 * TIMES, dims="time", attrs={"units": "ms"})
    spikes = {k: xr.DataArray(1000 * x, dims="s", attrs={"units": "ms"}) for k, x in SPIKES.items()}
    found = nc.recording(MOVIE, spikes, frame_times=times)
    np.testing.assert_array_equal(found.spike_count[0], COUNTS)


def test_trials_that_touch_within_rounding():
    starts = 0.1 + 1.2 * np.arange(3)
    pairs = np.stack([starts, np.nextafter(starts + 1.2, np.inf)], 1)
    spikes = {k: np.concatenate([s + x for s in starts]) for k, x in SPIKES.items()}
    found = nc.recording(MOVIE, spikes, trials=pairs, frame_rate=RATE)
    np.testing.assert_array_equal(found.spike_count, np.stack([COUNTS] * 3))
