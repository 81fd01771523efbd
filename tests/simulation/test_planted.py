"""Rows with planted modes."""

import numpy as np
import pytest

from neurocodec.errors import InputError
from neurocodec.simulation.planted import planted_rows


def test_rows_and_modes_are_not_negative():
    x, atoms = planted_rows(100, 8, 12, active=2, noise=0.1, seed=0)
    assert (x.shape, atoms.shape) == ((100, 8), (12, 8))
    assert min(x.min(), atoms.min()) >= 0
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1)


@pytest.mark.parametrize("change", [{"active": 0}, {"active": 13}, {"noise": -1.0}])
def test_rows_that_cannot_be_made_are_refused(change):
    with pytest.raises(InputError, match="active from 1 to 12"):
        planted_rows(100, 8, 12, **{"active": 2, "noise": 0.1, "seed": 0, **change})
