"""Pictures of what a network takes."""

import numpy as np
import xarray as xr

from neurocodec.adapters.images.pictures import pictures


def test_a_normalisation_is_measured_and_undone():
    def centred(image):
        return np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - 0.5

    images = xr.DataArray(np.zeros((1, 3, 2, 2)), dims=("stimulus", "color", "y", "x"))
    found = pictures(images, centred)
    assert found.values.max() == 0.5
    assert found.attrs["comment"] == "normalisation undone"
