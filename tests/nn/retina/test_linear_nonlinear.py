"""The LN model on cells whose filter and nonlinearity are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import Ridge

from neurocodec.errors import InputError
from neurocodec.kernels.lagged_features import LaggedFeatures, Moments, receptive_centres
from neurocodec.kernels.output_nonlinearity import Softplus, fit_softplus
from neurocodec.kernels.temporal_basis import temporal_basis
from neurocodec.nn.retina.linear_nonlinear import STA, LinearNonlinear, fit_linear_nonlinear

HISTORY, BLOCKS = 8, [(i, i + 2000) for i in range(0, 10_000, 2000)]
TRUE = (Softplus(15.0, 2.0, 0.8), Softplus(8.0, 1.5, 0.2))


def _filters() -> np.ndarray:
    """An ON cell and a biphasic OFF cell on 10 x 9 pixels, each of norm 1: (cell, lag, y, x)."""
    lag, y, x = np.arange(HISTORY)[::-1], np.arange(10.0), np.arange(9.0)
    times = [np.exp(-(((lag - 2) / 1.5) ** 2)), -np.exp(-lag / 2) + 0.5 * np.exp(-lag / 5)]
    maps = [
        np.exp(-0.5 * ((y[:, None] - r) ** 2 + (x - c) ** 2) / 0.7**2) for r, c in ((3, 4), (6, 6))
    ]
    whole = np.stack([t[:, None, None] * m for t, m in zip(times, maps, strict=True)])
    return whole / np.linalg.norm(whole.reshape(2, -1), axis=1)[:, None, None, None]


def _simulated(smooth: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, true rates, and rates estimated from simulated spikes of ten repeats."""
    rng = np.random.default_rng(seed)
    movie = rng.standard_normal((BLOCKS[-1][1], 10, 9)).astype(np.float32)
    if smooth:
        movie = gaussian_filter(movie, (smooth, smooth, smooth))
        movie /= movie.std()
    windows = sliding_window_view(movie, HISTORY, axis=0)
    drive = np.einsum("tyxl,clyx->tc", windows, _filters())
    drive /= drive.std(axis=0)
    rates = np.stack([f(g) for f, g in zip(TRUE, drive.T, strict=True)], axis=1)
    rates = np.concatenate([np.zeros((HISTORY - 1, 2)), rates])
    return movie, rates, (rng.poisson(0.1 * rates) / 0.1).astype(np.float32)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_it_finds_the_planted_filters_and_nonlinearities():
    movie, rates, measured = _simulated()
    model = fit_linear_nonlinear(movie, measured, BLOCKS, history=HISTORY, basis=8)
    assert _cosines(model.filters, _filters()).min() > 0.97
    assert model.centers == [(3, 4), (6, 6)]
    predicted = model.predict(movie)
    for cell, true in enumerate(TRUE):
        grid = np.linspace(-1.5, 2.5, 30)
        found, expected = model.nonlinearity[cell](grid), true(grid)
        assert np.abs(found - expected).max() < 0.1 * expected.max()
        assert np.corrcoef(predicted[:, cell], rates[HISTORY - 1 :, cell])[0, 1] > 0.97


def test_units_of_the_stimulus_do_not_matter():
    movie, _, measured = _simulated()
    options = {"history": HISTORY, "radii": (1,), "ranks": (1,), "penalties": (STA,)}
    plain = fit_linear_nonlinear(movie[:4000], measured[:4000], BLOCKS[:2], **options)
    raw = (100 + 25 * movie[:4000]).astype(np.float32)
    other = fit_linear_nonlinear(raw, measured[:4000], BLOCKS[:2], **options)
    np.testing.assert_allclose(other.predict(raw), plain.predict(movie[:4000]), rtol=1e-2, atol=0.1)


def test_under_a_smooth_stimulus_ridge_regression_beats_the_average():
    movie, _, measured = _simulated(smooth=0.7)
    options = {"history": HISTORY, "basis": 8, "radii": (2,), "ranks": (1,)}
    ridge = fit_linear_nonlinear(movie, measured, BLOCKS, penalties=(STA, 0.1, 0.01), **options)
    average = fit_linear_nonlinear(movie, measured, BLOCKS, penalties=(STA,), **options)
    assert all(np.isfinite(choice.penalty) for choice in ridge.choices)
    assert (_cosines(ridge.filters, _filters()) > _cosines(average.filters, _filters())).all()


def test_the_solution_is_that_of_scikit_learn():
    movie, _, measured = _simulated()
    parts, rate = [(HISTORY - 1, 900), (1000, 1500)], measured[:, 0]
    features = LaggedFeatures(movie, (3, 4), 1, temporal_basis(HISTORY, 4), parts)
    moments = features.moments(rate, [0, 1])
    scale = features.values.var(axis=0).mean()
    target = np.concatenate([rate[a:b] for a, b in parts])
    weight = Ridge(alpha=0.3 * scale * len(target)).fit(features.values, target).coef_
    (found,) = features.solve(moments, 1, 0.3, [9])
    np.testing.assert_allclose(
        found / np.linalg.norm(found), weight / np.linalg.norm(weight), atol=1e-4
    )
    assert (features.values @ found).std() == pytest.approx(1, rel=1e-3)


