"""Times of frames: seconds, order, gaps, pieces."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neurocodec import clock
from neurocodec.errors import InputError

PLAIN = np.arange(12) / 100
GAP = PLAIN + 3 * (np.arange(12) >= 5)


def movie(times, **coords):
    return xr.DataArray(
        np.arange(12.0),
        {"time": ("time", times)} | {k: ("time", x) for k, x in coords.items()},
        dims="time",
    )


@pytest.mark.parametrize(
    "times",
    [
        np.arange(12) * np.timedelta64(10, "ms"),
        (np.arange(12) * 10_000_000).astype("m8[ns]"),
        pd.date_range("2024-01-01", periods=12, freq="10ms"),
        pd.date_range("2024-03-31T01:59:59.95", periods=12, freq="10ms", tz="Europe/Berlin"),
        [dt.timedelta(milliseconds=10 * i) for i in range(12)],
    ],
    ids=["ms", "ns", "dates", "zone", "objects"],
)
def test_dates_and_durations_are_exact_seconds(times):
    found = clock.in_seconds(movie(times)).time
    assert found.to_numpy().tolist() == [i / 100 for i in range(12)]
    assert found.attrs["units"] == "s"


def test_a_date_is_counted_from_a_given_one():
    dates = pd.date_range("2024-01-01", periods=12, freq="10ms")
    whole = clock.in_seconds(movie(dates))
    assert whole.time.attrs["since"].startswith("2024-01-01T00:00:00")
    part = clock.in_seconds(movie(dates)[5:], whole.time.attrs["since"])
    assert part.time.to_numpy().tolist() == whole.time.to_numpy()[5:].tolist()
    assert clock.plain_seconds(dates[[2, 3]], whole.time.attrs["since"]).tolist() == [0.02, 0.03]


def test_units_are_read():
    ms = movie(np.arange(12) * 10).assign_coords(time=("time", np.arange(12) * 10, {"units": "ms"}))
    assert clock.in_seconds(ms).time.to_numpy().tolist() == [i / 100 for i in range(12)]
    same = movie(PLAIN)
    assert clock.in_seconds(same) is same
    with pytest.raises(InputError, match="times in 'frame'"):
        clock.in_seconds(ms.assign_coords(time=("time", PLAIN, {"units": "frame"})))
    with pytest.raises(InputError, match="times of <U"):
        clock.in_seconds(movie([str(i) for i in range(12)]))


@pytest.mark.parametrize(
    ("times", "windows"),
    [
        (np.r_[PLAIN[:6], PLAIN[5:11]], 9),  # one is twice
        (PLAIN[::-1], 10),
        (np.where(np.arange(12) == 4, np.nan, PLAIN), 7),
        (np.r_[PLAIN[:6], PLAIN[:6]], 8),  # two movies, each from 0 s on
        (np.r_[GAP[:8], GAP[:4]], 6),
    ],
)
def test_times_that_do_not_rise_are_refused_with_a_hint_that_runs(times, windows):
    with pytest.raises(InputError, match="rising times") as error:
        clock.pieces(movie(times))
    mended = eval(error.value.hint, {"movie": movie(times), "np": np})  # noqa: S307
    assert clock.window_ends(clock.pieces(mended), 3).size == windows


def test_a_gap_and_a_border_part_a_movie():
    assert clock.pieces(movie(GAP)) == [(0, 5), (5, 12)]
    assert clock.pieces(movie(PLAIN, segment=[0] * 4 + [1] * 8), 100.0) == [(0, 4), (4, 12)]
    assert clock.pieces(movie(GAP, segment=list("aaaabbbbbbbb"))) == [(0, 4), (4, 5), (5, 12)]
    assert clock.pieces(movie(GAP).drop_vars("time")) == [(0, 12)]
    one_missing = np.delete(np.arange(13), 6) / 100
    assert clock.pieces(movie(one_missing), 100.0) == [(0, 6), (6, 12)]
    none = [np.nan] * 2 + [1.0] * 10
    assert clock.pieces(movie(PLAIN, segment=none)) == [(0, 1), (1, 2), (2, 12)]
    assert clock.window_ends([(0, 4), (4, 5), (5, 8)], 3).tolist() == [2, 3, 7]


@pytest.mark.parametrize("rate", [None, 100.0])
def test_two_frame_rates_are_no_gaps(rate):
    times = np.r_[np.arange(8) / 100, 0.07 + np.arange(1, 5) / 50]
    with pytest.raises(InputError, match=r"nc.stimuli.resample\(movie, 100\)"):
        clock.pieces(movie(times), rate)


def test_another_frame_rate_than_the_wanted_one_is_refused():
    with pytest.raises(InputError, match="0.01 to 0.01 s apart"):
        clock.pieces(movie(PLAIN), 50.0)
    with pytest.raises(InputError, match=r"time=movie.time / 1000"):
        clock.pieces(movie(PLAIN * 1000), 100.0)
    with pytest.raises(InputError, match="frames 0.02 to 0.02 s apart"):
        clock.pieces(movie(2 * PLAIN)[:3], 100.0)


def test_a_frame_before_a_gap_ends_after_one_step():
    ends = clock.frame_ends(np.array([0.0, 1.0, 2.0, 7.0, 8.0]))
    assert ends.tolist() == [1.0, 2.0, 3.0, 8.0, 9.0]


def test_a_movie_without_a_whole_window_is_refused():
    with pytest.raises(InputError, match="in 2 pieces[\\s\\S]*at least one of 8"):
        clock.require_windows([(0, 5), (5, 12)], 8)
    clock.require_windows([(0, 5), (5, 12)], 7)


def test_bins_are_as_long_as_frames():
    clock.require_width(0.0101, 0.01)
    with pytest.raises(InputError, match="recording.time / 1000"):
        clock.require_width(0.01, 10.0)
    for width in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="above 0"):
            clock.scalar_seconds(xr.DataArray(width, name="bin_width"))
    assert clock.scalar_seconds(xr.DataArray(10, name="bin_width", attrs={"units": "ms"})) == 0.01
