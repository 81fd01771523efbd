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


class Small(torch.nn.Module):
    """A convolution, and the sum of what is above zero."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 2, bias=False)
        weight = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
        self.conv.weight.data = torch.from_numpy(weight)

    def forward(self, x):
        return torch.relu(self.conv(x)).sum((2, 3))


FRAMES = np.random.default_rng(1).normal(size=(12, 3, 3))
TIMES = np.arange(12) / 100
BROKEN = {
    "gap": {"time": TIMES + 3 * (np.arange(12) >= 5)},
    "segment": {"time": TIMES, "segment": ("time", list("aaaaabbbbbbb"))},
    "unlabelled": {"segment": ("time", [0] * 5 + [1] * 7)},
}
ENDS = [2, 3, 4, 7, 8, 9, 10, 11]


def broken(kind):
    return xr.DataArray(FRAMES, BROKEN[kind], dims=("time", "y", "x"))


def small():
    return nc.Network(Small().eval(), {"conv": "conv"}, history=3, frame_rate=100.0)


def plainly(net):
    """Responses to the windows of the two pieces, by a plain loop."""
    with torch.no_grad():
        cut = [net.module(torch.from_numpy(FRAMES[i - 2 : i + 1])[None])[0] for i in ENDS]
    return torch.stack(cut).numpy()


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("lazy", [False, True])
def test_no_window_reaches_over_a_gap_or_a_border(kind, lazy):
    net, frames = small(), broken(kind)
    rates = nc.respond(net, frames.chunk(time=5) if lazy else frames, progress=False, batch_size=4)
    np.testing.assert_allclose(rates.values, plainly(net), rtol=1e-12)
    if "time" in frames.coords:
        assert rates.time.values.tolist() == frames.time.values[ENDS].tolist()


SUM = {"target": nc.targets.Sum(), "progress": False}
CALLS = {
    "contributions": lambda net, x, _: nc.contributions(net, x, **SUM)["conv"],
    "fields": lambda net, x, at: nc.receptive_fields(net, x, times=at, progress=False),
    "maps": lambda net, x, _: nc.contribution_maps(net, x, "conv", **SUM),
    "network maps": lambda net, x, at: nc.contribution_maps(net, x, times=at, **SUM),
}


@pytest.mark.filterwarnings("ignore::neurocodec.errors.NeurocodecWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_analysis_is_that_of_the_pieces(call):
    net, frames = small(), broken("gap")
    whole = call(net, frames, frames.time.values[[4, 7, 11]])
    for part, times in ((frames[:5], [4]), (frames[5:], [2, 6])):
        alone = call(net, part, part.time.values[times])
        same = whole.sel(time=alone.time)
        for name, values in alone.data_vars.items():
            np.testing.assert_allclose(same[name], values, rtol=1e-9, atol=1e-12)


def test_dates_are_seconds_in_results_and_where_times_are_chosen():
    net = small()
    plain = xr.DataArray(FRAMES, {"time": TIMES}, dims=("time", "y", "x"))
    dates = np.datetime64("2024-05-01T10:00:00", "ms") + np.arange(12) * np.timedelta64(10, "ms")
    dated = plain.assign_coords(time=dates)
    rates = nc.respond(net, dated, progress=False)
    np.testing.assert_array_equal(rates, nc.respond(net, plain, progress=False))
    assert rates.time.values.tolist() == TIMES[2:].tolist()
    for wanted in (dates[[4, 7]], dated.time[[4, 7]], TIMES[[4, 7]]):
        fields = nc.receptive_fields(net, dated, times=wanted, progress=False)
        assert fields.time.values.tolist() == TIMES[[4, 7]].tolist()
        assert fields.lag.values.tolist() == [-0.02, -0.01, 0.0]
    part = nc.receptive_fields(net, dated, times=slice(dates[3], dates[5]), progress=False)
    assert part.time.values.tolist() == TIMES[3:6].tolist()


def test_chosen_windows_of_a_movie_in_pieces_are_told_by_their_frames():
    whole = Samples.of(small(), broken("unlabelled"))
    some = samples_at(small(), broken("unlabelled"), [4, 7, 8])
    assert whole.ends.tolist() == ENDS
    assert some.coords["time"].values.tolist() == [4, 7, 8]
    for i, end in enumerate([4, 7, 8]):
        found = some.batch(i, i + 1, CPU).x[0].numpy()
        np.testing.assert_array_equal(found, FRAMES[end - 2 : end + 1])
    with pytest.raises(InputError, match="no response"):
        samples_at(small(), broken("unlabelled"), [5])


def test_the_fingerprint_knows_where_a_movie_is_cut():
    prints = {Samples.of(small(), broken(kind)).sha256 for kind in BROKEN}
    prints |= {Samples.of(small(), broken("unlabelled").drop_vars("segment")).sha256}
    assert len(prints) == 4


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


@pytest.mark.parametrize("history", [None, 2])
def test_lights_are_the_darkest_and_the_brightest(history):
    values = np.zeros((20, 3, 3), "float32")
    values[7], values[13] = -1, 2
    dims = ("time", "y", "x") if history else ("stimulus", "y", "x")
    net = nc.Network(torch.nn.Flatten(), [], history=history, input_shape=None)
    lights = Samples.of(net, xr.DataArray(values, dims=dims)).lights(CPU)
    ends = lights[:, -1] if history else lights
    assert ends.flatten(1).mean(1).tolist() == [-1, 2]
