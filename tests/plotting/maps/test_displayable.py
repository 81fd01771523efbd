"""Images of a network as pictures."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.plotting.maps.displayable import displayable, require_images


def test_preprocessing_is_undone_and_grey_images_get_three_colors():
    taken = xr.DataArray(np.array([[[-1.0, 1.0]]]), dims=("color", "y", "x"))
    picture, how = displayable(taken, lambda image: np.asarray(image)[None, ..., 0] / 127.5 - 1)
    assert picture.sizes["color"] == 3
    assert picture.isel(color=0).values.tolist() == [[0.0, 1.0]]
    assert how == "Images: normalisation undone."


def test_images_are_arrays_over_y_and_x():
    require_images(xr.DataArray(np.ones((3, 4, 4)), dims=("color", "y", "x")))
    with pytest.raises(InputError, match="images of type ndarray"):
        require_images(np.ones((3, 4, 4)))
