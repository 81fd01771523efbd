"""Factorised and Gaussian readouts against dense ones built by hand; frames in raw units."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neurocodec.errors import InputError
from neurocodec.nn.fast.movie import windows
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig, respond_to_movie
from neurocodec.nn.retina.readouts import (
    Exponential,
    FactorisedReadout,
    Gain,
    GaussianReadout,
    LocalReadout,
)

SMALL = {"history": 5, "size": (12, 13), "kernels": (5, 3), "channels": (3, 2), "cells": 4}


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _dense(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    linear = torch.nn.Linear(weight[0].numel(), len(weight))
    with torch.no_grad():
        linear.weight.copy_(weight.flatten(1))
        linear.bias.copy_(bias)
    return linear


def test_a_factorised_readout_is_a_dense_one_of_products():
    readout, x = FactorisedReadout(3, 2, (5, 6)), _random(7, 2, 5, 6)
    with torch.no_grad():
        readout.map.copy_(_random(3, 5, 6, seed=1))
        readout.bias.copy_(_random(3, seed=2))
    by_hand = torch.stack(
        [torch.stack([readout.weight[k, c] * readout.map[k] for c in range(2)]) for k in range(3)]
    )
    torch.testing.assert_close(readout.dense_weight(), by_hand)
    expected = _dense(by_hand, readout.bias)(x.flatten(1))
    torch.testing.assert_close(readout(x), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(row=st.floats(0, 7), column=st.floats(0, 9), width=st.floats(0.4, 4))
def test_a_gaussian_readout_is_a_dense_one_with_normal_densities(row, column, width):
    readout, x = GaussianReadout([(row, column)], 2, (8, 10), width), _random(3, 2, 8, 10)
    away_y, away_x = np.arange(8) - row, np.arange(10) - column
    window = np.outer(stats.norm.pdf(away_y, scale=width), stats.norm.pdf(away_x, scale=width))
    window = torch.from_numpy(window / window.sum()).float()
    weight = readout.weight[:, :, None, None] * window
    torch.testing.assert_close(readout.dense_weight(), weight, rtol=1e-3, atol=1e-6)
    expected = _dense(weight, readout.bias)(x.flatten(1))
    torch.testing.assert_close(readout(x), expected, rtol=1e-3, atol=1e-5)


def test_a_gaussian_far_outside_still_reads_the_nearest_edge():
    window = GaussianReadout([(-500.0, 3.0)], 1, (8, 8), 1.0).window()
    assert window.isfinite().all()
    assert window[0, 0].sum().item() == pytest.approx(1)


def test_a_gaussian_readout_looks_at_the_centre_of_each_cell():
    centers = ((5.0, 5.0), (6.0, 6.0), (6.0, 7.0), (5.5, 6.5))
    config = RetinaConfig(readout="gaussian", centers=centers, readout_width=0.5, **SMALL)
    module = RetinaCNN(config).eval()
    with torch.no_grad():
        for p in (*module.layer1.parameters(), *module.layer2.parameters()):
            p.fill_(0.01)
        module.readout.linear.weight.fill_(1.0)
    for cell, (row, column) in enumerate(centers):
        x = torch.zeros(1, 5, 12, 13, requires_grad=True)
        (seen,) = torch.autograd.grad(module(x)[0, cell], x)
        share = seen[0, 0] / seen[0, 0].sum()
        assert (share.sum(1) @ torch.arange(12.0)).item() == pytest.approx(row, abs=0.02)
        assert (share.sum(0) @ torch.arange(13.0)).item() == pytest.approx(column, abs=0.02)


CONFIGS = [
    RetinaConfig(readout="factorised", batch_norm="channel", **SMALL),
    RetinaConfig(readout="gaussian", gain=(1.0, 2.0, 3.0, 4.0), **SMALL),
    RetinaConfig(readout="gaussian", stimulus_mean=127.5, stimulus_deviation=32.0, **SMALL),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_movie_gives_the_rates_of_its_windows(config):
    module, frames = RetinaCNN(config).eval(), 127.5 + 32 * _random(20, 12, 13)
    frames = frames if config.stimulus_mean else _random(20, 12, 13)
    expected = module(windows(frames, 5))
    torch.testing.assert_close(respond_to_movie(module, frames), expected, rtol=1e-4, atol=1e-5)


def test_raw_frames_are_standardised_inside():
    raw = torch.randint(0, 255, (20, 12, 13), dtype=torch.uint8)
    plain = RetinaCNN(RetinaConfig(**SMALL)).eval()
    inside = RetinaCNN(RetinaConfig(stimulus_mean=127.5, stimulus_deviation=32.0, **SMALL)).eval()
    contrast = (raw.float() - 127.5) / 32
    torch.testing.assert_close(respond_to_movie(inside, raw), respond_to_movie(plain, contrast))


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_config_survives_json(config):
    assert RetinaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_from_before_these_readouts_is_read_as_it_was():
    old = RetinaConfig(cells=2).to_dict()
    for later in ("readout_width", "stimulus_mean", "stimulus_deviation"):
        del old[later]
    assert RetinaConfig.from_dict(old) == RetinaConfig(cells=2)
    assert "standardisation" not in dict(RetinaCNN(RetinaConfig(cells=2)).named_children())


def test_gains_are_part_of_the_architecture_and_not_of_the_weights():
    assert not Gain((1.0, 2.0)).state_dict()


def test_centres_must_be_those_of_the_cells():
    with pytest.raises(InputError, match="1 centres for 4 cells"):
        RetinaCNN(RetinaConfig(readout="gaussian", centers=((5.0, 5.0),), **SMALL))


def test_a_factorised_readout_starts_at_the_centres_where_they_are_known():
    centers = ((5.0, 5.0), (6.0, 6.0), (6.0, 7.0), (5.0, 6.0))
    config = RetinaConfig(readout="factorised", centers=centers, readout_width=0.5, **SMALL)
    peaks = RetinaCNN(config).readout.linear.map.flatten(1).argmax(1)
    assert [(int(i) // 7 + 3, int(i) % 7 + 3) for i in peaks] == [*centers]


def test_a_local_readout_gives_one_number_for_each_cell():
    assert LocalReadout(8, 11, [(0, 0), (3, 4)])(torch.zeros(5, 8, 26, 26)).shape == (5, 2)


def test_an_exponential_of_nothing_is_one():
    assert Exponential()(torch.zeros(1)).tolist() == [1.0]


def test_a_factorised_readout_gives_one_number_for_each_cell():
    assert FactorisedReadout(2, 8, (26, 26))(torch.zeros(5, 8, 26, 26)).shape == (5, 2)


def test_a_gaussian_window_sums_to_one():
    window = GaussianReadout([(3.0, 4.5)], 8, (26, 26), width=1.5).window()
    assert window.sum().item() == pytest.approx(1.0, abs=1e-4)


def test_a_gain_is_one_for_all_cells_or_one_for_each():
    assert Gain(20.0)(torch.ones(1)).tolist() == [20.0]
    assert Gain((20.0, 5.0))(torch.ones(1, 2)).tolist() == [[20.0, 5.0]]
