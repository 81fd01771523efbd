"""Smooth functions of the lag."""

import numpy as np

from neurocodec.kernels.temporal_basis import temporal_basis


def test_functions_are_orthonormal():
    basis = temporal_basis(40, 10)
    assert basis.shape == (10, 40)
    np.testing.assert_allclose(basis @ basis.T, np.eye(10), atol=1e-12)
