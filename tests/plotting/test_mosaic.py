"""Circles are where the cells look, as large as their centres, in the colour of their kind."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError


def shapes():
    return xr.Dataset(
        {
            "y_center": ("cell", [1.0, 5.0, np.nan]),
            "x_center": ("cell", [2.0, 7.0, np.nan]),
            "radius": ("cell", [0.5, 1.5, np.nan]),
            "polarity": ("cell", ["ON", "OFF", ""]),
        },
        {"cell": ["a", "b", "silent"]},
    )


def test_each_cell_is_drawn_where_it_looks():
    ax = nc.plot.mosaic(shapes(), um_per_pixel=50.0, names=True)
    assert [c.center for c in ax.patches] == [(100.0, 50.0), (350.0, 250.0)]
    assert [c.radius for c in ax.patches] == [25.0, 75.0]
    assert ax.get_xlabel() == "x (um)"
    assert ax.get_title(loc="left") == "2 cells, 1 without a field"
    assert [t.get_text() for t in ax.texts] == ["a", "b"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["ON", "OFF"]
    first, second = (c.get_edgecolor() for c in ax.patches)
    assert first != second
    assert ax.yaxis_inverted()


def test_kinds_may_be_any_coordinate():
    data = shapes().assign_coords(cluster=("cell", [1, 1, 0]))
    ax = nc.plot.mosaic(data, by="cluster")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["1"]
    assert not ax.texts


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (shapes().drop_vars("radius"), {}, "'radius' of each cell"),
        (shapes().expand_dims(time=2), {}, "no other dim"),
        (shapes(), {"by": "kind"}, "by='kind'"),
        (shapes(), {"um_per_pixel": 0}, "um_per_pixel"),
    ],
)
def test_bad_shapes_are_named(data, options, said):
    with pytest.raises(InputError, match=said):
        nc.plot.mosaic(data, **options)
