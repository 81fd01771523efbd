"""Results with a dim `layer`: their labels, and where they came from."""

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec.rows.tables import layer_dataset, stamped


def test_numbers_of_things_are_whole():
    found = layer_dataset({"n": (("layer",), np.array([3.0]))}, {"layer": ["conv1"]})
    assert found.n.values.tolist() == [3]
    assert found.n.dtype == np.int64
    assert found.layer.values.tolist() == ["conv1"]


def test_ends_of_intervals_come_last():
    ends = np.array([[1.0], [2.0]])
    found = layer_dataset({"hoyer_interval": (("bound", "layer"), ends)}, {"layer": ["conv1"]})
    assert found.hoyer_interval.dims == ("layer", "bound")
    assert found.bound.values.tolist() == ["low", "high"]


def test_a_stamp_has_the_function_its_parameters_and_the_tree():
    found = stamped(xr.Dataset(), "nc.statistics.hoyer", xr.DataTree(), seed=3)
    assert labels.provenance(found)["function"] == "nc.statistics.hoyer"
    assert labels.provenance(found)["seed"] == 3
    assert labels.provenance(found)["tree"] == {}
