"""The coordinates in which the first filters are learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy import signal

from neurocodec.nn.fast.movie import convolve_movie
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.whitening import (
    FirstFilters,
    can_whiten,
    expand,
    smooth_start,
    whitening_kernel,
)
from neurocodec.simulation.stimuli import natural_scene_movie

MODEL = RetinaConfig(cells=2, history=9, size=(12, 12), kernels=(7, 3), channels=(3, 2))


def _scenes() -> torch.Tensor:
    movie = natural_scene_movie(600, 30, np.random.default_rng(0), held_out=False)
    return torch.from_numpy(movie)


def _whitened(movie: torch.Tensor, kernel: torch.Tensor) -> np.ndarray:
    return signal.correlate(movie.numpy(), kernel.numpy(), mode="valid")


def _correlation_at_a_distance(movie: np.ndarray, axis: int, distance: int = 5) -> float:
    n = movie.shape[axis] - distance
    a, b = (np.take(movie, range(s, n + s), axis).ravel() for s in (0, distance))
    return abs(np.corrcoef(a, b)[0, 1])


def test_a_natural_movie_becomes_less_correlated_with_unit_deviation():
    movie = _scenes()
    white = _whitened(movie, whitening_kernel(movie))
    np.testing.assert_allclose(white.std(), 1, rtol=0.2)
    for axis in range(3):
        before, after = (_correlation_at_a_distance(m, axis) for m in (movie.numpy(), white))
        assert before > 0.4
        assert after < 0.5 * before


def test_a_constant_movie_has_a_kernel():
    assert whitening_kernel(torch.zeros(5, 4, 4)).isfinite().all()


def test_an_expanded_filter_on_the_movie_is_the_filter_on_the_whitened_movie():
    rng, movie = np.random.default_rng(1), _scenes()[:60, :12, :12]
    kernel = whitening_kernel(movie)
    inner = rng.normal(size=(8, 5, 5)).astype(np.float32)
    steps = torch.from_numpy(inner)[None]
    found = convolve_movie(movie, expand(steps, kernel))[:, 0].numpy()
    expected = signal.correlate(_whitened(movie, kernel), inner, mode="valid")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.std())


def test_no_filter_that_is_learned_so_is_driven_by_steady_light():
    kernel = whitening_kernel(_scenes())
    steps = torch.randn(4, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    driven = expand(steps, kernel).sum((1, 2, 3)) / expand(steps, kernel).abs().sum((1, 2, 3))
    assert driven.abs().max() < 0.05


def test_small_filters_are_learned_pixel_by_pixel():
    small = RetinaCNN(RetinaConfig(cells=2, history=9, size=(12, 12), kernels=(3, 3)))
    filters = FirstFilters(small, torch.rand(40, 12, 12), whiten=True)
    assert filters.steps.shape == small.first_convolution.weight.shape
    smooth_start(small, torch.rand(40, 12, 12))


def test_filters_start_where_the_module_is_and_are_stored():
    module, movie = RetinaCNN(MODEL), torch.rand(40, 12, 12)
    before = module.first_convolution.weight.detach().clone()
    filters = FirstFilters(module, movie, whiten=True)
    assert torch.equal(filters.weight(), before)
    with torch.no_grad():
        filters.steps[0, 3, 2, 2] = 1.0
    filters.store()
    change = module.first_convolution.weight.detach() - before
    np.testing.assert_allclose(
        change[0, 3:5, 2:5, 2:5], whitening_kernel(movie).flip(1, 2), atol=1e-5
    )
    assert change[1:].abs().max() == 0


def test_filters_start_recent_central_and_by_seed():
    movie = _scenes()[:, :12, :12]
    weights = []
    for seed in (0, 0, 1):
        module = RetinaCNN(dataclasses.replace(MODEL, history=24))
        smooth_start(module, movie, seed)
        weights.append(module.first_convolution.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    power = weights[0].square().sum((0, 2, 3))
    assert power[-12:].sum() > 0.8 * power.sum()
    space = weights[0].square().sum((0, 1))
    assert space[2:5, 2:5].mean() > 2 * space.mean()


def test_differences_are_taken_from_two_frames_and_nine_pixels():
    assert whitening_kernel(torch.rand(9, 6, 6)).shape == (2, 3, 3)


def test_an_expanded_filter_is_larger_by_the_kernel():
    assert expand(torch.ones(8, 39, 13, 13), torch.ones(2, 3, 3)).shape == (8, 40, 15, 15)


def test_filters_of_three_pixels_are_too_small_for_differences():
    assert can_whiten(torch.zeros(8, 40, 15, 15))
    assert not can_whiten(torch.zeros(8, 40, 3, 3))


def test_without_steps_the_weight_is_that_of_the_module():
    module = RetinaCNN(RetinaConfig(cells=2, history=9, size=(9, 9), kernels=(5, 3)))
    filters = FirstFilters(module, torch.rand(50, 9, 9), whiten=True)
    assert torch.equal(filters.weight(), module.first_convolution.weight)


def test_a_smooth_start_is_another_start_of_finite_weights():
    module = RetinaCNN(RetinaConfig(cells=2, history=9, size=(9, 9), kernels=(5, 3)))
    before = module.first_convolution.weight.detach().clone()
    smooth_start(module, torch.rand(50, 9, 9))
    assert module.first_convolution.weight.isfinite().all()
    assert not torch.equal(module.first_convolution.weight, before)
