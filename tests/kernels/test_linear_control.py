"""One linear filter of a stimulus: what is one is found, by plain sums over windows."""

import numpy as np
import pytest

from neurocodec.kernels.lagged import interleaved_halves
from neurocodec.kernels.linear_control import held_out_correlation, held_out_predictions

HISTORY = 6
MOVIE = np.random.default_rng(0).normal(size=(500, 7, 9))
ENDS = np.arange(HISTORY - 1, 500)
HALVES = interleaved_halves(len(ENDS), 60, HISTORY)


def seen(movie, course, y, x):
    """A pixel through a time course, window by window."""
    return np.array([movie[e - HISTORY + 1 : e + 1, y, x] @ course for e in ENDS])


def test_a_filtered_pixel_is_predicted_and_noise_is_not():
    course = np.array([0.0, 0.0, 1.0, -2.0, 1.0, 0.5])
    noise = np.random.default_rng(1).normal(size=len(ENDS))
    surround = gaussian_seen(course)
    traces = np.stack([surround, -3 * surround + 7, noise], axis=1)
    made = held_out_predictions(MOVIE, ENDS, HISTORY, traces, HALVES)
    found = held_out_correlation(made, traces, HALVES)
    assert found[:2].min() > 0.99
    assert abs(found[2]) < 0.2
    assert (np.isnan(made[:, 0]) == (HALVES < 0)).all()


def gaussian_seen(course):
    """A Gaussian of pixels around (3, 4), two pixels wide, through a time course."""
    y, x = np.arange(7)[:, None], np.arange(9)
    weight = np.exp(-((y - 3) ** 2 + (x - 4) ** 2) / (2 * 2.0**2))
    flat = np.tensordot(MOVIE, weight / weight.sum(), 2)
    return np.array([flat[e - HISTORY + 1 : e + 1] @ course for e in ENDS])


def test_the_held_out_half_is_never_looked_at():
    trace = seen(MOVIE, np.ones(HISTORY), 2, 2)[:, None]
    changed = trace.copy()
    changed[HALVES == 1] = np.random.default_rng(2).normal(size=((HALVES == 1).sum(), 1))
    one, other = (held_out_predictions(MOVIE, ENDS, HISTORY, t, HALVES) for t in (trace, changed))
    np.testing.assert_array_equal(one[HALVES == 1], other[HALVES == 1])


def test_correlations_are_numpys_of_each_half():
    made, traces = np.random.default_rng(3).normal(size=(2, len(ENDS), 1))
    halves = [np.flatnonzero(h == HALVES) for h in (0, 1)]
    expected = [np.corrcoef(made[rows, 0], traces[rows, 0])[0, 1] for rows in halves]
    assert held_out_correlation(made, traces, HALVES)[0] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("movie", [MOVIE[:, :1, :1], np.repeat(MOVIE[:, :1, :1], 5, axis=2)])
def test_a_movie_without_space_is_taken(movie):
    trace = seen(movie, np.array([0, 0, 0, 0, 1.0, -1.0]), 0, 0)[:, None]
    made = held_out_predictions(movie, ENDS, HISTORY, trace, HALVES)
    assert held_out_correlation(made, trace, HALVES)[0] > 0.999
