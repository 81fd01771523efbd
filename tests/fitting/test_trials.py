"""Spikes of single trials: what is taken, and why nothing is."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.fitting.trials import Trials, trials_of

CELLS, ENDS = np.array(["b"]), [(0, 2, None), (3, 6, None)]


def _part(**variables):
    counts = np.arange(24).reshape(2, 6, 2)
    part = xr.Dataset(
        {"spike_count": (("repeat", "time", "cell"), counts)},
        {"time": np.arange(6) / 50, "cell": ["a", "b"]},
    )
    return part.assign(variables)


def test_counts_of_the_cells_and_of_what_is_judged_on():
    found = trials_of(_part(), _part(), CELLS, ENDS)
    assert isinstance(found, Trials)
    assert found.bin_width == pytest.approx(0.02)
    np.testing.assert_array_equal(found.counts[:, :, 0], [range(1, 13, 2), range(13, 25, 2)])
    np.testing.assert_array_equal(found.test_counts[0, :, 0], [1, 3, 7, 9, 11])


def test_why_there_are_none():
    rates = _part().rename(spike_count="firing_rate")
    assert "fitted to are firing rates" in trials_of(rates, _part(), CELLS, ENDS)
    assert "judged on are firing rates" in trials_of(_part(), rates, CELLS, ENDS)
    halves = _part(spike_count=_part().spike_count / 2)
    assert "not whole numbers" in trials_of(halves, _part(), CELLS, ENDS)
    wide = _part().assign_coords(bin_width=0.025)
    assert trials_of(_part(), wide, CELLS, ENDS) == "bins are of 0.02 and 0.025 s"


@pytest.mark.parametrize(("value", "said"), [(np.nan, "spike counts"), (-1, "negative")])
def test_counts_that_are_none_are_refused(value, said):
    wrong = _part(spike_count=_part().spike_count.where(_part().spike_count > 0, value))
    with pytest.raises(InputError, match=said):
        trials_of(_part(), wrong, CELLS, ENDS)
