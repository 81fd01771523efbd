"""Neighbours that are pooled, and stimuli that are moved."""

import numpy as np
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