def test_features_are_the_windows_times_the_basis():
    movie, basis = _simulated()[0][:60], temporal_basis(HISTORY, 3)
    features = LaggedFeatures(movie, (0, 8), 1, basis, [(20, 50)])
    values = features.values.reshape(30, 3, 3, 3)
    assert not values[:, :, 0].any()  # beyond the upper edge
    assert not values[:, :, :, 2].any()  # beyond the right edge
    row, (y, x) = 11, (1, 7)
    expected = basis @ movie[row + 20 - HISTORY + 1 : row + 21, y, x]
    np.testing.assert_allclose(values[row, :, 2, 0], expected, rtol=1e-4, atol=1e-5)
    weight = np.random.default_rng(0).standard_normal(27)
    weight *= (values.reshape(30, -1) != 0).any(axis=0)
    output = np.einsum(
        "lyx,tyxl->t", features.in_frame(weight), sliding_window_view(movie, HISTORY, axis=0)
    )
    np.testing.assert_allclose(features.values @ weight, output[13:43], rtol=1e-4, atol=1e-4)


def test_moments_add_up_and_come_off():
    rng = np.random.default_rng(0)
    a, b = ((rng.standard_normal((50, 3)), rng.standard_normal(50)) for _ in range(2))
    first, second = (Moments(50, x.sum(0), y.sum(), x.T @ x, x.T @ y) for x, y in (a, b))
    x, y = (np.concatenate(parts) for parts in zip(a, b, strict=True))
    covariance, cross = (first + second).covariance(np.arange(3))
    whole = np.cov(np.column_stack([x, y]).T, bias=True)
    np.testing.assert_allclose(covariance, whole[:3, :3])
    np.testing.assert_allclose(cross, whole[:3, 3])
    np.testing.assert_allclose((first + second - second).xx, first.xx)


def test_a_centre_is_found_at_the_edge_of_the_frame():
    rng = np.random.default_rng(0)
    movie = rng.standard_normal((3000, 8, 8)).astype(np.float32)
    rates = np.maximum(np.stack([movie[:, 0, 7], -movie[:, 7, 3]], axis=1), 0)
    assert receptive_centres(movie, rates, [(10, 3000)], temporal_basis(5, 5)) == [(0, 7), (7, 3)]


@settings(max_examples=20, deadline=None)
@given(history=st.integers(1, 60), data=st.data())
def test_a_temporal_basis_is_orthonormal(history, data):
    functions = data.draw(st.integers(1, history))
    basis = temporal_basis(history, functions)
    assert basis.shape == (functions, history)
    np.testing.assert_allclose(basis @ basis.T, np.eye(functions), atol=1e-9)


def test_a_temporal_basis_is_finest_for_the_newest_frames():
    basis = temporal_basis(40, 6)
    kept = np.linalg.norm(basis, axis=0)  # how much of an impulse at each lag it can make
    assert kept[-1] > 0.9
    assert kept[-1] > 2 * kept[5]


@pytest.mark.parametrize("functions", [0, 5])
def test_more_functions_than_frames_are_refused(functions):
    with pytest.raises(InputError, match="history of 4"):
        temporal_basis(4, functions)


def test_a_nonlinearity_of_silence_or_of_nothing_is_constant():
    drive = np.random.default_rng(0).standard_normal(100)
    assert not fit_softplus(drive, np.zeros(100))(drive).any()
    np.testing.assert_allclose(fit_softplus(np.zeros(100), np.full(100, 3.0))(drive), 3.0)


def test_what_cannot_be_fitted_is_refused():
    movie, _, measured = _simulated()
    with pytest.raises(InputError, match="at least two blocks"):
        fit_linear_nonlinear(movie, measured, BLOCKS[:1], history=HISTORY)
    with pytest.raises(InputError, match="constant stimulus"):
        fit_linear_nonlinear(0 * movie, measured, BLOCKS, history=HISTORY)


def test_a_model_predicts_a_rate_for_each_window():
    model = LinearNonlinear(np.zeros((1, 3, 5, 5)), [Softplus(1, 1, 0)], 0, 1, [], [])
    assert model.predict(np.zeros((6, 5, 5))).shape == (4, 1)


def test_a_cell_of_one_pixel_is_found_at_its_place():
    movie = np.random.default_rng(0).standard_normal((600, 7, 7)).astype(np.float32)
    rates = np.maximum(movie[:, 3, [4]], 0) * 20
    model = fit_linear_nonlinear(movie, rates, [(0, 300), (300, 600)], history=4, basis=4)
    assert model.centers == [(3, 4)]
