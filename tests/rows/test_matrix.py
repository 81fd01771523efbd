"""A layer as samples by channels of one sign, and what is checked of rows and loadings."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import InputError
from neurocodec.rows import matrix as rows

SIGNS = ["excitatory", "inhibitory"]


def contributions():
    values = np.random.default_rng(0).random((5, 2, 3)) * np.array([1.0, -1.0])[:, None]
    return xr.DataArray(values, {"sign": SIGNS, "channel": [4, 5, 6]}, ("time", "sign", "channel"))


@pytest.mark.parametrize("sign", ["excitatory", "net", "both"])
def test_nan_is_seen_whatever_the_sign(sign):
    data = contributions()
    data[2, 0, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        rows.select_rows(data, sign)


def test_net_is_the_sum_of_both_signs():
    data = contributions()
    expected = data.values[:, 0] + data.values[:, 1]
    np.testing.assert_allclose(rows.select_rows(data, "net").values, expected)


def test_rows_of_another_sign_are_refused():
    data = contributions()
    excitatory, inhibitory = (data.sel(sign=s) for s in SIGNS)
    modes = inhibitory.rename(time="mode")
    rows.require_same_features(inhibitory, modes)
    with pytest.raises(InputError, match="sign excitatory.*fitted to inhibitory"):
        rows.require_same_features(excitatory, modes)
    with pytest.raises(InputError, match="sign none"):
        rows.require_same_features(inhibitory.drop_vars("sign"), modes)
    rows.require_same_features(excitatory.drop_vars("sign"), excitatory.rename(time="mode"))


def test_of_both_signs_the_wanted_one_is_taken():
    parts = xr.DataArray([[[2.0], [-1.0]]], {"sign": SIGNS}, ("time", "sign", "channel"))
    assert rows.select_rows(parts, "inhibitory").values.tolist() == [[-1.0]]
    assert rows.select_rows(parts, "net").values.tolist() == [[1.0]]


def test_one_sign_stays_as_a_coordinate_and_nan_stays_nan():
    data = contributions()
    data[2, 0, 1] = np.nan
    assert rows.of_sign(data, "inhibitory").sign == "inhibitory"
    assert np.isnan(rows.of_sign(data, "net")[2, 1])
    with pytest.raises(InputError, match="'excitatory'"):
        rows.of_sign(data, "excitatry")
    with pytest.raises(InputError, match="has no labels"):
        rows.of_sign(data.drop_vars("sign"), "excitatory")


def test_the_contribution_of_a_layer_is_found():
    assert rows.contribution_of(xr.Dataset({"contribution": ("time", [1.0])})).dims == ("time",)


def test_the_inhibitory_part_has_the_other_polarity():
    inhibitory = xr.DataArray([[-1.0, -2.0]], {"sign": "inhibitory"}, ("time", "channel"))
    assert rows.polarity(inhibitory).tolist() == [-1.0, -1.0]


def test_a_matrix_has_the_inhibitory_part_positive():
    inhibitory = xr.DataArray([[-1.0, -2.0]], {"sign": "inhibitory"}, ("time", "channel"))
    assert rows.matrix(inhibitory).tolist() == [[1.0, 2.0]]


def test_coordinates_along_dims():
    data = xr.DataArray([[1.0]], {"time": [0.0], "channel": [4]}, ("time", "channel"))
    assert list(rows.coords_along(data, ("channel",))) == ["channel"]
    assert list(rows.coords_along(data.assign_coords(sign="net"), ("channel",))) == [
        "channel",
        "sign",
    ]


def test_coordinates_of_one_dim_have_no_scalars():
    data = xr.DataArray([1.0], {"cell": ["a"], "sign": "net"}, dims="cell")
    assert list(rows.coords_of(data, "cell")) == ["cell"]


def test_loadings_come_with_their_samples_first():
    values, ordered = rows.require_loadings(xr.DataArray([[1.0, 2.0]], dims=("mode", "time")))
    assert values.shape == (2, 1)
    assert ordered.dims == ("time", "mode")


def test_rows_of_other_channels_are_refused():
    data = xr.DataArray([[1.0]], {"channel": [4]}, ("time", "channel"))
    with pytest.raises(InputError) as found:
        rows.require_same_features(data, data.rename(time="mode").assign_coords(channel=[5]))
    assert str(found.value) == (
        "rows with other channels than the modes were fitted to: missing 5, not fitted 4\n"
        "  expected: the same 'channel' in the same order\n"
        "  try: data.sel(channel=modes.dictionary.channel)"
    )


def test_channels_in_their_order_are_taken_and_others_refused():
    rows.require_channel_order(xr.DataArray([1.0], {"channel": [0]}, "channel"), "modes")
    rows.require_channel_order(xr.DataArray([1.0, 2.0], dims="channel"), "modes")
    with pytest.raises(InputError, match="modes= weights of the channels"):
        rows.require_channel_order(xr.DataArray([1.0], {"channel": [1]}, "channel"), "modes")
