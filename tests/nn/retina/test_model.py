"""The retina CNN against torch's own functions, layer by layer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import windows
from neurocodec.nn.retina.model import (
    LAYERS,
    GaussianNoise,
    RetinaCNN,
    RetinaConfig,
    respond_to_movie,
)
from neurocodec.nn.retina.readouts import LocalReadout

SMALL = {"history": 5, "size": (14, 15), "kernels": (5, 3), "channels": (3, 2)}


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _trained(config: RetinaConfig) -> RetinaCNN:
    """A module whose batch norms are not the identity."""
    module = RetinaCNN(config)
    generator = torch.Generator().manual_seed(9)
    for name, value in module.state_dict().items():
        if "running_mean" in name:
            value.normal_(0, 0.1, generator=generator)
        elif "running_var" in name or name.endswith("normalisation.weight"):
            value.uniform_(0.5, 2, generator=generator)
    return module.eval()


CONFIGS = [
    RetinaConfig(cells=4, **SMALL),
    RetinaConfig(cells=4, batch_norm="channel", **SMALL),
    RetinaConfig(cells=4, batch_norm="none", nonlinearity="exponential", **SMALL),
    RetinaConfig(
        cells=2, readout="convolutional", readout_kernel=3, centers=((6, 7), (0, 14)), **SMALL
    ),
]


def test_the_default_is_the_ganglion_cell_cnn():
    module = RetinaCNN(RetinaConfig(cells=5))
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert shapes["layer1.convolution.weight"] == (8, 40, 15, 15)
    assert shapes["layer1.normalisation.weight"] == (8 * 36 * 36,)
    assert shapes["layer2.convolution.weight"] == (8, 8, 11, 11)
    assert shapes["layer2.normalisation.weight"] == (8 * 26 * 26,)
    assert shapes["readout.linear.weight"] == (5, 8 * 26 * 26)
    assert module.layer1.normalisation.eps == 1e-3


def test_forward_is_the_sum_of_its_parts():
    module = _trained(CONFIGS[0])
    state, x = module.state_dict(), _random(6, 5, 14, 15)

    def norm(name: str, value: torch.Tensor) -> torch.Tensor:
        parts = [state[f"{name}.normalisation.{k}"] for k in ("running_mean", "running_var")]
        scale = [state[f"{name}.normalisation.{k}"] for k in ("weight", "bias")]
        flat = (value.flatten(1) - parts[0]) / (parts[1] + 1e-3).sqrt()
        return (flat * scale[0] + scale[1]).reshape(value.shape)

    for name in ("layer1", "layer2"):
        weight, bias = (state[f"{name}.convolution.{k}"] for k in ("weight", "bias"))
        x = norm(name, F.conv2d(x, weight, bias)).clamp_min(0)
    weight, bias = (state[f"readout.linear.{k}"] for k in ("weight", "bias"))
    expected = torch.log1p(norm("readout", x.flatten(1) @ weight.T + bias).exp())
    torch.testing.assert_close(module(_random(6, 5, 14, 15)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_movie_gives_the_rates_of_its_windows(config):
    module, frames = _trained(config), _random(30, 14, 15)
    expected = module(windows(frames, 5))
    assert expected.shape == (26, config.cells)
    torch.testing.assert_close(respond_to_movie(module, frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_hidden_layers_are_the_convolutions(config):
    module = _trained(config)
    parts = dict(module.named_modules())
    assert all(isinstance(parts[name], torch.nn.Conv2d) for name in LAYERS.values())
    assert list(LAYERS) == ["layer1", "layer2"]


def test_in_evaluation_samples_do_not_meet_and_noise_is_off():
    module, x = _trained(CONFIGS[0]), _random(6, 5, 14, 15)
    torch.testing.assert_close(module(x)[2:3], module(x[2:3]))
    assert torch.equal(module(x), module(x))


def test_noise_has_the_stated_size_and_its_own_generator():
    noise, zeros = GaussianNoise(0.3), torch.zeros(100_000)
    noise.generator = torch.Generator().manual_seed(1)
    before = torch.get_rng_state()
    assert noise(zeros).std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(noise.eval()(zeros), zeros)


@settings(max_examples=25, deadline=None)
@given(
    corners=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=4),
    kernel=st.integers(1, 3),
)
def test_local_readout_is_one_unit_per_cell_of_a_convolution(corners, kernel):
    readout, x = LocalReadout(2, kernel, corners), _random(3, 2, 7, 8)
    maps = F.conv2d(x, readout.weight, readout.bias)
    expected = torch.stack([maps[:, i, r, c] for i, (r, c) in enumerate(corners)], dim=1)
    torch.testing.assert_close(readout(x), expected, rtol=1e-4, atol=1e-5)


def test_convolutional_readout_looks_at_the_centre_of_each_cell():
    centers = ((24, 24), (20, 30), (0, 49))
    config = RetinaConfig(cells=3, history=2, readout="convolutional", centers=centers)
    module = RetinaCNN(config).eval()
    with torch.no_grad():
        for p in module.parameters():
            p.fill_(0.01)
    for cell, (row, column) in enumerate(centers):
        x = torch.zeros(1, 2, 50, 50, requires_grad=True)
        (seen,) = torch.autograd.grad(module(x)[0, cell], x)
        rows, columns = seen[0, 0].sum(1).nonzero().ravel(), seen[0, 0].sum(0).nonzero().ravel()
        assert len(rows) == len(columns) == 35
        assert rows.float().mean() == min(max(row, 17), 32)
        assert columns.float().mean() == min(max(column, 17), 32)


def test_a_seed_is_a_network_and_torchs_random_state_is_left_alone():
    before = torch.get_rng_state()
    same, again, other = (RetinaCNN(CONFIGS[0], seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(same[k], again[k]) for k in same)
    assert not torch.equal(same["layer1.convolution.weight"], other["layer1.convolution.weight"])


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_config_survives_json(config):
    assert RetinaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_frames_too_small_for_the_kernels_are_refused():
    with pytest.raises(InputError, match="smaller kernels"):
        RetinaCNN(RetinaConfig(cells=1, size=(20, 50)))


def test_a_convolutional_readout_needs_the_centre_of_every_cell():
    with pytest.raises(InputError, match="1 centres for 2 cells"):
        RetinaCNN(RetinaConfig(cells=2, readout="convolutional", centers=((20, 20),)))


def test_features_are_smaller_than_the_frame_by_both_kernels():
    assert RetinaConfig(cells=5).feature_size == (26, 26)


def test_noise_does_nothing_in_evaluation():
    assert GaussianNoise(0.1).eval()(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_every_window_gives_a_rate_for_each_cell():
    module = RetinaCNN(RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3)))
    assert module(torch.zeros(4, 3, 9, 9)).shape == (4, 2)


def test_a_movie_gives_a_rate_for_each_whole_window():
    config = RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3))
    assert respond_to_movie(RetinaCNN(config).eval(), torch.zeros(8, 9, 9)).shape == (6, 2)


def test_numpy_numbers_and_lists_are_taken_as_pythons_own():
    numbers = np.array([5, 3])
    config = RetinaConfig(cells=np.int64(2), size=[14, 15], kernels=numbers, channels=numbers)
    assert config == RetinaConfig(cells=2, size=(14, 15), kernels=(5, 3), channels=(5, 3))
    assert json.loads(json.dumps(config.to_dict()))["kernels"] == [5, 3]
    RetinaCNN(config)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cells": 0}, "cells=0"),
        ({"cells": True}, "cells=True"),
        ({"channels": (8, 0)}, "channels=0"),
        ({"kernels": (15,)}, "two whole numbers"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"readout_width": 0}, "readout_width=0"),
        ({"readout": "gausian"}, "'gaussian'"),
        ({"batch_norm": "units"}, "'unit'"),
        ({"nonlinearity": "exp"}, "nonlinearity 'exp'"),
    ],
    ids=str,
)
def test_what_is_no_architecture_is_refused_by_name(setting, message):
    with pytest.raises(InputError, match=message):
        RetinaCNN(RetinaConfig(**{"cells": 1, **setting}))
