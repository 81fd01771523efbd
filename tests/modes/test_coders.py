"""Scaled rows to loadings and back, by a fitted model."""

import numpy as np
import torch

from neurocodec.modes.coders import SparseCoder
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.fit import build


def coder(strength):
    model = build(2, SparseConfig(expansion=1.5))
    return SparseCoder(np.asarray(strength, np.float32), model, torch.device("cpu"))


def test_a_model_gives_a_loading_of_each_mode():
    assert coder(np.ones(3)).encode(np.ones((4, 2), np.float32)).shape == (4, 3)


def test_strengths_divide_loadings_and_multiply_modes():
    rows = np.random.default_rng(0).random((4, 2)).astype(np.float32)
    plain = coder(np.ones(3))
    strong = plain.strengthened(np.array([2.0, 4.0, 8.0], np.float32))
    np.testing.assert_allclose(strong.encode(rows) * [2, 4, 8], plain.encode(rows))
    np.testing.assert_allclose(strong.dictionary(), plain.dictionary() * [[2], [4], [8]])
    made = [one.decode(one.encode(rows)) for one in (plain, strong)]
    np.testing.assert_allclose(*made, atol=1e-6)


def test_arrays_make_the_coder_again():
    rows = np.random.default_rng(0).random((4, 2)).astype(np.float32)
    one = coder([1.0, 2.0, 3.0])
    empty = build(2, SparseConfig(expansion=1.5))
    again = SparseCoder.from_arrays(one.arrays(), empty, torch.device("cpu"))
    np.testing.assert_array_equal(again.encode(rows), one.encode(rows))
