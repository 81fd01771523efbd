"""Rows of layers: which layers, and what is taken of contributions, now and later."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.rows.layers import SPLIT, LayerRows, layers_of


def signed(order=("excitatory", "inhibitory")):
    """Two samples of two channels: excitatory 1 to 4, inhibitory -10 to -40."""
    excitatory = np.array([[1.0, 2.0], [3.0, 4.0]])
    parts = {"excitatory": excitatory, "inhibitory": -10 * excitatory}
    values = np.stack([parts[name] for name in order], axis=1)
    return xr.DataArray(values, {"sign": [*order]}, ("stimulus", "sign", "channel"))


def taken(array, part):
    """All rows, however they are read."""
    return LayerRows("conv1", array, part).reduce(lambda _, rows: rows, lambda a, b: np.r_[a, b])


def test_a_kernel_gives_a_number_for_each_row():
    array = xr.DataArray(np.eye(3), dims=("stimulus", "channel"))
    found = LayerRows("conv1", array, "net").each(lambda rows: rows.sum(axis=1))
    assert found.tolist() == [1.0, 1.0, 1.0]


def test_layers_are_found_by_their_variable():
    node = xr.Dataset({"activation": (("stimulus", "channel"), np.eye(2))})
    tree = xr.DataTree.from_dict({"/conv1": node, "/empty": xr.Dataset()})
    assert list(layers_of(tree, None, ["activation"], "net")) == ["conv1"]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("order", [("excitatory", "inhibitory"), ("inhibitory", "excitatory")])
@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("net", [[-9.0, -18.0], [-27.0, -36.0]]),
        ("excitatory", [[1.0, 2.0], [3.0, 4.0]]),
        ("inhibitory", [[-10.0, -20.0], [-30.0, -40.0]]),
        ("both", [[1.0, 2.0, -10.0, -20.0], [3.0, 4.0, -30.0, -40.0]]),
        (SPLIT, [[[1.0, 2.0], [10.0, 20.0]], [[3.0, 4.0], [30.0, 40.0]]]),
    ],
)
def test_parts_of_contributions_in_whatever_order_their_signs_are(part, wanted, order, lazy):
    array = signed(order)
    found = taken(array.chunk(stimulus=1) if lazy else array, part)
    assert (found.compute() if lazy else found).tolist() == wanted
