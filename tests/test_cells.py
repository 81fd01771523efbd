import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.metrics import adjusted_rand_score, silhouette_score

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError


def correlations(cells_of_type=6, seed=0):
    """Patterns of three types of cells over five modes, with a little noise."""
    random = np.random.default_rng(seed)
    types = np.repeat(["ON", "OFF", "ON-OFF"], cells_of_type)
    means = {"ON": [0.8, 0, 0, 0, 0.2], "OFF": [0, 0.9, 0, 0, 0], "ON-OFF": [0, 0, 0.7, 0.7, 0]}
    values = np.array([means[t] for t in types]).T + 0.05 * random.standard_normal((5, len(types)))
    names = np.array([f"cell {i}" for i in range(len(types))])
    coords = {"cell": names, "cell_type": ("cell", types)}
    return labels.labelled(values, ("mode", "cell"), coords, name="correlation")


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


def test_true_types_are_found_and_their_number_chosen():
    corr = correlations()
    found = nc.cluster_cells(corr)
    assert int(found.n_clusters) == 3
    assert float(nc.cluster_agreement(found, corr.cell_type)) == 1.0
    assert found.cluster.cell_type.values.tolist() == corr.cell_type.values.tolist()
    assert found.cluster.values.tolist() == [0] * 6 + [1] * 6 + [2] * 6


def test_the_curve_agrees_with_scikit_learn_at_the_clusters_found():
    corr = correlations()
    for k in (2, 3, 5):
        found = nc.cluster_cells(corr, k=k)
        assert int(found.n_clusters) == k
        expected = silhouette_score(corr.values.T, found.cluster.values)
        assert found.silhouette.sel(k=k) == pytest.approx(expected)


def test_clusters_are_numbered_by_falling_size():
    corr = correlations()[:, [0, 6, 7, 8, 9, 12, 13]]
    assert nc.cluster_cells(corr, k=3).cluster.values.tolist() == [2, 0, 0, 0, 0, 1, 1]


def test_the_same_seed_gives_the_same_clusters_and_no_global_state_is_used():
    corr = correlations(seed=3)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    xr.testing.assert_identical(nc.cluster_cells(corr, seed=4), nc.cluster_cells(corr, seed=4))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_cells_without_a_pattern_are_unassigned_and_dead_modes_left_out():
    corr = correlations()
    corr[2, :] = np.nan
    corr[:, 4] = np.nan
    found = nc.cluster_cells(corr)
    assert found.cluster[4] == -1
    kept = corr.isel(mode=[0, 1, 3, 4], cell=[i for i in range(18) if i != 4])
    np.testing.assert_array_equal(found.cluster[found.cluster >= 0], nc.cluster_cells(kept).cluster)
    assert nc.cluster_agreement(found, corr.cell_type).attrs["cells"] == 17


def test_fewer_different_patterns_than_clusters_make_no_warning():
    pattern = np.repeat([[1.0, 0.0], [0.0, 1.0]], 4, axis=0).T
    found = nc.cluster_cells(xr.DataArray(pattern, dims=("mode", "cell")))
    assert found.k.values.tolist() == [2]
    assert found.cluster.values.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (2, {}, "2 cells"),
        (8, {"k": 1}, "k=1"),
        (8, {"k": 8}, "from 2 to 7"),
        (8, {"k": "elbow"}, "elbow"),
        (8, {"k_max": 1}, "k_max=1"),
    ],
)
def test_impossible_clusterings_are_refused(cells, options, message):
    with pytest.raises(InputError, match=message):
        nc.cluster_cells(correlations()[:, :cells], **options)


def test_patterns_that_are_all_the_same_or_partly_nan_are_refused():
    with pytest.raises(InputError, match="1 different"):
        nc.cluster_cells(xr.DataArray(np.ones((2, 5)), dims=("mode", "cell")))
    corr = correlations()
    corr[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        nc.cluster_cells(corr)
    with pytest.raises(InputError, match="cell"):
        nc.cluster_cells(corr.rename(cell="neuron"))


def test_agreement_is_scikit_learns_adjusted_rand_index():
    random = np.random.default_rng(0)
    a, b = (xr.DataArray(random.integers(0, 3, 30), dims="cell") for _ in range(2))
    result = nc.cluster_agreement(a, b)
    assert float(result) == pytest.approx(adjusted_rand_score(a, b))
    assert result.name == "adjusted_rand_index"
    assert labels.provenance(result)["function"] == "nc.cluster_agreement"


def test_clusterings_of_other_cells_are_refused():
    a = xr.DataArray([0, 1, 1], {"cell": ["a", "b", "c"]}, dims="cell")
    with pytest.raises(InputError, match="different 'cell'"):
        nc.cluster_agreement(a, a.assign_coords(cell=["a", "b", "d"]))
    with pytest.raises(InputError, match="0 cells"):
        nc.cluster_agreement(a, xr.full_like(a, -1))


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
