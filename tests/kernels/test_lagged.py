"""Sums for correlations at lags and shifts, the choice of the best unit, and its chance level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocodec.errors import InputError
from neurocodec.kernels.lagged import (
    Choice,
    HalfSums,
    LaggedSums,
    circular_shifts,
    exceedance,
    interleaved_halves,
)


def filled(traces, halves, units, *, lags=(0,), shifts=(0,), block=7) -> LaggedSums:
    """Sums of units that come block by block."""
    sums = LaggedSums(traces, halves, np.array(lags), np.array(shifts), units.shape[1])
    for start in range(0, len(units), block):
        sums.add(start, units[start : start + block])
    return sums


def noise(seed=0, times=120, traces=3, units=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(times, traces)), rng.normal(3.0, 2.0, size=(times, units))


def test_halves_are_blocks_in_turn_with_gaps():
    half = interleaved_halves(20, block=5, gap=2, margin=1)
    assert half.tolist() == [
        -1,
        0,
        0,
        0,
        0,
        *[-1, -1, 1, 1, 1],
        *[-1, -1, 0, 0, 0],
        -1,
        -1,
        1,
        1,
        -1,
    ]


@given(st.integers(1, 30), st.integers(0, 10), st.integers(90, 300))
def test_halves_are_never_closer_than_the_gap(extra, gap, size):
    half = interleaved_halves(size, gap + extra, gap)
    zeros, ones = (np.flatnonzero(half == h) for h in (0, 1))
    assert np.abs(zeros[:, None] - ones).min() > gap


@pytest.mark.parametrize("sizes", [(19, 10, 2, 0), (100, 10, 10, 0), (10, 5, 1, 5)])
def test_too_little_time_for_two_blocks_is_refused(sizes):
    with pytest.raises(InputError, match=r"at least two blocks[\s\S]*block="):
        interleaved_halves(*sizes)


def test_shifts_are_different_and_far_from_no_shift():
    shifts = circular_shifts(500, 100, margin=40, seed=3)
    assert len({*shifts}) == 100
    assert shifts.min() >= 40
    assert shifts.max() < 460
    assert np.ptp(np.diff(shifts)) <= 1  # evenly spread
    with pytest.raises(InputError, match=r"101 circular shifts[\s\S]*chance=100"):
        circular_shifts(180, 101, margin=40, seed=0)


@pytest.mark.parametrize("lag", [-3, 0, 4])
@pytest.mark.parametrize("shift", [0, 31])
def test_correlations_are_those_of_numpy(lag, shift):
    traces, units = noise()
    halves = interleaved_halves(len(units), 20, 5, margin=4)
    sums = filled(traces, halves, units, lags=(1, lag), shifts=(17, shift))
    moved = np.roll(traces, -(lag + shift), axis=0)  # the unit at t goes with the trace at t + lag
    for half in (0, 1):
        at = halves == half
        expected = np.corrcoef(moved[at].T, units[at].T)[:3, 3:]
        np.testing.assert_allclose(sums.correlation(half)[1, :, 1], expected, atol=2e-6)
    single = filled(traces, halves, units, lags=(lag,), shifts=(shift, 3))
    expected = np.corrcoef(moved[halves >= 0].T, units[halves >= 0].T)[:3, 3:]
    np.testing.assert_allclose(single.pooled()[:, 0], expected, atol=2e-6)


@given(st.integers(1, 50))
def test_blocks_of_any_size_give_the_same(block):
    traces, units = noise()
    halves = interleaved_halves(len(units), 20, 5)
    a = filled(traces, halves, units, lags=(-1, 2), block=len(units)).correlation(1)
    b = filled(traces, halves, units, lags=(-1, 2), block=block).correlation(1)
    np.testing.assert_allclose(a, b, atol=2e-6)


def test_large_means_cost_no_digits():
    traces, units = noise()
    halves = interleaved_halves(len(units), 20, 5)
    a = filled(traces, halves, units).correlation(0)
    b = filled(traces + 1e6, halves, units + 1e3).correlation(0)
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_constant_units_correlate_with_nothing():
    traces, units = noise()
    units[:, 2] = 0.1
    sums = filled(traces, interleaved_halves(len(units), 20, 5), units)
    assert sums.varies.tolist() == [True, True, False, True, True]
    assert not sums.correlation(0)[..., 2].any()


def test_choice_is_made_on_one_half_and_judged_on_the_other():
    traces, units = noise(units=40)
    halves = interleaved_halves(len(units), 20, 5)
    sums = filled(traces, halves, units, lags=(-1, 0, 1), shifts=(0, 50))
    found = Choice.of(sums)
    for half in (0, 1):
        here, there = sums.correlation(half), sums.correlation(1 - half)
        np.testing.assert_allclose(found.selected[half], here.max(axis=(2, 3)))
        for shift, trace in np.ndindex(2, 3):
            lag, unit = found.lag[half, shift, trace], found.unit[half, shift, trace]
            assert here[shift, trace, lag, unit] == here[shift, trace].max()
            held_out = found.held_out[half, shift, trace]
            assert held_out == pytest.approx(there[shift, trace, lag, unit], abs=1e-6)


def test_a_planted_unit_and_its_lag_are_found():
    traces, units = noise(times=400, units=300)
    units[:, 123] = np.roll(traces[:, 1], -3) + 0.3 * units[:, 123]  # the trace comes 3 later
    halves = interleaved_halves(len(units), 50, 5, margin=4)
    found = Choice.of(filled(traces, halves, units, lags=range(-4, 5)))
    assert (found.unit[:, 0, 1] == 123).all()
    assert (found.lag[:, 0, 1] - 4 == 3).all()
    assert (found.held_out[:, 0, 1] > 0.8).all()
    assert (np.abs(found.held_out[:, 0, [0, 2]]) < 0.3).all()


def test_the_largest_of_many_is_large_by_chance_but_not_held_out():
    scores = []
    for seed in range(20):
        traces, units = noise(seed, times=150, units=2000)
        found = Choice.of(filled(traces, interleaved_halves(150, 20, 3), units, block=150))
        scores.append((found.selected.mean(), found.held_out.mean()))
    selected, held_out = np.mean(scores, axis=0)
    assert selected > 0.35
    assert abs(held_out) < 0.05


def test_opposite_signs_count_where_they_are_asked_for():
    traces, units = noise(times=400)
    units[:, 2] = -traces[:, 0]
    sums = filled(traces, interleaved_halves(400, 50, 5), units)
    assert (Choice.of(sums, signed=False).held_out[:, 0, 0] > 0.99).all()
    assert (Choice.of(sums, signed=False).unit[:, 0, 0] == 2).all()
    assert (Choice.of(sums).unit[:, 0, 0] != 2).all()


def test_better_and_joined_keep_each_trace_apart():
    def choice(selected):
        whole = np.array(selected)[None, None] * np.ones((2, 1, 1))
        return Choice(whole, whole / 2, *(np.full(whole.shape, selected[0]) for _ in range(3)))

    both = choice([1, 5]).better(choice([2, 4]))
    assert both.selected[0, 0].tolist() == [2, 5]
    assert both.held_out[0, 0].tolist() == [1, 2.5]
    assert both.unit[0, 0].tolist() == [2, 1]
    assert both.joined(both).selected.shape == (2, 2, 2)


def test_p_values_of_chance_are_uniform():
    rng = np.random.default_rng(0)
    p = exceedance(rng.normal(size=5000), rng.normal(size=(99, 5000)))
    assert p.min() == 0.01
    np.testing.assert_allclose(np.quantile(p, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


def test_sums_of_combined_units_need_no_second_pass():
    traces, units = noise(units=6)
    halves = interleaved_halves(len(units), 20, 5, margin=2)
    weights = np.random.default_rng(5).random((6, 4)).astype(np.float32)
    options = {"lags": (-1, 0, 2), "shifts": (0, 40)}
    single = LaggedSums(traces, halves, np.array([-1, 0, 2]), np.array([0, 40]), 6)
    made = HalfSums(4)
    for start in range(0, len(units), 7):
        rows = single.add(start, units[start : start + 7]) @ weights
        for half in (0, 1):
            made.add(half, rows[halves[start : start + 7] == half])
    found = single.combined(lambda rows: rows @ weights, made)
    direct = filled(traces, halves, units @ weights, **options)
    for half in (0, 1):
        np.testing.assert_allclose(found.correlation(half), direct.correlation(half), atol=2e-6)
    np.testing.assert_allclose(found.pooled(), direct.pooled(), atol=2e-6)
    again = LaggedSums(traces, halves, np.array([-1, 0, 2]), np.array([0, 40]), single.units)
    again.add(0, units)  # sums of units that are known are not added up twice
    np.testing.assert_allclose(again.correlation(1), single.correlation(1), atol=2e-6)


def test_rounding_noise_beside_large_units_correlates_with_nothing():
    traces, units = noise()
    units[:, 1] = 1e-7 * traces[:, 0]  # as a Fourier transform leaves where there is nothing
    sums = filled(traces, interleaved_halves(len(units), 20, 5), units)
    assert sums.varies.tolist() == [True, False, True, True, True]
    units[:, 1] *= 1e3
    sums = filled(traces, interleaved_halves(len(units), 20, 5), units)
    assert sums.correlation(0)[0, 0, 0, 1] == pytest.approx(1, abs=1e-4)


TRACE, HALVES = np.array([[0.0], [1.0], [3.0], [0.0], [2.0], [2.5]]), np.repeat([0, 1], 3)


def sums_of(units) -> tuple[LaggedSums, np.ndarray]:
    """Sums at no lag and no shift, and what `add` returns."""
    sums = LaggedSums(TRACE, HALVES, np.array([0]), np.array([0]), units.shape[1])
    return sums, sums.add(0, units)


def test_the_gap_comes_before_every_block_but_the_first():
    assert interleaved_halves(10, block=4, gap=1).tolist() == [0, 0, 0, 0, -1, 1, 1, 1, -1, 0]


def test_four_shifts_of_a_hundred_times():
    assert circular_shifts(100, 4, margin=10, seed=0).tolist() == [22, 42, 62, 82]


def test_a_unit_that_is_the_trace_scaled_correlates_by_its_sign():
    sums, _ = sums_of(np.hstack([2 * TRACE + 1, -TRACE]))
    assert sums.correlation(0).round(3).ravel().tolist() == [1.0, -1.0]


def test_the_sum_of_two_units_correlates_as_one():
    sums, rows = sums_of(np.hstack([TRACE, TRACE**2]))
    both, new = rows.sum(axis=1, keepdims=True), HalfSums(1)
    new.add(0, both[:3])
    found = sums.combined(lambda rows: rows.sum(axis=1, keepdims=True), new)
    expected = np.corrcoef(both[:3, 0], TRACE[:3, 0])[0, 1]
    assert found.correlation(0).item() == pytest.approx(expected, abs=1e-6)


def test_a_unit_of_opposite_sign_is_the_best_where_sizes_count():
    sums, _ = sums_of(np.hstack([TRACE**2, -TRACE]))
    assert Choice.of(sums, signed=False).unit.ravel().tolist() == [1, 1]


def test_p_value_counts_chance_that_is_as_good():
    assert exceedance(np.array([0.5]), np.array([[0.1], [0.5], [0.2]])).tolist() == [0.5]


def test_spread_is_the_root_of_squared_deviations():
    sums = HalfSums(2)
    sums.add(0, sums.centred(np.array([[1.0, 5.0], [-1.0, 5.0]])))
    assert sums.spread([0]).round(3).tolist() == [1.414, 0.0]
