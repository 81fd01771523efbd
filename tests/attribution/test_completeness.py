"""How completely contributions explain their target, by hand."""

import pytest
import xarray as xr

from neurocodec.attribution.completeness import completeness, relative_error, target_change


@pytest.fixture
def layer():
    parts = xr.DataArray([[1.0, 2.0]], dims=("time", "channel"))
    error = xr.DataArray([1.0], dims="time")
    return xr.Dataset({"contribution": parts, "completeness_error": error})


def test_the_target_changes_by_what_the_contributions_sum_to_less_their_error(layer):
    assert target_change(layer).item() == 2.0


def test_the_error_is_relative_to_the_change(layer):
    assert relative_error(layer).tolist() == [0.5]


def test_every_layer_has_its_errors(layer):
    tree = xr.DataTree.from_dict({"/layer1": layer})
    assert completeness(tree).sel(quantile=1.0).values.tolist() == [0.5]
