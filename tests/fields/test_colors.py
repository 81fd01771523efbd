"""Fields, maps and triggered averages of movies in colours."""

import numpy as np
import pytest
import torch
import xarray as xr
from video import AXES, colored, core_readout, video_network

import neurocodec as nc
from neurocodec.errors import InputError


def test_fields_have_a_map_of_each_colour():
    net, movie = video_network(), colored(8)
    fields = nc.receptive_fields(net, movie, progress=False)
    assert fields.irf.dims == ("time", "cell", "lag", "color", "y", "x")
    assert fields.color.values.tolist() == ["UV", "green"]
    frames = torch.tensor(movie.values[1:7]).permute(1, 0, 2, 3)[None].requires_grad_()
    core_readout()(frames)[0, -1, 2].backward()
    expected = frames.grad[0].permute(1, 0, 2, 3)
    np.testing.assert_allclose(fields.irf[1, 2], expected, rtol=1e-9, atol=1e-15)


def test_a_component_is_one_time_course_and_a_map_of_each_colour():
    net, movie = video_network(), colored(8)
    whole = nc.receptive_fields(net, movie, progress=False).irf
    parts = nc.receptive_fields(net, movie, rank=6, progress=False)
    assert parts.spatial.dims == ("time", "cell", "component", "color", "y", "x")
    found = (parts.temporal * parts.spatial).sum("component").transpose(*whole.dims)
    xr.testing.assert_allclose(found, whole, rtol=1e-6, atol=1e-12)


def test_lags_of_later_frames_are_above_zero():
    fields = nc.receptive_fields(video_network(1), colored(9), progress=False)
    np.testing.assert_allclose(fields.lag, np.arange(-6, 2) / 10)
    assert abs(fields.irf.sel(lag=0.1)).max() > 0  # the answer depends on a later frame


def test_maps_of_colours_add_up_to_contributions():
    net, movie, target = video_network(1), colored(10), nc.targets.Output(1)
    method = nc.methods.IntegratedGradients(steps=8)
    options = {"target": target, "method": method, "progress": False}
    maps = nc.contribution_maps(net, movie, layer="second", channels=[0, 2], **options)
    assert maps.contribution_map.dims[-4:] == ("lag", "color", "y", "x")
    sums = nc.contributions(net, movie, **options)["second"].contribution
    sums = sums.sel(channel=[0, 2]).transpose(*maps.contribution.dims)
    np.testing.assert_allclose(maps.contribution, sums, rtol=1e-6, atol=1e-9)
    total = maps.contribution_map.sum(("lag", "color", "y", "x"))
    assert abs(total - maps.contribution).max() < 0.05 * abs(maps.contribution).max()


def test_triggered_averages_have_a_map_of_each_colour():
    movie = colored(30)
    spikes = xr.DataArray(
        np.random.default_rng(0).poisson(1.0, (30, 2)), {"time": movie.time}, ("time", "cell")
    )
    found = nc.spike_triggered_average(movie, spikes, history=3).sta
    assert found.dims == ("cell", "lag", "color", "y", "x")
    for color in ("UV", "green"):
        alone = nc.spike_triggered_average(movie.sel(color=color), spikes, history=3).sta
        np.testing.assert_allclose(found.sel(color=color), alone, rtol=1e-4, atol=1e-6)


def test_filters_take_the_variance_of_each_colour():
    movie = colored(60) * xr.DataArray([1.0, 5.0], dims="color")
    rates = (movie[:, :, 2, 2] * [1.0, 2.0]).rename(color="cell").drop_vars("cell")
    found = nc.spike_triggered_average(movie, rates, history=2, kind="filter").sta
    for place, color in enumerate(("UV", "green")):
        alone = nc.spike_triggered_average(
            movie.sel(color=color), rates, history=2, kind="filter"
        ).sta
        np.testing.assert_allclose(found.sel(color=color), alone, rtol=1e-4, atol=1e-5)
        assert float(found[place, -1, place, 2, 2]) == pytest.approx(place + 1, rel=0.4)


def test_networks_of_windows_refuse_colours():
    net = nc.Network(torch.nn.Flatten(), layers=[], history=2)
    with pytest.raises(InputError, match="'color'") as error:
        nc.respond(net, colored())
    assert "movie.isel(color=0)" in str(error.value)
    assert "input='(sample, color, time, y, x)'" in str(error.value)
    net = nc.Network(
        core_readout(), layers=[], history=6, **{**AXES, "input": "(sample, time, y, x)"}
    )
    with pytest.raises(InputError, match="'color'"):
        nc.respond(net, colored())


def test_changes_of_fields_in_colours_are_explained_like_those_of_more_pixels():
    fields = nc.receptive_fields(video_network(), colored(30), rank=1, progress=False)
    loadings = np.random.default_rng(0).uniform(size=(25, 2))
    modes = xr.DataArray(loadings, {"time": fields.time, "mode": [0, 1]}, ("time", "mode"))
    options = {"shuffles": 3, "folds": 2}
    found = nc.field_variance(fields, modes, **options)
    wide = xr.concat([fields.spatial.isel(color=i, drop=True) for i in (0, 1)], "x")
    flat = xr.Dataset({"temporal": fields.temporal, "spatial": wide})
    xr.testing.assert_allclose(found, nc.field_variance(flat, modes, **options))
