import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr, spearmanr

import neurocodec as nc
from neurocodec.errors import InputError


def test_every_mode_is_correlated_with_every_cell():
    random = np.random.default_rng(0)
    time = {"time": np.arange(50) / 100}
    loadings = xr.DataArray(random.random((50, 3)), time, ("time", "mode"))
    rates = xr.DataArray(
        random.random((2, 50)), {**time, "cell_type": ("cell", ["a", "b"])}, ("cell", "time")
    )
    corr = nc.correlate(loadings, rates)
    assert corr.dims == ("mode", "cell")
    assert corr.name == "correlation"
    assert corr.attrs["units"] == "1"
    assert corr.cell_type.values.tolist() == ["a", "b"]
    for i in range(3):
        for j in range(2):
            assert corr[i, j] == pytest.approx(pearsonr(loadings[:, i], rates[j]).statistic)


def test_ranks_give_spearmans_correlation_and_roots_pearsons_of_the_roots():
    random = np.random.default_rng(0)
    a = xr.DataArray(random.integers(0, 4, (60, 3)).astype(float), dims=("time", "mode"))
    b = xr.DataArray(random.normal(size=(60, 2)), dims=("time", "cell"))
    ranks = nc.correlate(a, b, transform="rank")
    roots = nc.correlate(a, b, transform="sqrt")
    for i in range(3):
        for j in range(2):
            assert ranks[i, j] == pytest.approx(spearmanr(a[:, i], b[:, j]).statistic)
            root = np.sign(b[:, j]) * np.sqrt(np.abs(b[:, j]))
            assert roots[i, j] == pytest.approx(pearsonr(np.sqrt(a[:, i]), root).statistic)
    with pytest.raises(InputError, match="'squrt'"):
        nc.correlate(a, b, transform="squrt")


def test_one_series_and_maps_are_correlated_too():
    random = np.random.default_rng(0)
    target = xr.DataArray(random.random(20), dims="stimulus")
    maps = xr.DataArray(random.random((20, 2, 3)), dims=("stimulus", "y", "x"))
    corr = nc.correlate(target, maps)
    assert corr.dims == ("y", "x")
    assert corr[1, 2] == pytest.approx(np.corrcoef(target, maps[:, 1, 2])[0, 1])


def test_silent_modes_are_nan():
    loadings = xr.DataArray([[0.0, 1.0], [0.0, 2.0]], dims=("time", "mode"))
    corr = nc.correlate(loadings, xr.DataArray([3.0, 4.0], dims="time"))
    assert np.isnan(corr).values.tolist() == [True, False]


def test_other_samples_are_refused_not_joined():
    a = xr.DataArray(np.eye(3), {"time": [0.0, 0.1, 0.2]}, ("time", "mode"))
    b = a.rename(mode="cell").assign_coords(time=[0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="different 'time'"):
        nc.correlate(a, b)
    with pytest.raises(InputError, match="different 'time'"):
        nc.correlate(a, b.isel(time=slice(2)))


def test_two_arrays_of_cells_ask_for_a_name():
    rates = xr.DataArray(np.eye(3), dims=("time", "cell"))
    with pytest.raises(InputError, match="other_cell"):
        nc.correlate(rates, rates)
    assert nc.correlate(rates, rates.rename(cell="other_cell")).dims == ("cell", "other_cell")


def network_tree():
    time = {"time": [0.0, 0.1]}
    first = xr.Dataset(
        {
            "activation": (("time", "channel"), [[1.0, 2.0], [3.0, 4.0]], {"units": "mV"}),
            "contribution": (("time", "sign", "channel"), [[[5.0, 6.0], [-1.0, 0.0]]] * 2),
        },
        {
            "sign": ["excitatory", "inhibitory"],
            "channel": [4, 7],
            "cell_type": ("channel", ["ON bipolar", "OFF bipolar"]),
        },
    )
    second = xr.Dataset(
        {"activation": (("time", "channel", "y", "x"), np.arange(8.0).reshape(2, 1, 2, 2))}
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(coords=time), "/a": first, "/b": second})


def test_channels_and_positions_of_all_layers_are_cells():
    cells = nc.as_cells(network_tree())
    assert cells.dims == ("time", "cell")
    assert cells.cell.values.tolist() == ["a/4", "a/7", "b/0/0/0", "b/0/0/1", "b/0/1/0", "b/0/1/1"]
    assert cells.values.tolist() == [[1, 2, 0, 1, 2, 3], [3, 4, 4, 5, 6, 7]]
    assert cells.layer.values.tolist() == ["a", "a", "b", "b", "b", "b"]
    assert cells.channel.values.tolist() == [4, 7, 0, 0, 0, 0]
    assert cells.y.values.tolist() == [-1, -1, 0, 0, 1, 1]
    assert cells.x.values.tolist() == [-1, -1, 0, 1, 0, 1]
    assert cells.cell_type.values.tolist() == ["ON bipolar", "OFF bipolar", "", "", "", ""]
    assert cells.time.values.tolist() == [0.0, 0.1]
    assert cells.attrs["units"] == "mV"


@pytest.mark.parametrize(
    ("sign", "expected"), [("net", [4, 6]), ("excitatory", [5, 6]), ("inhibitory", [-1, 0])]
)
def test_the_sign_of_contributions_is_chosen(sign, expected):
    cells = nc.as_cells(network_tree(), "contribution", sign=sign)
    assert cells.values.tolist() == [expected] * 2
    assert cells.name == "contribution"
    assert "sign" not in cells.coords


def test_nan_of_one_sign_is_no_zero_in_the_sum_of_both():
    tree = network_tree()
    tree["a"].contribution[0, 0, 1] = np.nan
    found = nc.as_cells(tree, "contribution")
    assert np.isnan(found.values).sum() == 1


def test_model_cells_go_where_recorded_cells_go():
    cells = nc.as_cells(network_tree(), layers=["a"])
    recorded = xr.DataArray([[2.0], [1.0]], {"time": [0.0, 0.1]}, ("time", "neuron"))
    np.testing.assert_allclose(nc.correlate(cells, recorded), [[-1.0], [-1.0]])


def test_cells_survive_a_file(tmp_path):
    cells = nc.as_cells(network_tree())
    nc.save(cells, tmp_path / "cells.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "cells.nc"), cells)


def test_unknown_layers_variables_and_signs_are_named():
    tree = network_tree()
    with pytest.raises(InputError, match="'activatoin'"):
        nc.as_cells(tree, "activatoin")
    with pytest.raises(InputError, match="layer.*'c'"):
        nc.as_cells(tree, layers=["c"])
    with pytest.raises(InputError, match="'positive'"):
        nc.as_cells(tree, "contribution", sign="positive")
    with pytest.raises(InputError, match="Dataset"):
        nc.as_cells(tree["a"].to_dataset())
