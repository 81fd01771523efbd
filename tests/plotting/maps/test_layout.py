"""What runs along which axis of a figure of maps."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.plotting.maps.layout import (
    Layout,
    aligned,
    free_dims,
    item_names,
    layout_of,
    results_of,
    series_of,
)


def test_stimuli_are_the_rows():
    maps = xr.DataArray(np.ones((2, 4, 3, 8, 8)), dims=("stimulus", "mode", "color", "y", "x"))
    assert layout_of([maps], None, None) == Layout("stimulus", on_rows=True, apart=False)


def test_a_file_of_maps_is_one_result():
    (found,) = results_of(xr.DataTree(xr.Dataset()))
    assert isinstance(found, xr.Dataset)
    with pytest.raises(InputError, match="no as maps"):
        results_of([])


def test_signs_and_pixels_are_no_rows():
    maps = xr.DataArray(np.ones((2, 2, 1, 1)), dims=("mode", "sign", "y", "x"))
    assert free_dims(maps) == ["mode"]


def test_every_mode_is_a_series():
    maps = xr.DataArray(np.ones((2, 1, 4, 4)), {"mode": [3, 5]}, ("mode", "color", "y", "x"))
    assert [one.title for one in series_of(maps, maps, [])] == ["mode 3", "mode 5"]


def test_one_image_stands_before_its_modes():
    maps = xr.DataArray(np.ones((2, 4, 4)), {"mode": [3, 5]}, ("mode", "y", "x"))
    apart = Layout("mode", on_rows=True, apart=True)
    assert item_names(maps, apart) == ["image", "mode 3", "mode 5"]


def test_images_are_taken_in_the_order_of_the_maps():
    images = xr.DataArray(np.ones((3, 4, 4)), {"stimulus": [0, 1, 2]}, ("stimulus", "y", "x"))
    found = aligned(images, images.sel(stimulus=[2, 0]))
    assert found.stimulus.values.tolist() == [2, 0]
