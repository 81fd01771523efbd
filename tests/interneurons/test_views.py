"""Neighbours that are pooled, and stimuli that are moved."""

import numpy as np
import pytest
import torch

from neurocodec.engine.samples import Samples
from neurocodec.interneurons.views import View, move_stimulus


def test_wide_pooling_looks_at_every_second_position():
    maps = np.ones((5, 2, 8, 8), np.float32)
    assert View(pooling=1).pool(maps).shape == (5, 128)
    assert View(pooling=2).pool(maps).shape == (5, 32)


def test_the_mean_comes_in_at_the_edge():
    frames = torch.tensor([[[1.0, 3.0]]])
    moved = move_stimulus(Samples(frames, {}, "time", 1), 0, 1)
    assert moved.values.tolist() == [[[2.0, 1.0]]]


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_a_pooled_unit_is_the_gaussian_mean_around_its_place(width):
    maps = np.random.default_rng(0).random((2, 3, 11, 8)).astype("float32")
    view = View(pooling=width)
    found = view.pool(maps)
    places = view.kept(maps.shape[1:])
    assert found.shape == (2, len(places))
    every = np.stack(np.meshgrid(np.arange(11), np.arange(8), indexing="ij"))
    for column, place in enumerate(places):
        channel, y, x = np.unravel_index(place, maps.shape[1:])
        far = np.abs(every - np.array([y, x])[:, None, None])
        weights = np.exp(-((far / width) ** 2).sum(axis=0) / 2)
        weights *= (far <= int(4 * width + 0.5)).all(axis=0)  # SciPy's Gaussian ends there
        expected = (maps[:, channel] * weights).sum(axis=(1, 2)) / weights.sum()
        np.testing.assert_allclose(found[:, column], expected, rtol=2e-5)
