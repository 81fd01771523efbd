"""Full-field light (time,) is a movie of one pixel, wherever a movie is taken."""

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import nn

import neurocodec as nc
from neurocodec.plotting.style import new_axes

HISTORY, FRAMES = 4, 60
QUIET = {"progress": False}
WEIGHTS = np.array([[0.5, -1.0, 2.0, 1.0], [0.0, 1.0, 0.0, -1.0]], "float32")


@pytest.fixture
def light() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=FRAMES).astype("float32")
    return xr.DataArray(values, {"time": np.arange(FRAMES) / 50}, dims="time")


@pytest.fixture
def pixel(light) -> xr.DataArray:
    return light.expand_dims({"y": [0], "x": [0]}, axis=(1, 2))


@pytest.fixture
def net() -> nc.Network:
    layer = nn.Conv2d(HISTORY, 2, 1, bias=False)
    layer.weight.data = torch.from_numpy(WEIGHTS[:, :, None, None])
    module = nn.Sequential(layer, nn.ReLU(), nn.Flatten()).eval()
    return nc.Network(module, {"layer1": "0"}, history=HISTORY, outputs=["a", "b"])


def test_responses_are_the_filtered_light(net, light):
    windows = np.lib.stride_tricks.sliding_window_view(light.values, HISTORY)
    found = nc.respond(net, light, **QUIET)
    np.testing.assert_allclose(found, np.maximum(windows @ WEIGHTS.T, 0), atol=1e-6)


def test_fields_are_time_courses(net, light, pixel):
    found = nc.receptive_fields(net, light, **QUIET).irf
    assert found.shape == (FRAMES - HISTORY + 1, 2, HISTORY, 1, 1)
    active = nc.respond(net, light, **QUIET).values > 0
    expected = np.where(active[..., None], WEIGHTS, 0)
    np.testing.assert_allclose(found[..., 0, 0], expected, atol=1e-6)
    xr.testing.assert_identical(found, nc.receptive_fields(net, pixel, **QUIET).irf)


def test_contributions_maps_and_averages_equal_those_of_a_pixel(net, light, pixel):
    rates = nc.respond(net, light, **QUIET)
    target = nc.targets.Sum()
    calls = (
        lambda movie: nc.contributions(net, movie, target=target, **QUIET)["layer1"].to_dataset(),
        lambda movie: nc.contribution_maps(
            net, movie, "layer1", channels=[0], target=target, times=[0.5], **QUIET
        ),
        lambda movie: nc.spike_triggered_average(movie, rates, history=HISTORY, **QUIET),
    )
    for call in calls:
        xr.testing.assert_identical(call(light), call(pixel))


def test_light_is_fitted(light):
    rate = np.maximum(np.convolve(light, [0.0, 4.0, 1.0])[:FRAMES], 0)
    part = xr.Dataset({"stimulus": light, "firing_rate": (("time", "cell"), rate[:, None])})
    part = part.assign_coords(cell=["a"])
    fit = nc.fit_retina(part, channels=(1, 1), history=HISTORY, epochs=1, **QUIET)
    assert fit.network.input_shape == (1, 1)
    assert fit.scores.correlation_ln > 0.9
    assert nc.respond(fit.network, light, **QUIET).sizes["time"] == FRAMES - HISTORY + 1


def test_figures_have_time_courses_and_no_maps(net, light):
    fields = nc.receptive_fields(net, light, times=[0.5, 0.7], **QUIET)
    one = nc.plot.field(fields.irf.isel(cell=0, time=0))
    assert isinstance(one, Figure)
    assert len(one.axes) == 1
    grid = nc.plot.fields(fields)
    assert [len(ax.images) for ax in grid.axes] == [0] * 8
    assert sum(len(ax.lines) > 0 for ax in grid.axes) == 4
    shown = nc.plot.stimulus(light, ax=new_axes(None, 2.0))
    np.testing.assert_array_equal(shown.lines[0].get_ydata(), light)
    assert not shown.images
