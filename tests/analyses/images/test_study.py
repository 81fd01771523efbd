"""Halves of the images of an analysis."""

import numpy as np
import xarray as xr

from neurocodec.analyses.images.study import Halves


def test_half_of_the_images_are_seen_and_the_others_held_out():
    halves = Halves.of(xr.DataArray(np.zeros(4), dims="stimulus"), 0.5, seed=0)
    numbers = xr.DataArray(np.arange(4), dims="stimulus")
    assert halves.fitted(numbers).size == 2
    both = [*halves.fitted(numbers).values, *halves.judged(numbers).values]
    assert sorted(both) == [0, 1, 2, 3]
