"""What is checked of every recording, and chosen from it."""

import warnings

import numpy as np
import pytest
import xarray as xr

from neurocodec.adapters.recordings.checks import mend_gaps, report_silent, select_cells
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError


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


def test_cells_are_chosen_once():
    part = xr.Dataset({"firing_rate": (("time", "cell"), [[1.0, 2.0]])}, {"cell": ["a", "b"]})
    for wanted, told in (
        (0, "cells=0"),
        ([], "0 cells"),
        (["a", "a"], "1 cells"),
        ([1, "b"], "1 "),
    ):
        with pytest.raises(InputError, match=told) as raised:
            select_cells({"train": part}, wanted)
        options = eval(f"dict({raised.value.hint})")  # noqa: S307 - what it says to type
        assert select_cells({"train": part}, options["cells"])["train"].sizes["cell"] == 1
