"""Scores of a fit by cell."""

import numpy as np

from neurocodec.fitting.data import FittingData
from neurocodec.fitting.results import score_cells, smoothing_in_words


def test_a_rate_upside_down_is_correlated_with_minus_1():
    answer = np.arange(12.0).reshape(1, 6, 2) ** 2
    movie, cells = np.zeros((6, 3, 3)), {"cell": ["a", "b"]}
    data = FittingData(movie, answer[0], ((0, 6),), movie, answer, 100.0, cells, ())
    scores = score_cells(data, answer[0], -answer[0], history=1)
    np.testing.assert_allclose(scores.correlation, [1.0, 1.0])
    np.testing.assert_allclose(scores.correlation_ln, [-1.0, -1.0])
    assert scores.ceiling.isnull().all()  # of one repeat


def test_scores_say_what_both_models_explain_and_bits_are_of_spikes_that_are_not_smoothed():
    rng = np.random.default_rng(0)
    rate = np.tile([[40.0, 0.0], [0.0, 40.0]], (100, 1))
    answer = np.clip(rate + rng.normal(0, 4, (6, 200, 2)), 0, None)
    movie, cells = np.zeros((200, 3, 3)), {"cell": ["a", "b"]}
    smooth = 0.5 * (rate + np.roll(rate, 1, axis=0))
    data = FittingData(
        movie, answer[0], ((0, 200),), movie, answer, 100.0, cells, (), test_spikes=rate
    )
    scores = score_cells(data, rate, smooth, history=1)
    np.testing.assert_allclose(scores.signal_explained, [1, 1], atol=0.03)
    np.testing.assert_allclose(scores.signal_explained_ln, [0, 0], atol=0.03)  # its mean rate
    np.testing.assert_allclose(scores.bits_per_spike, [1, 1], atol=1e-3)
    np.testing.assert_allclose(scores.bits_per_spike_ln, [0, 0], atol=1e-3)
    assert scores.bits_per_spike.attrs["units"] == "bit"
    for name in ("signal_explained", "signal_explained_ln", "bits_per_spike", "bits_per_spike_ln"):
        low, high = scores[f"{name}_interval"].transpose("bound", "cell").values
        assert (low <= scores[name] + 1e-9).all()
        assert (scores[name] - 1e-9 <= high).all()


def test_scores_name_the_smoothing_and_the_interval_of_the_ceiling():
    rng = np.random.default_rng(0)
    rate = np.abs(rng.normal(size=(400, 1)))
    answer = np.stack([np.concatenate([rate + 0.1 * rng.random((400, 1)), rng.random((400, 1))], 1)
                       for _ in range(5)])  # fmt: skip
    movie, cells = np.zeros((400, 3, 3)), {"cell": ["real", "noise"]}
    data = FittingData(
        movie, answer[0], ((0, 400),), movie, answer, 100.0, cells, (), smoothing=0.01
    )
    scores = score_cells(data, answer[0], answer[0], history=1)
    low, high = scores.ceiling_interval.transpose("bound", "cell").values
    assert low[0] > 0.9
    assert low[1] == 0  # not above 0
    assert high[1] > np.nan_to_num(scores.ceiling.values[1])
    assert scores.attrs["responses"] == "spike counts smoothed (Gaussian, s.d. 10 ms)"
    assert scores.correlation.attrs["comment"].endswith("s.d. 10 ms)")
    assert smoothing_in_words(0.0) == "responses not smoothed"
