"""Output nonlinearities, fitted to what they made themselves."""

import numpy as np
import pytest

from neurocodec.kernels.output_nonlinearity import Softplus, fit_softplus


def test_the_rate_at_the_threshold_is_the_gain_times_log_two():
    assert Softplus(gain=10.0, slope=1.0, threshold=0.0)(np.zeros(1)).round(3).tolist() == [6.931]


def test_a_softplus_is_found_again():
    drive = np.random.default_rng(0).standard_normal(20_000)
    found = fit_softplus(drive, Softplus(10.0, 2.0, 0.5)(drive))
    assert found.gain == pytest.approx(10.0, abs=0.05)
    assert found.slope == pytest.approx(2.0, abs=0.005)
    assert found.threshold == pytest.approx(0.5, abs=0.005)
