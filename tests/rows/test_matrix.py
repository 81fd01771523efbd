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
