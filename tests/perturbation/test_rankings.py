"""Classes of scores, and which samples a ranking has seen."""

import numpy as np
import xarray as xr

from neurocodec.perturbation.rankings import group_dim, shared_share, sketch


def test_the_dim_of_the_classes():
    assert group_dim(xr.DataArray([[1.0]], dims=("concept", "channel"))) == "concept"


def test_a_sketch_counts_its_samples():
    assert sketch(xr.DataArray([1.0, 2.0], {"stimulus": [7, 9]}, "stimulus"))["count"] == 2


def test_the_share_of_samples_that_are_in_a_sketch():
    samples = xr.DataArray(np.zeros(4), {"stimulus": [0, 1, 2, 3]}, "stimulus")
    assert shared_share(samples, sketch(samples.isel(stimulus=[0]))) == 0.25
