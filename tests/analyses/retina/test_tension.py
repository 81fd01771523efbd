"""Why a cell is silent: what is planted is found, and shifted inhibition is the control."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from small_retina import small_network, small_recording
from torch import nn

import neurocodec as nc
from neurocodec.analyses.retina.tension import EARLY, SUMS, _reading, causes, cell_tension

TIMES = 200


def planted(cancels: bool) -> tuple[np.ndarray, ...]:
    """A cell that is driven in every second block of ten; inhibition comes then, or at random."""
    rng = np.random.default_rng(0)
    driven = np.repeat(rng.random(TIMES // 10) < 0.5, 10)
    minus = driven & (np.arange(TIMES) % 10 < 5) if cancels else rng.random(TIMES) < 0.25
    plus, minus = driven.astype(float), minus.astype(float)
    sums = plus - minus - 0.5
    return plus[:, None], minus[:, None], sums[:, None], (sums < 0)[:, None]


def test_silences_have_the_causes_that_were_planted():
    plus, minus, sums, silent = planted(cancels=True)
    found, chance, p_value = causes(plus, minus, sums, silent)
    assert (found.sum(0) == silent).all()
    assert (found[2] == ((plus > 0) & (minus > 0))).all()
    assert (found[0] == (plus == 0)).all()
    assert found[2].sum() > 1.5 * chance[2, 0]
    assert p_value[0] <= 0.05


def test_inhibition_at_random_times_cancels_as_often_as_shifted():
    found, chance, p_value = causes(*planted(cancels=False))
    assert abs(found[2].sum() - chance[2, 0]) < 0.3 * found[2].sum()
    assert p_value[0] > 0.05


def test_of_a_cell_that_never_fires_nothing_is_said():
    plus, minus, sums, silent = planted(cancels=True)
    found, chance, p_value = causes(plus, minus, sums, np.ones_like(silent))
    assert not found.any()
    assert np.isnan(chance).all()
    assert np.isnan(p_value).all()


def test_parts_are_those_of_the_network_before_its_nonlinearity():
    net, movie = small_network(), small_recording(80).stimulus
    rates = nc.respond(net, movie, progress=False)
    call = {"baseline": "zeros", "progress": False}
    found, untense = cell_tension(net, movie, rates, rates.sum("cell"), **call)
    assert untense == ""
    module, reading = net.module, _reading(net)
    assert reading.layers[EARLY].module == "layer1.rectification"
    assert reading.layers[SUMS].module == "readout.nonlinearity"
    place = int(np.flatnonzero(rates.time == found.time[5])[0])
    window = torch.from_numpy(movie.values[place : place + net.history])[None]
    hidden = module.layer1(window).detach().requires_grad_()
    sums = module.readout.normalisation(
        module.readout.linear(module.readout.flatten(module.layer2(hidden)))
    )
    grey = module.layer1(torch.zeros_like(window)).detach()
    for cell in range(4):
        (slope,) = torch.autograd.grad(sums[0, cell], hidden, retain_graph=True)
        parts = (slope * (hidden - grey)).detach()
        one = found.isel(time=5, cell=cell)
        assert float(one.excitation) == pytest.approx(float(parts.clamp(min=0).sum()), rel=1e-4)
        assert float(one.inhibition) == pytest.approx(float(-parts.clamp(max=0).sum()), rel=1e-4)
        assert float(one.target) == pytest.approx(sums[0, cell].item(), rel=1e-4)
        assert float(one.firing_rate) == pytest.approx(float(rates[place, cell]))


def test_a_network_without_a_nonlinearity_of_its_cells_is_left_out():
    net, movie = small_network(), small_recording(60).stimulus
    rates = nc.respond(net, movie, progress=False)
    plain = nn.Sequential(nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(98, 4))
    net = nc.Network(plain, {"layer1": "0"}, history=4, outputs=net.outputs, output_dim="cell")
    found, untense = cell_tension(net, movie, rates, rates.sum("cell"), progress=False)
    assert found is None
    assert "nonlinearity" in untense


def test_cells_in_another_order_are_left_out():
    net, movie = small_network(), small_recording(60).stimulus
    rates = nc.respond(net, movie, progress=False)
    turned = rates.copy(data=rates.values[:, [1, 2, 3, 0]])
    found, untense = cell_tension(net, movie, turned, rates.sum("cell"), progress=False)
    assert found is None
    assert "do not follow" in untense


def test_chosen_times_are_those_of_the_whole_movie():
    net, movie = small_network(), small_recording(30).stimulus
    net = replace(net, layers=_reading(net).layers)
    features = nc.targets.Features(SUMS, channels=[0, 2])
    call = {"target": features, "method": nc.methods.ActGrad(), "progress": False}
    whole = nc.tension(net, movie, EARLY, **call)
    some = nc.tension(net, movie, EARLY, times=whole.time.values[[2, 7, 8]], **call)
    xr.testing.assert_allclose(some, whole.isel(time=[2, 7, 8]), rtol=1e-4)
