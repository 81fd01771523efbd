"""Fields followed over time: telling moments by hand, and a small retina with planted modes."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from small_retina import small_analysis, small_network, small_recording

import neurocodec as nc
from neurocodec.analyses.retina import dynamics
from neurocodec.analyses.retina.dynamics import RANK, follow_fields
from neurocodec.errors import InputError

QUIET = {"progress": False}


def rates_of(values, step=0.1, start=0.0) -> xr.DataArray:
    values = np.asarray(values, float)
    return xr.DataArray(values, {"time": start + step * np.arange(len(values))}, ("time", "cell"))


def planted(frames: int, seed: int = 0):
    """Network, movie, rates, and loadings of two modes and a near-copy of the first."""
    net, movie = small_network(), small_recording(frames).stimulus
    rates = nc.respond(net, movie)
    on = (np.random.default_rng(seed).random((len(rates), 2)) < 0.3).astype(float)
    loadings = xr.DataArray(
        on[:, [0, 1, 0]], {"time": rates.time, "mode": [3, 5, 8]}, ("time", "mode")
    )
    dictionary = xr.DataArray(
        [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], {"mode": [3, 5, 8]}, ("mode", "channel")
    )
    modes = SimpleNamespace(loadings=loadings, dictionary=dictionary)
    return net, movie, rates, {"layer1": modes}


def test_the_stretch_is_where_most_is_fired() -> None:
    rates = rates_of([[0, 0], [1, 5], [4, 3], [0, 7], [2, 0], [0, 0]])
    assert dynamics.stretch(rates, 0.2) == slice(pytest.approx(0.2), pytest.approx(0.3))
    assert dynamics.stretch(rates.T, 0.2) == dynamics.stretch(rates, 0.2)
    assert dynamics.stretch(rates, 99) == slice(0.0, 0.5)
    assert rates.sel(time=dynamics.stretch(rates, 0.3)).sizes["time"] == 3


def test_a_second_of_firing_is_found_to_the_frame() -> None:
    rates = rates_of(np.r_[np.zeros(100), np.ones(100)][:, None], step=0.01)
    assert dynamics.stretch(rates, 1.0) == slice(1.0, 1.99)


def test_one_time_is_a_stretch() -> None:
    assert dynamics.stretch(rates_of([[1.0]], start=2.0), 5) == slice(2.0, 2.0)


def test_a_rate_that_is_not_finite_is_no_stretch() -> None:
    with pytest.raises(InputError, match="rates with 1 NaN"):
        dynamics.stretch(rates_of([[0.0], [np.nan], [9.0]]), 0.1)


def test_lively_times_are_peaks_apart_from_each_other_for_each_cell() -> None:
    rates = rates_of([[0, 1], [9, 0], [0, 0], [8, 0], [0, 2], [0, 0]])
    np.testing.assert_allclose(dynamics.lively_times(rates, 2), [0.1, 0.4])
    assert np.diff(dynamics.lively_times(rates, 9, apart=0.25)).min() >= 0.25
    assert set(dynamics.lively_times(rates)) <= set(rates.time.values)


def test_the_highest_peaks_are_taken_first_and_told_in_order() -> None:
    rate = [0.0, 9.0, 0.0, 0.0, 3.0, 0.0, 5.0, 0.0]
    rates = xr.DataArray([rate], {"time": np.arange(8) / 10}, ("cell", "time"))
    assert dynamics.lively_times(rates, 2).tolist() == [0.1, 0.6]


def test_fields_are_those_at_lively_times_and_at_the_examples() -> None:
    net, movie, rates, modes = planted(120)
    found = follow_fields(net, movie, rates, modes, moments=10, **QUIET)
    times = found.fields.time.values
    assert set(dynamics.lively_times(rates, 10)) <= set(times)
    for examples in (found.alone["layer1"], found.together["layer1"]):
        assert examples.sizes["example"] > 0
        assert set(examples.time.values) <= set(times)
    expected = nc.receptive_fields(net, movie, times=times[:2], rank=RANK, **QUIET)
    np.testing.assert_allclose(found.fields.spatial[:2], expected.spatial, atol=1e-6)
    xr.testing.assert_equal(found.shapes.radius, nc.describe_fields(found.fields).radius)


def test_near_copies_are_one_mode_and_examples_of_one_mode_have_one() -> None:
    net, movie, rates, modes = planted(120)
    found = follow_fields(net, movie, rates, modes, moments=4, **QUIET)
    assert found.loadings["layer1"].members.values.tolist() == ["3 8", "5"]
    alone = found.alone["layer1"]
    assert (alone.active.sum("mode") == 1).all()
    assert (alone.cell.to_series().value_counts() == 1).all()
    for i, time in enumerate(alone.time.values):
        active = found.loadings["layer1"].sel(time=time) > 0
        assert active.values.tolist() == alone.active[i].values.tolist()
        rate = rates.sel(time=time, cell=alone.cell.values[i])
        assert float(alone.firing_rate[i]) == float(rate) > 1


@pytest.mark.slow
def test_the_tree_of_the_analysis_survives_a_file(tmp_path) -> None:
    tree = small_analysis().dynamics.tree()
    assert set(tree.children) == {"layer1", "layer2"}
    assert set(tree["layer1"].children) >= {"loadings", "combinations", "alone", "variance"}
    nc.save(tree, tmp_path / "dynamics.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "dynamics.nc"), tree)


def test_a_movie_too_short_for_the_variance_is_said_to_be(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        found = follow_fields(*planted(18), moments=4, **QUIET)
    assert found.variance == {}
    assert "not explained by layer1: fields at 15 times" in caplog.text
    assert found.fields.sizes["time"] > 0


def test_a_movie_without_times_is_refused() -> None:
    net, movie, rates, modes = planted(30)
    with pytest.raises(InputError, match="without times"):
        follow_fields(net, movie.drop_vars("time"), rates.drop_vars("time"), modes, **QUIET)
