"""Spike-triggered averages: hand arithmetic, known filters, labels."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError
from neurocodec.fields import spike_triggered


def white(frames=6000, size=4, seed=0, start=0.0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(100, 3, size=(frames, size, size))
    times = start + np.arange(frames) / 100
    return xr.DataArray(values.astype("float32"), {"time": times}, dims=("time", "y", "x"))


def responses(stimulus, weights) -> xr.DataArray:
    """A linear cell for each (lag, y, x) of `weights`, offset so that no rate is negative."""
    history = weights.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(stimulus.values - 100, history, axis=0)
    rate = 500 + np.einsum("tyxl,clyx->tc", windows, weights)
    return xr.DataArray(
        rate,
        {"time": stimulus.time[history - 1 :], "cell": [f"cell {i}" for i in range(len(weights))]},
        dims=("time", "cell"),
        attrs={"units": "Hz"},
    )


def test_hand_arithmetic() -> None:
    stimulus = xr.DataArray(
        np.array([1.0, 2.0, 6.0, 3.0]).reshape(4, 1, 1),
        {"time": [0.0, 0.01, 0.02, 0.03]},
        dims=("time", "y", "x"),
    )
    spikes = xr.DataArray(
        [[9, 9], [0, 2], [1, 0], [3, 0]],
        {"time": stimulus.time, "cell": ["a", "b"]},
        dims=("time", "cell"),
    )
    sta = nc.spike_triggered_average(stimulus, spikes, history=2).sta
    # windows (1, 2), (2, 6), (6, 3); mean (3, 11/3); the first spikes have no full window
    expected = [[(2 + 18) / 4 - 3, (6 + 9) / 4 - 11 / 3], [1 - 3, 2 - 11 / 3]]
    np.testing.assert_allclose(sta[:, :, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(sta.lag, [-0.01, 0.0])
    assert sta.dims == ("cell", "lag", "y", "x")


def test_white_noise_gives_back_the_filter() -> None:
    weights = np.random.default_rng(1).normal(size=(2, 5, 4, 4))
    stimulus = white(20000)
    found = nc.spike_triggered_average(stimulus, responses(stimulus, weights), 5, kind="filter")
    correlation = np.corrcoef(found.sta.values.ravel(), weights.ravel())[0, 1]
    assert correlation > 0.98
    slope = (found.sta.values * weights).sum() / (weights**2).sum()
    assert slope == pytest.approx(1, abs=0.03)
    assert found.sta.units == "Hz per unit of stimulus"


def test_blocks_make_no_difference(monkeypatch) -> None:
    stimulus = white(300)
    rates = responses(stimulus, np.ones((1, 5, 4, 4)))
    whole = nc.spike_triggered_average(stimulus, rates, 5)
    monkeypatch.setattr(spike_triggered, "BLOCK", 7)
    blocks = nc.spike_triggered_average(stimulus, rates, 5)
    np.testing.assert_allclose(blocks.sta, whole.sta, atol=1e-5)
    windows = np.lib.stride_tricks.sliding_window_view(stimulus.values.astype(float), 5, axis=0)
    weighted = np.einsum("tc,tyxl->clyx", rates.values, windows) / rates.values.sum()
    np.testing.assert_allclose(whole.sta, weighted - windows.mean(0).transpose(2, 0, 1), atol=1e-4)


def test_the_stimulus_is_read_block_by_block(tmp_path, monkeypatch) -> None:
    stimulus = white(400).rename("stimulus")
    rates = responses(stimulus, np.ones((1, 5, 4, 4)))
    nc.save(stimulus.to_dataset(), tmp_path / "movie.nc")
    monkeypatch.setattr(spike_triggered, "BLOCK", 50)
    with xr.open_dataset(tmp_path / "movie.nc", engine="netcdf4", cache=False) as lazy:
        found = nc.spike_triggered_average(lazy.stimulus, rates, 5)
        assert not lazy.stimulus.variable._in_memory
    np.testing.assert_allclose(found.sta, nc.spike_triggered_average(stimulus, rates, 5).sta)


BORDERS = [
    {"time": np.arange(30) / 100 + 2 * (np.arange(30) >= 11)},
    {"segment": ("time", np.arange(30) >= 11)},
]


@pytest.mark.parametrize("on", ["stimulus", "responses", "both"])
@pytest.mark.parametrize("borders", BORDERS, ids=["gap", "segment"])
def test_no_window_reaches_over_a_gap_or_a_border(borders, on) -> None:
    stimulus = white(30)
    rates = responses(stimulus, np.ones((1, 3, 4, 4)))
    ends = np.r_[2:11, 13:30]
    windows = np.stack([stimulus.values[i - 2 : i + 1] for i in ends]).astype(float)
    weights = rates.values[ends - 2, 0]
    expected = np.average(windows, axis=0, weights=weights) - windows.mean(0)
    if "time" in borders or on != "responses":
        stimulus = stimulus.assign_coords(borders)
    if "time" in borders:
        rates = rates.assign_coords(time=stimulus.time[2:])
    elif on != "stimulus":
        rates = rates.assign_coords(segment=("time", borders["segment"][1][2:]))
    if "time" in borders and on == "responses":  # those that a network gives
        rates = rates.isel(time=ends - 2)
    found = nc.spike_triggered_average(stimulus, rates, 3)
    np.testing.assert_allclose(found.sta[0], expected, atol=1e-4)
    assert nc.labels.provenance(found)["windows"] == len(ends)


def test_dates_of_stimulus_and_responses_are_one_clock() -> None:
    stimulus = white(50)
    rates = responses(stimulus, np.ones((1, 3, 4, 4)))
    dates = np.datetime64("2024-05-01T23:59:59.99", "ms") + np.arange(50) * np.timedelta64(10, "ms")
    dated, late = stimulus.assign_coords(time=dates), rates.assign_coords(time=dates[2:])
    expected = nc.spike_triggered_average(stimulus, rates, 3).sta
    for both in ((dated, late), (dated, rates)):
        found = nc.spike_triggered_average(*both, 3).sta
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_allclose(found.lag, [-0.02, -0.01, 0])
    with pytest.raises(InputError, match="responses at dates beside"):
        nc.spike_triggered_average(stimulus, late, 3)


def test_repeats_are_summed_and_types_kept() -> None:
    stimulus = white(100)
    rates = responses(stimulus, np.ones((2, 3, 4, 4))).assign_coords(cell_type=("cell", ["x", "y"]))
    counts = xr.concat([rates, 2 * rates], "repeat")
    one = nc.spike_triggered_average(stimulus, rates, 3)
    two = nc.spike_triggered_average(stimulus, counts.transpose("repeat", "time", "cell"), 3)
    np.testing.assert_allclose(one.sta, two.sta, atol=1e-6)
    assert two.cell_type.values.tolist() == ["x", "y"]


def test_without_labels_rows_are_matched_by_their_number() -> None:
    stimulus = white(50).drop_vars("time")
    rates = responses(white(50), np.ones((1, 3, 4, 4))).drop_vars("time")
    a = nc.spike_triggered_average(stimulus, rates, 3)
    padded = rates.pad(time=(2, 0), constant_values=7.0)
    b = nc.spike_triggered_average(stimulus, padded, 3)
    xr.testing.assert_equal(a, b)
    assert a.lag.units == "frame"
    with pytest.raises(InputError, match="do not match"):
        nc.spike_triggered_average(stimulus, rates.isel(time=slice(5)), 3)


def test_a_silent_cell_has_no_average_and_says_so() -> None:
    stimulus = white(50)
    rates = responses(stimulus, np.ones((2, 3, 4, 4))) * xr.DataArray([1.0, 0.0], dims="cell")
    with pytest.warns(NeurocodecWarning, match="cell 1"):
        found = nc.spike_triggered_average(stimulus, rates, 3)
    assert np.isnan(found.sta[1]).all()
    assert np.isfinite(found.sta[0]).all()
    assert nc.describe_fields(found).polarity.values[1] == ""


def test_bad_input_is_refused() -> None:
    stimulus = white(50)
    rates = responses(stimulus, np.ones((1, 3, 4, 4)))
    with pytest.raises(InputError, match="do not match"):
        nc.spike_triggered_average(stimulus, rates.assign_coords(time=rates.time + 0.003), 3)
    with pytest.raises(InputError, match="history"):
        nc.spike_triggered_average(stimulus, rates, 51)
    with pytest.raises(UnknownNameError, match="kind"):
        nc.spike_triggered_average(stimulus, rates, 3, kind="mean")
    with pytest.raises(InputError, match="NaN"):
        nc.spike_triggered_average(stimulus, rates.where(rates.time > 0.1), 3)
    with pytest.raises(InputError, match="some after 40 frames"):
        nc.spike_triggered_average(stimulus, rates.isel(time=slice(0, 9)), 40)


def test_a_repeat_with_a_missing_number_is_not_taken_for_no_spikes() -> None:
    stimulus = white(50)
    counts = responses(stimulus, np.ones((1, 3, 4, 4))).expand_dims(repeat=2).copy()
    counts[1, 7, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        nc.spike_triggered_average(stimulus, counts, 3)


def test_responses_below_zero_are_averaged_by_nothing() -> None:
    stimulus = white(3000)
    weights = np.random.default_rng(1).normal(size=(1, 3, 4, 4))
    voltage = responses(stimulus, weights) - 500
    with pytest.raises(InputError, match='kind="filter"'):
        nc.spike_triggered_average(stimulus, voltage, 3)
    found = nc.spike_triggered_average(stimulus, voltage, 3, kind="filter")
    assert np.corrcoef(found.sta.values.ravel(), weights.ravel())[0, 1] > 0.9


def test_a_filter_is_not_smaller_for_pixels_of_different_brightness() -> None:
    weights = np.random.default_rng(1).normal(size=(1, 3, 4, 4))
    stimulus = white(10000)
    rates = responses(stimulus, weights)
    bright = stimulus + xr.DataArray(20.0 * np.arange(4), dims="y")
    a, b = (nc.spike_triggered_average(s, rates, 3, kind="filter").sta for s in (stimulus, bright))
    np.testing.assert_allclose(a, b, atol=0.02)


def test_every_block_of_the_stimulus_is_read_once(monkeypatch) -> None:
    stimulus, reads = white(400).rename("stimulus"), []
    rates = responses(stimulus, np.ones((1, 5, 4, 4)))
    real = xr.DataArray.compute
    monkeypatch.setattr(spike_triggered, "BLOCK", 100)
    monkeypatch.setattr(
        xr.DataArray, "compute", lambda self, **k: reads.append(len(self)) or real(self, **k)
    )
    nc.spike_triggered_average(stimulus, rates, np.int64(5))
    assert reads == [104, 104, 104, 100]


def test_a_field_that_is_there_is_told_from_one_that_is_not() -> None:
    stimulus, random = white(4000), np.random.default_rng(3)
    driven = responses(stimulus, np.random.default_rng(1).normal(size=(1, 3, 4, 4)))
    noise = random.poisson(3, (driven.sizes["time"], 60))
    cells = [*driven.cell.values, *(f"noise {i}" for i in range(60))]
    rates = xr.DataArray(
        np.concatenate([driven.values, noise], axis=1),
        {"time": driven.time, "cell": cells},
        dims=("time", "cell"),
    )
    found = nc.spike_triggered_average(stimulus, rates, 3, shifts=39)
    assert found.p_value[0] == 1 / 40
    assert (found.p_value[1:] <= 0.05).mean() < 0.15  # 5 % of 60, and three standard errors
    plain = nc.spike_triggered_average(stimulus, rates, 3)
    np.testing.assert_array_equal(plain.sta, found.sta)
    assert "p_value" not in plain


@pytest.mark.parametrize("shifts", [-1, 1.5, 100])
def test_shifts_that_cannot_be_are_refused(shifts) -> None:
    stimulus = white(100)
    rates = responses(stimulus, np.ones((1, 3, 4, 4)))
    with pytest.raises(InputError, match="shifts"):
        nc.spike_triggered_average(stimulus, rates, 3, shifts=shifts)
