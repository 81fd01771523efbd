"""The mosaic of effective fields: which image, which part of it, in which row."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError


@pytest.fixture
def images() -> xr.DataArray:
    values = np.random.default_rng(0).random((3, 3, 8, 8))
    return xr.DataArray(values, {"stimulus": list("abc")}, ("stimulus", "color", "y", "x"))


@pytest.fixture
def fields() -> xr.Dataset:
    """Four vectors whose fields are single pixels; squares of 4 pixels around them."""
    field, boxes = np.zeros((4, 8, 8)), []
    for i, (y, x) in enumerate([(1, 1), (6, 6), (3, 4), (4, 3)]):
        field[i, y - 1 : y + 2, x - 1 : x + 2] = 1
        top, left = min(max(y - 2, 0), 4), min(max(x - 2, 0), 4)
        boxes.append([top, top + 4, left, left + 4])
    return xr.Dataset(
        {
            "effective_field": (("vector", "y", "x"), field),
            "field_box": (("vector", "edge"), boxes),
        },
        {"stimulus": ("vector", list("caab")), "mode": ("vector", [5, 5, 2, 5])},
    )


def test_each_field_is_in_the_square_of_its_own_image(fields, images):
    figure = nc.plot.effective_fields(fields, images, columns=4, shade=1.0)
    assert len(figure.axes) == 4
    for i, (ax, name) in enumerate(zip(figure.axes, "caab", strict=True)):
        top, bottom, left, right = fields.field_box.values[i]
        expected = images.sel(stimulus=name).values[:, top:bottom, left:right]
        shown = np.moveaxis(np.asarray(ax.images[0].get_array()), 2, 0)
        np.testing.assert_allclose(shown, expected, atol=1e-6)
        assert ax.get_xlabel() == name


def test_the_context_is_dark_and_the_field_is_not(fields, images):
    figure = nc.plot.effective_fields(fields, images, columns=4, shade=0.25)
    shown = np.asarray(figure.axes[2].images[0].get_array())
    whole = images.sel(stimulus="a").values[:, 1:5, 2:6].transpose(1, 2, 0)
    np.testing.assert_allclose(shown[2, 2], whole[2, 2], atol=1e-6)
    np.testing.assert_allclose(shown[0, 0], whole[0, 0] * 0.25, atol=1e-6)


def test_rows_are_those_of_a_coordinate(fields, images):
    figure = nc.plot.effective_fields(fields, images, by="mode", columns=2)
    assert [ax.get_xlabel() for ax in figure.axes] == ["c", "a", "a"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["mode 5", "", "mode 2"]


def test_what_cannot_be_drawn_is_named(fields, images):
    with pytest.raises(InputError, match=r"by='cluster'"):
        nc.plot.effective_fields(fields, images, by="cluster")
    with pytest.raises(InputError, match="not among those given"):
        nc.plot.effective_fields(fields, images[:1])
    with pytest.raises(InputError, match="not among those given"):
        nc.plot.effective_fields(fields, images[..., :5])
    with pytest.raises(InputError, match=r"nc\.effective_fields"):
        nc.plot.effective_fields(fields[["field_box"]], images)
    with pytest.raises(InputError, match="500 effective fields"):
        nc.plot.effective_fields(fields.isel(vector=[0] * 500), images)
    with pytest.raises(InputError, match="columns=0"):
        nc.plot.effective_fields(fields, images, columns=0)
