"""LN models that know their own spikes."""

import dataclasses

import numpy as np
import pytest

from neurocodec.errors import InputError
from neurocodec.kernels.explained import bits_per_spike, bits_per_spike_interval
from neurocodec.nn.retina.linear_nonlinear import fit_linear_nonlinear
from neurocodec.nn.retina.spike_history import design, fit_spike_history, lagged

FRAMES, LAGS, HISTORY, WIDTH = 3000, 4, 6, 0.01
BLOCKS = [(a, a + 500) for a in range(0, 2000, 500)]
QUICK = {"history": HISTORY, "penalties": (0.1,), "radii": (1,), "ranks": (1,), "basis": 6}
TRUE = np.array([-0.2, -0.5, -1.0, -2.5])  # of the own spikes, the oldest bin first


def _simulated(weights):
    """White noise, its filter (lag, y, x), and trials of a GLM with these weights of own spikes."""
    rng = np.random.default_rng(0)
    movie = rng.standard_normal((FRAMES, 3, 3)).astype(np.float32)
    kernel = np.zeros((HISTORY, 3, 3))
    kernel[2:, 1, 1] = [-0.2, 0.1, 0.7, 0.4]
    drive = sum(np.roll(movie[:, 1, 1], HISTORY - 1 - k) * kernel[k, 1, 1] for k in range(HISTORY))
    counts = np.zeros((6, FRAMES, 1))
    for t in range(LAGS, FRAMES):
        past = counts[:, t - LAGS : t, 0] @ weights
        counts[:, t, 0] = rng.poisson(np.exp(drive[t] - 1.5 + past))
    return movie, kernel, counts


@pytest.fixture(scope="module")
def fits():
    """GLMs of a refractory and of a Poisson cell, with what they were fitted to."""
    found = {}
    for name, weights in (("refractory", TRUE), ("poisson", 0 * TRUE)):
        movie, kernel, counts = _simulated(weights)
        rates = (counts.mean(axis=0) / WIDTH).astype(np.float32)
        linear = fit_linear_nonlinear(movie, rates, BLOCKS, **QUICK)
        glm = fit_spike_history(linear, counts, BLOCKS, bin_width=WIDTH, span=LAGS * WIDTH)
        found[name] = glm, movie, kernel, counts
    return found


def test_filter_and_history_of_a_simulated_glm_come_back(fits):
    glm, _, kernel, _ = fits["refractory"]
    assert np.corrcoef(glm.linear.filters[0].ravel(), kernel.ravel())[0, 1] > 0.95
    assert np.corrcoef(glm.history[0], TRUE)[0, 1] > 0.95
    np.testing.assert_allclose(glm.history[0], TRUE, atol=0.5)  # a little smaller: regularised
    assert np.abs(fits["poisson"][0].history).max() < 0.2


def _bits(glm, movie, counts):
    """Bits per spike beyond the LN model on what was not fitted to, with their interval."""
    seen, known = movie[2000:], counts[:, 2000:]
    spikes = known[:, HISTORY - 1 :].transpose(1, 0, 2).reshape(-1, 1) / WIDTH
    given = glm.rates(seen, known).transpose(1, 0, 2).reshape(-1, 1)
    alone = np.repeat(glm.linear.predict(seen), len(known), axis=0)
    bits, of_ln = bits_per_spike(spikes, given).item(), bits_per_spike(spikes, alone).item()
    return bits - of_ln, *bits_per_spike_interval(spikes, given)[:, 0], of_ln


def test_history_is_worth_bits_where_cells_are_refractory_and_none_where_they_are_poisson(fits):
    glm, movie, _, counts = fits["refractory"]
    gain, low, _, alone = _bits(glm, movie, counts)
    assert gain > 0.05
    assert low > alone
    glm, movie, _, counts = fits["poisson"]
    gain, low, high, alone = _bits(glm, movie, counts)
    assert low < alone < high
    assert abs(gain) < 0.01


def test_simulated_trials_fire_as_the_cell_does(fits):
    glm, movie, _, counts = fits["refractory"]
    mean = glm.mean_rates(movie[2000:], draws=40)
    psth = counts[:, 2000 + HISTORY - 1 :].mean(axis=0) / WIDTH
    assert mean.mean() == pytest.approx(psth.mean(), rel=0.1)
    alone = glm.linear.predict(movie[2000:])
    found, of_ln = (np.corrcoef(x[:, 0], psth[:, 0])[0, 1] for x in (mean, alone))
    assert found > 0.9 * of_ln  # a mean over trials has no use for history
    np.testing.assert_array_equal(mean, glm.mean_rates(movie[2000:], draws=40))


def test_no_rate_goes_beyond_the_counts_that_were_fitted_to(fits):
    glm, movie, _, _ = fits["refractory"]
    wild = dataclasses.replace(glm, history=0 * glm.history + 9)
    assert wild.mean_rates(movie[:60], draws=3).max() <= glm.most.max() / WIDTH * (1 + 1e-9)


def test_the_regressors_of_six_bins():
    counts = np.array([[1, 0, 2, 0, 1, 3], [0, 1, 0, 0, 2, 0]])[:, :, None]
    np.testing.assert_array_equal(
        lagged(counts, 2)[0, :, :, 0], [[0, 0], [0, 1], [1, 0], [0, 2], [2, 0], [0, 1]]
    )
    rows, logs = np.array([2, 3, 5]), np.array([0.1, 0.2, 0.3])
    basis = np.array([[1.0, 0.0], [0.5, 2.0]])  # (function, lag), the older bin first
    found = design(logs, counts, rows, basis)
    first = [[0.1, 1, 0.5], [0.2, 0, 4], [0.3, 0, 2]]  # of (1, 0), (0, 2) and (0, 1)
    second = [[0.1, 0, 2], [0.2, 1, 0.5], [0.3, 0, 4]]  # of (0, 1), (1, 0) and (0, 2)
    np.testing.assert_allclose(found, [*first, *second])


def test_what_does_not_fit_is_refused(fits):
    glm, _, _, counts = fits["poisson"]
    with pytest.raises(InputError, match="whole numbers of at least 0"):
        fit_spike_history(glm.linear, counts / 2, BLOCKS, bin_width=WIDTH)
    with pytest.raises(InputError, match="no counts"):
        fit_spike_history(glm.linear, counts - 1, BLOCKS, bin_width=WIDTH)
    with pytest.raises(InputError, match="1 cells"):
        fit_spike_history(glm.linear, counts[..., 0], BLOCKS, bin_width=WIDTH)
    other = dataclasses.replace(glm.linear, held_out=None)
    with pytest.raises(InputError, match="without held-out output"):
        fit_spike_history(other, counts, BLOCKS, bin_width=WIDTH)
