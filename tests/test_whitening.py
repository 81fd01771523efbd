"""The coordinates in which the first filters are learned."""

from __future__ import annotations

import numpy as np
import torch
from scipy import signal

from neurocodec.nn.movie import convolve_movie
from neurocodec.nn.retina import RetinaCNN, RetinaConfig
from neurocodec.nn.whitening import FirstFilters, expand, smooth_start, whitening_kernel
from neurocodec.simulation.stimuli import natural_scene_movie

MODEL = RetinaConfig(cells=2, history=9, size=(12, 12), kernels=(7, 3), channels=(3, 2))


def _scenes() -> torch.Tensor:
    movie = natural_scene_movie(600, 30, np.random.default_rng(0), held_out=False)
    return torch.from_numpy(movie)


def _whitened(movie: torch.Tensor, kernel: torch.Tensor) -> np.ndarray:
    return signal.correlate(movie.numpy(), kernel.numpy(), mode="valid")


def _neighbour_correlation(movie: np.ndarray, axis: int) -> float:
    n = movie.shape[axis]
    a, b = (np.take(movie, range(s, n - 1 + s), axis).ravel() for s in (0, 1))
    return abs(np.corrcoef(a, b)[0, 1])


def test_a_natural_movie_becomes_nearly_white_with_unit_deviation():
    movie = _scenes()
    white = _whitened(movie, whitening_kernel(movie))
    np.testing.assert_allclose(white.std(), 1, rtol=0.2)
    for axis in range(3):
        assert _neighbour_correlation(movie.numpy(), axis) > 0.85
        assert _neighbour_correlation(white, axis) < 0.45


def test_a_constant_movie_has_a_kernel():
    assert whitening_kernel(torch.zeros(5, 4, 4)).isfinite().all()


def test_an_expanded_filter_on_the_movie_is_the_filter_on_the_whitened_movie():
    rng, movie = np.random.default_rng(1), _scenes()[:60, :12, :12]
    kernel = whitening_kernel(movie)
    steps = torch.zeros(1, 9, 7, 7)
    inner = rng.normal(size=(8, 5, 5)).astype(np.float32)
    steps[0, 1:, 1:-1, 1:-1] = torch.from_numpy(inner)
    found = convolve_movie(movie, expand(steps, kernel))[:, 0].numpy()
    expected = signal.correlate(_whitened(movie, kernel), inner, mode="valid")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.std())


def test_every_filter_can_be_reached():
    def columns(steps: torch.Tensor) -> torch.Tensor:
        return expand(steps, whitening_kernel(_scenes()))

    basis = torch.eye(3 * 5 * 5).reshape(-1, 3, 5, 5)
    assert torch.linalg.matrix_rank(columns(basis).reshape(75, 75)) == 75


def test_filters_start_where_the_module_is_and_are_stored():
    module, movie = RetinaCNN(MODEL), torch.rand(40, 12, 12)
    before = module.first_convolution.weight.detach().clone()
    filters = FirstFilters(module, movie, whiten=True)
    assert torch.equal(filters.weight(), before)
    with torch.no_grad():
        filters.steps[0, 4, 3, 3] = 1.0
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
        module = RetinaCNN(MODEL)
        smooth_start(module, movie, seed)
        weights.append(module.first_convolution.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    power = weights[0].square().sum((0, 2, 3))
    assert power[-6:].sum() > 0.6 * power.sum()
    space = weights[0].square().sum((0, 1))
    assert space[2:5, 2:5].mean() > 2 * space.mean()
