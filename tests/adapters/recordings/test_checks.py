"""What is checked of every recording, and chosen from it."""

import warnings

import numpy as np
import pytest
import xarray as xr

from neurocodec.adapters.recordings.checks import mend_gaps, report_silent, select_cells
from neurocodec.errors import NeurocodecWarning, UnknownNameError


def test_cells_by_name_or_position():
    part = xr.Dataset({"firing_rate": (("time", "cell"), [[1.0, 2.0]])}, {"cell": ["a", "b"]})
    for wanted in (["b"], [1], [np.int64(1)]):
        assert select_cells({"train": part}, wanted)["train"].firing_rate.item() == 2.0
    with pytest.raises(UnknownNameError, match="'True'"):
        select_cells({"train": part}, [True])


def test_gaps_are_interpolated():
    part = xr.Dataset({"membrane_potential": (("time", "interneuron"), [[1.0], [np.nan]])})
    mended = mend_gaps({"boxes": part}, "interpolate")["boxes"]
    assert mended.membrane_potential.values.ravel().tolist() == [1.0, 1.0]


def test_silent_cells_are_named():
    part = xr.Dataset({"firing_rate": (("time", "cell"), [[1.0, 0.0]])})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report_silent({"train": part.isel(cell=[0])})
    with pytest.warns(NeurocodecWarning, match="1 of 2 cells have no spikes: 1"):
        report_silent({"train": part})
