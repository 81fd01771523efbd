"""Nulls for interneurons: a planted unit exceeds them, a pixel and noise do not."""

from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats
from small_retina import HISTORY, small_network, small_recording
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.interneurons.controls import permuted_networks

FRAMES = 900
OPTIONS = {"block": 0.8, "chance": 20, "permutations": 4, "progress": False}


def recorded(traces, frames=FRAMES):
    """A recording of traces (time, interneuron) while the model responds."""
    data = small_recording(frames)
    padded = np.concatenate([np.zeros((HISTORY - 1, traces.shape[1])), traces])
    names = np.array([f"bipolar {i}" for i in range(traces.shape[1])])
    coords = {"time": data.time, "interneuron": names}
    return data[["stimulus"]].assign(
        membrane_potential=xr.DataArray(padded, coords, ("time", "interneuron"))
    )


def windows(frames=FRAMES):
    movie = small_recording(frames).stimulus.values
    return np.stack([movie[i : i + HISTORY] for i in range(frames - HISTORY + 1)])


@cache
def planted_traces():
    """A rectified unit of the second layer, a linear pixel, noise."""
    module = small_network().module
    with torch.no_grad():
        first = module.layer1.convolution(torch.tensor(windows()))
        second = module.layer2(module.layer1[1:](first)).numpy()
    share = (second > 0).mean(axis=0)
    place = np.unravel_index(np.abs(share - 0.5).argmin(), share.shape)
    steps = np.random.default_rng(3).normal(size=FRAMES)
    noise = np.convolve(steps, np.ones(8), "same")[HISTORY - 1 :]
    pixel = windows()[:, :, 4, 4] @ np.array([0.0, 0.0, -1.0, 1.0])
    return np.stack([second[:, *place], pixel, noise], axis=1)


@cache
def planted():
    """What three traces reach, and a mode that is one of them."""
    recording = recorded(planted_traces())
    noise = planted_traces()[:, 2:]
    modes = {"layer1": xr.DataArray(noise, {"time": recording.time[3:]}, ("time", "mode"))}
    return nc.compare_interneurons(small_network(), recording, modes=modes, **OPTIONS)


def test_a_unit_of_the_model_exceeds_every_null():
    found = planted()
    assert found.control.values.tolist() == ["shift", "permuted", "linear"]
    assert found.correlation[0] > 0.999
    assert found.exceeds_all.values.tolist() == [True, False, False]
    assert int(found.n_exceed_all) == 1
    assert not found.exceeds.sel(control="shift").values[2]  # noise
    assert found.exceeds.sel(control="shift").values[1]  # whatever responds does that


def test_a_pixel_exceeds_no_linear_filter():
    linear = planted().sel(interneuron="bipolar 1", control="linear")
    assert linear.control_correlation > 0.9
    assert not linear.exceeds


def test_the_permuted_null_is_the_same_search_in_permuted_networks():
    found, net = planted(), small_network()
    for i, other in enumerate(permuted_networks(net, 2, seed=0)):
        recording = recorded(planted_traces())
        alone = nc.compare_interneurons(
            other, recording, **{**OPTIONS, "controls": (), "chance": 0}
        )
        np.testing.assert_allclose(alone.correlation, found.permuted_correlation[i], atol=1e-5)
        np.testing.assert_allclose(
            alone["layer1"].correlation, found["layer1"].permuted_correlation[i], atol=1e-5
        )


def test_intervals_and_what_exceeds_them_are_those_of_the_nulls():
    found = planted()
    z = np.arctanh(found.permuted_correlation.values)
    reach = stats.t.ppf(0.95, 3) * z.std(axis=0, ddof=1) * np.sqrt(1 + 1 / 4)
    high = found.control_interval.sel(control="permuted", bound="high")
    np.testing.assert_allclose(high, np.tanh(z.mean(axis=0) + reach), atol=1e-6)
    high = found.control_interval.sel(control="shift", bound="high")
    np.testing.assert_allclose(high, found.chance_correlation)
    above = found.correlation > found.control_interval.sel(bound="high")
    assert (above.transpose(*found.exceeds.dims) == found.exceeds).all()
    assert (found.exceeds.all("control") == found.exceeds_all).all()


def test_modes_have_the_chance_level_of_shifts_alone():
    node = planted()["modes/layer1"].to_dataset(inherit=False)
    assert "p_value" in node
    assert "exceeds_all" not in node


def test_a_permuted_network_has_the_same_weights_in_other_places():
    net = small_network()
    before = {k: x.clone() for k, x in net.module.state_dict().items()}
    one, other = permuted_networks(net, 2, seed=0)
    weight = net.module.layer1.convolution.weight
    moved = [n.module.layer1.convolution.weight for n in (one, other)]
    assert all((m.flatten().sort().values == weight.flatten().sort().values).all() for m in moved)
    assert (moved[0] != moved[1]).any()
    assert all((before[k] == x).all() for k, x in net.module.state_dict().items())
    assert (permuted_networks(net, 1, seed=0)[0].module.layer1.convolution.weight == moved[0]).all()


def test_permuted_networks_rarely_exceed_every_null():
    count = 0
    recording = recorded(planted_traces())
    for other in permuted_networks(small_network(), 3, seed=9):
        quick = {**OPTIONS, "pooling": (0,)}
        count += int(nc.compare_interneurons(other, recording, **quick).n_exceed_all)
    assert count <= 1


def test_nulls_do_not_depend_on_the_passes(monkeypatch):
    recording = recorded(planted_traces()).isel(time=slice(400))
    quick = {**OPTIONS, "chance": 19, "permutations": 2, "pooling": (0, 1)}
    runs = []
    for memory in (2**29, 1):
        monkeypatch.setattr("neurocodec.interneurons.search.MEMORY", memory)
        runs.append(nc.compare_interneurons(small_network(), recording, ["layer1"], **quick))
    for name in ("correlation", "control_correlation", "permuted_correlation", "null_correlation"):
        np.testing.assert_allclose(runs[0][name], runs[1][name], atol=1e-4)


def test_what_cannot_be_controlled_is_refused_before_any_pass():
    recording = recorded(planted_traces())
    with pytest.raises(UnknownNameError, match="'shfit'"):
        nc.compare_interneurons(small_network(), recording, controls=["shfit"])
    with pytest.raises(InputError, match="permutations"):
        nc.compare_interneurons(small_network(), recording, permutations=1)
    net = small_network()
    with torch.no_grad():
        for weight in net.module.parameters():
            weight.fill_(0.1)
    with pytest.raises(InputError, match=r'controls=\("shift", "linear"\)'):
        nc.compare_interneurons(net, recording, progress=False)
    plain = nc.Network(nn.Sequential(nn.Flatten(2), nn.Flatten()), {"first": "0"}, history=HISTORY)
    with pytest.raises(InputError, match="permuted"):
        nc.compare_interneurons(plain, recording, progress=False)


def test_controls_come_one_by_one_or_not_at_all():
    recording = recorded(planted_traces())
    quick = {**OPTIONS, "chance": 0}
    found = nc.compare_interneurons(small_network(), recording, controls="linear", **quick)
    assert found.control.values.tolist() == ["linear"]
    found = nc.compare_interneurons(small_network(), recording, controls=(), **quick)
    assert not {"exceeds_all", "n_exceed_all", "control"} & {*found.variables}
