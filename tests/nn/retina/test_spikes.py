"""Spikes and predicted rates: losses, correlations, modes, and recordings that are cut."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig, respond_to_movie
from neurocodec.nn.retina.spikes import (
    check_recording,
    correlation,
    cut_blocks,
    hold_out,
    mode,
    noise_from,
    poisson_loss,
    predict,
)

MODEL = RetinaConfig(cells=3, history=4, size=(9, 9), kernels=(3, 3), channels=(3, 2), gain=50.0)
TWO = RetinaConfig(cells=2, size=(9, 9))


def test_poisson_loss_is_the_log_likelihood_up_to_what_the_counts_alone_give():
    rng = np.random.default_rng(0)
    counts, rates = rng.poisson(2.0, (50, 3)), rng.gamma(2.0, 50.0, (50, 3))
    better = rng.gamma(2.0, 50.0, (50, 3))
    expected = [-stats.poisson(r * 0.01).logpmf(counts).mean() for r in (rates, better)]
    found = [poisson_loss(torch.tensor(r), torch.tensor(counts), 0.01) for r in (rates, better)]
    assert (found[0] - found[1]).item() == pytest.approx(expected[0] - expected[1], rel=1e-3)


def test_correlation_is_numpys():
    a, b = np.random.default_rng(0).normal(size=(2, 40, 3))
    expected = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(correlation(torch.tensor(a), torch.tensor(b)), expected)


def test_prediction_in_pieces_is_the_whole(monkeypatch):
    monkeypatch.setattr("neurocodec.nn.retina.spikes.PIECE", 7)
    module, frames = RetinaCNN(MODEL), torch.randn(40, 9, 9)
    with torch.no_grad():
        expected = respond_to_movie(module.eval(), frames)
    torch.testing.assert_close(predict(module, frames), expected, rtol=1e-4, atol=1e-5)


def test_mode_is_given_back_after_an_error():
    module = RetinaCNN(MODEL).eval()
    with pytest.raises(ZeroDivisionError), mode(module, training=True):
        raise ZeroDivisionError
    assert not any(m.training for m in module.modules())


def test_a_mode_lasts_as_long_as_it_is_asked_for():
    part = nn.Dropout()
    with mode(part, training=False):
        assert not part.training
    assert part.training


def test_noise_comes_from_the_generator_that_is_given():
    module = RetinaCNN(RetinaConfig(cells=1, size=(9, 9), kernels=(3, 3)))
    with noise_from(module, torch.Generator()):
        assert module.layer1.noise.generator is not None
    assert module.layer1.noise.generator is None


def test_poisson_loss_of_one_bin():
    loss = poisson_loss(torch.tensor([100.0]), torch.tensor([2.0]), bin_width=0.01)
    assert loss.item() == pytest.approx(1.0, abs=1e-4)


def test_two_rising_traces_are_correlated():
    found = correlation(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [5.0]]))
    assert found.tolist() == pytest.approx([1.0])


def test_a_movie_is_predicted_from_its_first_whole_window_on():
    config = RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3))
    assert predict(RetinaCNN(config), torch.zeros(8, 9, 9)).shape == (6, 2)


def test_a_recording_that_fits_is_taken():
    check_recording("movie", TWO, (torch.zeros(50, 9, 9), torch.zeros(50, 2)), least=41)


def test_the_end_of_a_movie_is_held_out():
    movie = torch.zeros(500, 9, 9), torch.zeros(500, 2)
    parts = hold_out(TWO, movie, None, share=0.2, least=100)
    assert [len(frames) for frames, _ in parts] == [400, 100]


def test_blocks_are_cut_where_they_start_and_stop():
    movie = torch.zeros(500, 9, 9), torch.zeros(500, 2)
    parts = cut_blocks(TWO, movie, [(0, 200), (300, 500)], least=100)
    assert [len(frames) for frames, _ in parts] == [200, 200]
