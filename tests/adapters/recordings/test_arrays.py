"""Named arrays of a recording."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.adapters.recordings.arrays import assemble, positional_dims
from neurocodec.errors import InputError


def test_potentials_may_have_repeats():
    assert positional_dims("membrane_potential", (10, 300, 4)) == ("repeat", "time", "interneuron")
    assert positional_dims("membrane_potential", (300, 4)) == ("time", "interneuron")


def test_times_come_of_a_frame_rate():
    rate = xr.Variable(("time", "cell"), [[1.0], [2.0]])
    found = assemble({"firing_rate": rate, "frame_rate": xr.Variable((), 50.0)}, "r")
    np.testing.assert_allclose(found.time, [0.0, 0.02])


@pytest.mark.parametrize(
    ("name", "dim"), [("firing_rate", "cell"), ("fluorescence", "interneuron")]
)
def test_two_of_one_name_are_refused(name, dim):
    data = xr.Variable(("time", dim), np.ones((3, 2)))
    names = xr.Variable(dim, ["a", "a"])
    with pytest.raises(InputError, match="two cells called 'a'"):
        assemble({name: data, dim: names, "frame_rate": xr.Variable((), 50.0)}, "r")
