"""Panels of figures of maps."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.plotting.maps import panels
from neurocodec.plotting.style import new_axes


def test_the_filter_goes_by_the_size_of_the_maps():
    maps = xr.DataArray(np.ones((3, 224, 224)), dims=("color", "y", "x"))
    options = {"kind": "both", "contrast": 0.7, "quantile": 0.99, "shared": False}
    assert panels.look_of([maps], filter=None, **options).filter == 5
    assert panels.look_of([maps], filter=7, **options).filter == 7


def test_a_selection_with_a_map_is_taken():
    maps = xr.DataArray(np.ones((1, 4, 4)), dims=("mode", "y", "x"))
    panels.require_any(maps)
    with pytest.raises(InputError, match="at least one map"):
        panels.require_any(maps[:0])


def test_the_colors_of_an_image_come_last():
    image = panels.draw_image(new_axes(None, 2.0), np.ones((3, 4, 5)))
    assert image.get_array().shape == (4, 5, 3)


def test_a_signed_map_is_white_at_zero():
    maps, picture = np.ones((1, 4, 4)), np.ones((3, 4, 4))
    drawn = panels.draw_map(new_axes(None, 2.0), maps, picture, "signed", panels.Look())
    assert drawn.get_clim() == (-1.0, 1.0)


def test_bare_axes_have_no_ticks():
    panels.bare(ax := new_axes(None, 2.0))
    assert len(ax.get_xticks()) == 0
    assert ax.spines["left"].get_visible()


def test_empty_axes_have_no_frame():
    panels.empty_all([ax := new_axes(None, 2.0)])
    assert not ax.spines["left"].get_visible()
