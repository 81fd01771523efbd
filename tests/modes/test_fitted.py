"""What a fit leaves behind has labels."""

import numpy as np
import xarray as xr

from neurocodec.modes.fitted import (
    labelled_dictionary,
    labelled_history,
    labelled_loadings,
    labelled_offset,
)
from neurocodec.nn.sparse.loop import Epoch

LIKE = xr.DataArray([[1.0, 0.0]], dims=("time", "channel"))


def test_loadings_have_a_mode_for_each_column():
    found = labelled_loadings(np.zeros((4, 3)), "time")
    assert found.sizes["mode"] == 3
    assert found.name == "loading"


def test_a_dictionary_is_in_the_units_of_the_data():
    assert labelled_dictionary(np.eye(2), LIKE, 3.0).values.tolist() == [[3.0, 0.0], [0.0, 3.0]]


def test_a_dictionary_says_what_was_decomposed():
    rows = LIKE.rename("contribution").assign_attrs(units="bit")
    attrs = labelled_dictionary(np.eye(2), rows, 1.0).attrs
    assert (attrs["variable"], attrs["units"]) == ("contribution", "bit")
    assert labelled_dictionary(np.eye(2), LIKE.rename("mine"), 1.0).attrs["variable"] == ""


def test_the_inhibitory_part_of_a_dictionary_is_negative():
    inhibitory = LIKE.assign_coords(sign="inhibitory")
    found = labelled_dictionary(np.eye(2), inhibitory, 3.0)
    assert found.values.tolist() == [[-3.0, 0.0], [0.0, -3.0]]
    assert not np.signbit(found.values[0, 1])


def test_an_offset_is_in_the_units_of_the_data():
    found = labelled_offset(np.ones(2), LIKE, 3.0)
    assert found.values.tolist() == [3.0, 3.0]
    assert found.dtype == np.float32
    assert found.dims == ("channel",)


def test_a_history_goes_over_epochs():
    found = labelled_history([Epoch(1.0, 1.1, 0.5, 0.4, 3.0, 1.0)])
    assert found.r2.values.tolist() == [0.4]
    assert found.epoch.values.tolist() == [1]
    assert not labelled_history([])
