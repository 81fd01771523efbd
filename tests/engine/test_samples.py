"""Stimuli as samples: chosen times, ranges, what is refused before anything is read."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import images, movie

import neurocodec as nc
from neurocodec.engine.samples import CPU, Samples, batches, positions_of, samples_at
from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import windows


def flat(history=2):
    return nc.Network(torch.nn.Flatten(), [], history=history)


def test_ranges_cover_all_samples_once():
    assert list(batches(5, 2, progress=False, what="rows")) == [(0, 2), (2, 4), (4, 5)]


def test_without_times_all_windows_are_samples():
    frames = xr.DataArray(np.zeros((5, 3, 3), "float32"), dims=("time", "y", "x"))
    assert len(samples_at(flat(), frames, None)) == 4
    assert len(samples_at(flat(), frames, [1, 4])) == 2


@pytest.mark.parametrize("places", [[2, 3, 4, 5], [5, 2, 3, 9], [7]])
@pytest.mark.parametrize("size", [1, 2, 10])
def test_chosen_windows_are_those_of_the_whole_movie(places, size):
    whole = Samples.of(flat(4), movie())
    some = whole.at(np.array(places))
    expected = windows(whole.values, 4)[places]
    parts = [some.batch(a, b, CPU).x for a, b in batches(len(some), size, progress=False, what="")]
    torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=0)
    np.testing.assert_array_equal(some.coords["time"], whole.coords["time"].values[places])
    assert some.sha256 != whole.sha256


def test_only_windows_that_follow_each_other_share_their_frames():
    some = Samples.of(flat(4), movie()).at(np.array([1, 2, 3, 8, 5]))
    assert some.batch(0, 3, CPU).frames.shape[0] == 6
    assert some.batch(2, 5, CPU).frames is None
    block = some.block(2, 5)
    torch.testing.assert_close(some.place(block, 3, 5, CPU).x, some.batch(3, 5, CPU).x)
    assert some.place(block, 3, 5, CPU).first == 3


def test_a_time_between_two_frames_is_refused():
    samples = Samples.of(flat(), movie())
    time = samples.coords["time"].values
    assert positions_of(samples, time[3]).tolist() == [3]
    assert positions_of(samples, slice(time[3], time[5])).tolist() == [3, 4, 5]
    with pytest.raises(InputError, match="at which there is no response"):
        positions_of(samples, (time[3] + time[4]) / 2)


@pytest.mark.parametrize("dim", ["color", "y", "x"])
def test_baselines_are_aligned_by_their_labels(dim):
    pixels = {d: np.arange(n) * 0.1 for d, n in (("color", 3), ("y", 8), ("x", 8))}
    shown = images(3).assign_coords(pixels)
    samples = Samples.of(nc.Network(torch.nn.Flatten(), []), shown)
    one = shown[1].drop_vars(["stimulus", "label"])
    expected = torch.from_numpy(one.values)[None]
    for given in (one, one[{dim: slice(None, None, -1)}], one.drop_vars(dim), one.T):
        assert torch.equal(samples.baseline(given), expected)
    flipped = one[{dim: slice(None, None, -1)}].drop_vars(dim)  # without labels: as it stands
    assert not torch.equal(samples.baseline(flipped), expected)
    with pytest.raises(InputError, match=f"the baseline with '{dim}'") as error:
        samples.baseline(one.assign_coords({dim: one[dim] + 1}))
    assert eval(error.value.hint, {"data": one}).dims == one.dims  # noqa: S307


def test_the_oldest_frame_of_a_baseline_comes_first():
    samples = Samples.of(flat(4), movie())
    window = xr.DataArray(movie().values[:4], {"lag": [-3, -2, -1, 0]}, ("lag", "y", "x"))
    for given in (window, window[::-1], window.transpose("y", "lag", "x")):
        assert torch.equal(samples.baseline(given)[0], torch.from_numpy(window.values))


def test_stored_text_and_numbers_of_samples_are_plain():
    kinds = {"kind": ("stimulus", np.array(["a", None, "b"], dtype=object))}
    samples = Samples.of(nc.Network(torch.nn.Flatten(), []), images(3).assign_coords(kinds))
    assert samples.coords["kind"].dtype.kind == "U"
    assert samples.coords["kind"].values.tolist() == ["a", "", "b"]
