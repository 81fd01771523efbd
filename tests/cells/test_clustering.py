"""Clusters of cells: planted types, scikit-learn's scores, chance, stability, names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.special import comb
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score

import neurocodec as nc
from neurocodec import labels, plotting
from neurocodec.cells import cluster_stability as stable_clusters
from neurocodec.cells.clustering import (
    cell_patterns,
    clustering_of,
    divide,
    is_one_type,
    misplaced_cells,
)
from neurocodec.errors import InputError, UnknownNameError

METHODS = ["kmeans", "agglomerative", "gaussian mixture", "spectral"]


TYPES = np.repeat(["ON", "OFF", "ON-OFF"], 6)


def correlations(cells_of_type=6, seed=0):
    """Patterns of three types of cells over five modes, with a little noise."""
    random = np.random.default_rng(seed)
    types = np.repeat(["ON", "OFF", "ON-OFF"], cells_of_type)
    means = {"ON": [0.8, 0, 0, 0, 0.2], "OFF": [0, 0.9, 0, 0, 0], "ON-OFF": [0, 0, 0.7, 0.7, 0]}
    values = np.array([means[t] for t in types]).T + 0.05 * random.standard_normal((5, len(types)))
    names = np.array([f"cell {i}" for i in range(len(types))])
    coords = {"cell": names, "cell_type": ("cell", types)}
    return labels.labelled(values, ("mode", "cell"), coords, name="correlation")


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


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_planted_types(method):
    corr = correlations()
    found = nc.cluster_cells(corr, method=method)
    assert int(found.n_clusters) == 3
    assert float(nc.cluster_agreement(found, corr.cell_type)) == 1.0
    assert found.cluster.values.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    xr.testing.assert_identical(found, nc.cluster_cells(corr, method=method))


def test_standardised_modes_count_alike():
    corr = correlations()
    scaled = corr * xr.DataArray([1.0, 20.0, 0.01, 3.0, 1.0], dims="mode") + 5
    found, expected = (nc.cluster_cells(c, standardise=True) for c in (scaled, corr))
    np.testing.assert_array_equal(found.cluster, expected.cluster)
    np.testing.assert_allclose(found.silhouette, expected.silhouette)
    z = (corr - corr.mean("cell")) / corr.std("cell")
    np.testing.assert_allclose(expected.silhouette, nc.cluster_cells(z).silhouette)


def test_agglomerative_clusters_are_scipys_of_ward():
    random = np.random.default_rng(3)
    corr = xr.DataArray(random.normal(size=(5, 12)), dims=("mode", "cell"))
    found = nc.cluster_cells(corr, k=4, method="agglomerative")
    expected = fcluster(linkage(corr.values.T, "ward"), 4, "maxclust")
    assert adjusted_rand_score(found.cluster, expected) == 1.0


def test_unknown_methods_are_named():
    with pytest.raises(UnknownNameError, match="'kmean'"):
        nc.cluster_cells(correlations(), method="kmean")


def test_clusters_are_more_than_chance_where_there_are_types_and_not_where_there_is_one():
    found = nc.cluster_cells(correlations(), k_max=4, references=9)
    assert float(found.p_value) == 1 / 10
    one = correlations()
    one.values[:] = 0.5 + 0.1 * np.random.default_rng(0).standard_normal(one.shape)
    null = nc.cluster_cells(one, k_max=4, references=9)
    assert float(null.p_value) > 0.1
    assert "p_value" not in nc.cluster_cells(one)


def test_one_gaussian_is_rarely_called_structured():
    """Of data that are the null, at most about a tenth has a p-value of 0.1."""
    p = []
    for seed in range(12):
        drawn = np.random.default_rng(seed).normal(size=(3, 16))
        corr = xr.DataArray(drawn, dims=("mode", "cell"))
        found = nc.cluster_cells(corr, k_max=5, references=9, method="agglomerative")
        p.append(float(found.p_value))
    assert np.mean(np.array(p) <= 0.1) <= 0.25
    assert np.median(p) > 0.2


def test_agreement_beyond_chance_has_the_p_value_of_all_permutations():
    """Of 6 cells in two clusters of 3, 2 of the 20 ways to choose 3 are the same clusters."""
    a = xr.DataArray([0, 0, 0, 1, 1, 1], dims="cell")
    found = nc.cluster_agreement(a, a, permutations=2000)
    assert float(found) == 1.0
    assert float(found.p_value) == pytest.approx(2 / comb(6, 3), abs=0.02)
    assert found.p_value.attrs["long_name"]
    xr.testing.assert_identical(found, nc.cluster_agreement(a, a, permutations=2000))
    unrelated = xr.DataArray([0, 1, 0, 1, 0, 1], dims="cell")
    assert float(nc.cluster_agreement(a, unrelated, permutations=200).p_value) > 0.5
    random = np.random.default_rng(0)
    b, c = (xr.DataArray(random.integers(0, 3, 12), dims="cell") for _ in range(2))
    expected = [adjusted_rand_score(random.permutation(b), c) for _ in range(300)]
    share = np.mean(np.array(expected) >= adjusted_rand_score(b, c) - 1e-12)
    assert float(nc.cluster_agreement(b, c, permutations=1000).p_value) == pytest.approx(
        share, abs=0.08
    )
    assert "p_value" not in nc.cluster_agreement(a, a).coords


def driven(seconds=20, noise=0.1, seed=0):
    """Loadings of three modes, and rates of cells of two types that follow one mode each."""
    random = np.random.default_rng(seed)
    events = np.repeat(random.random((seconds * 5, 3)) < 0.3, 20, axis=0)
    time = {"time": np.arange(len(events)) / 100}
    loadings = xr.DataArray(events * random.random(events.shape), time, ("time", "mode"))
    rates = loadings.values[:, [0, 0, 0, 1, 1, 1, 1]]
    rates = 50 * np.maximum(rates + noise * random.standard_normal(rates.shape), 0)
    cells = {"cell": [f"c{i}" for i in range(7)], "cell_type": ("cell", ["A"] * 3 + ["B"] * 4)}
    return loadings, xr.DataArray(rates, {**time, **cells}, ("time", "cell"))


def test_clear_types_are_stable_and_noise_is_not():
    loadings, rates = driven()
    found = nc.cluster_stability(loadings, rates, resamples=10, block=1.0)
    assert (found.stability == 1).all()
    assert (found.adjusted_rand_index == 1).all()
    assert found.sizes["resample"] == 10
    same = rates.cell_type.values[:, None] == rates.cell_type.values
    np.testing.assert_array_equal(found.co_clustering, same)
    assert found.co_clustering.dims == ("cell", "other_cell")
    assert found.stability.cell_type.values.tolist() == ["A"] * 3 + ["B"] * 4
    noise = rates.copy(data=np.random.default_rng(0).random(rates.shape))
    loose = nc.cluster_stability(loadings, noise, 3, resamples=10, block=1.0)
    assert loose.stability.mean() < 0.8
    assert loose.adjusted_rand_index.mean() < 0.6
    np.testing.assert_array_equal(loose.co_clustering, loose.co_clustering.T)
    np.testing.assert_array_equal(np.diag(loose.co_clustering), 1)


def test_a_cell_between_two_types_is_the_unstable_one():
    loadings, rates = driven()
    mixed = rates.copy()
    mixed[:, 2] = (rates[:, 0] + rates[:, 3]).values
    found = nc.cluster_stability(loadings, mixed, 2, resamples=20, block=1.0)
    assert int(np.argmin(found.stability.values)) == 2
    assert found.stability[2] < found.stability[[0, 1, 3, 4, 5, 6]].min()


def test_stability_is_the_same_for_the_same_seed_and_survives_a_file(tmp_path):
    loadings, rates = driven(5)
    found = nc.cluster_stability(loadings, rates, resamples=3, block=0.5, seed=2)
    again = nc.cluster_stability(loadings, rates, resamples=3, block=0.5, seed=2)
    xr.testing.assert_identical(found, again)
    nc.save(found, tmp_path / "stability.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "stability.nc"), found)


def test_a_silent_cell_has_no_cluster_and_no_stability():
    loadings, rates = driven(5)
    rates[:, 6] = 0.0
    found = nc.cluster_stability(loadings, rates, resamples=3, block=0.5)
    assert found.cluster[6] == -1
    assert np.isnan(found.stability[6])
    assert (found.co_clustering[6, :6] == 0).all()


@pytest.mark.parametrize("block", [0.0, 3.0])
def test_blocks_that_do_not_fit_are_refused(block):
    with pytest.raises(InputError, match="blocks of"):
        nc.cluster_stability(*driven(5), block=block)


def test_types_are_written_onto_rates_datasets_and_trees():
    rates = xr.DataArray(np.ones((2, 3)), {"cell": ["a", "b", "c"]}, ("time", "cell"), name="r")
    found = xr.Dataset({"cluster": ("cell", [1, 0, -1])}, {"cell": ["a", "b", "c"]})
    expected = ["ON", "OFF", "unassigned"]
    for names in (["OFF", "ON"], {1: "ON", 0: "OFF"}):
        assert nc.label_cells(rates, found, names).cell_type.values.tolist() == expected
    assert nc.label_cells(rates, found).cell_type.values.tolist() == [
        "cluster 1",
        "cluster 0",
        "unassigned",
    ]
    data = nc.label_cells(rates.to_dataset(), found, ["OFF", "ON"])
    assert data.r.cell_type.values.tolist() == expected
    tree = xr.DataTree.from_dict({"/train": rates.to_dataset(), "/movie": xr.Dataset({"x": 1})})
    labelled = nc.label_cells(tree, found, ["OFF", "ON"])
    assert labelled["train"].cell_type.values.tolist() == expected
    assert labelled["movie"].to_dataset().identical(xr.Dataset({"x": 1}))
    assert "cell_type" not in rates.coords
    assert "cell_type" not in tree["train"].coords


def test_types_of_other_cells_or_without_names_are_refused():
    rates = xr.DataArray(np.ones((2, 2)), {"cell": ["a", "b"]}, ("time", "cell"))
    found = xr.DataArray([0, 1], {"cell": ["b", "a"]}, ("cell",), name="cluster")
    with pytest.raises(InputError, match="different 'cell'"):
        nc.label_cells(rates, found)
    with pytest.raises(InputError, match="different 'cell'"):
        nc.label_cells(rates.to_dataset(name="r"), found)
    with pytest.raises(UnknownNameError, match="cluster '1'"):
        nc.label_cells(rates, found.assign_coords(cell=["a", "b"]), ["ON"])
    with pytest.raises(InputError, match="the dim 'cell'"):
        nc.label_cells(rates.isel(cell=0), found)
    with pytest.raises(InputError, match="without the dim 'cell'"):
        nc.label_cells(xr.DataTree(xr.Dataset({"x": 1})), found)


def test_the_tree_is_beside_the_matrix_in_the_order_of_its_leaves():
    corr = correlations().assign_coords(cell=[f"{t} {i}" for i, t in enumerate(TYPES)])
    corr = corr.isel(cell=np.random.default_rng(0).permutation(18))
    figure = plotting.plot_dendrogram(corr, nc.cluster_cells(corr))
    figure.draw_without_rendering()
    tree, matrix = figure.axes[:2]
    assert len(tree.lines) == 17
    assert tree.get_ylim() == matrix.get_ylim() == (17.5, -0.5)
    names = [t.get_text() for t in matrix.get_yticklabels()]
    types = [n.rsplit(" ", 1)[0] for n in names]
    assert sum(a != b for a, b in pairwise(types)) == 2
    drawn = np.asarray(matrix.images[0].get_array())
    assert np.sort(drawn[0]).tolist() == np.sort(corr.sel(cell=names[0])).tolist()
    heights = np.sort([max(line.get_xdata()) for line in tree.lines])
    np.testing.assert_allclose(heights, linkage(corr.values.T, "ward")[:, 2])
    colors = {line.get_color() for line in tree.lines}
    assert len(colors) == 4  # three clusters, and the joins between them


def test_a_tree_needs_two_cells():
    with pytest.raises(InputError, match="1 cells"):
        plotting.plot_dendrogram(correlations()[:, :1])


def test_cells_without_a_type_are_left_out_of_the_agreement():
    corr = correlations()
    corr[:, 4] = np.nan
    named = nc.label_cells(corr, nc.cluster_cells(corr)).cell_type
    assert nc.cluster_agreement(named, corr.cell_type).attrs["cells"] == 17
    assert float(nc.cluster_agreement(named, corr.cell_type)) == 1.0


def test_silent_cells_of_a_resample_are_no_cluster_of_their_own():
    """Types A and B; where all B are silent, the run says nothing about them."""
    full = xr.Dataset({"cluster": ("cell", [0, 0, 0, 1, 1, 1]), "n_clusters": 2})
    runs = np.array([[0, 0, 0, -1, -1, -1]])
    found = stable_clusters._summary(full, runs)
    expected = adjusted_rand_score([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 2, 3])
    assert float(found.adjusted_rand_index[0]) == pytest.approx(expected)
    np.testing.assert_allclose(found.stability, [1, 1, 1, 1 / 3, 1 / 3, 1 / 3])


def test_no_resample_is_refused():
    with pytest.raises(InputError, match="resamples=0"):
        nc.cluster_stability(*driven(5), resamples=0, block=0.5)


def test_the_number_of_clusters_may_come_from_another_result():
    corr = correlations()
    found = nc.cluster_cells(corr, k=nc.cluster_cells(corr).n_clusters.values[()])
    assert int(found.n_clusters) == 3
    assert nc.labels.provenance(found)["references"] == 0


def test_the_curve_says_how_likely_one_type_is():
    found = nc.cluster_cells(correlations(), k_max=4, references=4)
    ax = plotting.plot_silhouette({"layer1": found, "layer2": nc.cluster_cells(correlations())})
    given = [t.get_text() for t in ax.get_legend().get_texts()]
    assert given == ["layer1, p = 0.2 if there is one type", "layer2"]
    alone = plotting.plot_silhouette(found).get_legend()
    assert [t.get_text() for t in alone.get_texts()] == ["p = 0.2 if there is one type"]
    assert plotting.plot_silhouette(nc.cluster_cells(correlations())).get_legend() is None


def test_images_go_by_their_number_in_a_block():
    loadings, rates = (x.rename(time="stimulus") for x in driven(5))
    names = [f"image {i}" for i in range(len(rates))]
    named = [x.assign_coords(stimulus=names) for x in (loadings, rates)]
    found = nc.cluster_stability(*named, resamples=2, block=20)
    assert found.cluster.values.tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_cells_without_any_pattern_are_drawn_empty():
    ax = plotting.plot_mode_correlation(correlations() * np.nan)
    ax.figure.draw_without_rendering()
    assert np.ma.getmaskarray(np.ma.masked_invalid(ax.images[0].get_array())).all()


def test_patterns_leave_out_silent_cells_and_dead_modes():
    corr = xr.DataArray([[0.5, np.nan], [np.nan, np.nan]], dims=("mode", "cell"))
    patterns, known = cell_patterns(corr)
    assert patterns.tolist() == [[0.5]]
    assert known.tolist() == [True, False]


def test_patterns_are_divided_into_clusters_by_size_then_by_first_cell():
    assert divide(np.array([[5.0], [0.0], [0.1]]), 2, 0, "kmeans").tolist() == [1, 0, 0]
    assert divide(np.array([[5.0], [0.0]]), 2, 0, "kmeans").tolist() == [0, 1]


def test_any_labels_of_cells_are_a_clustering():
    given = xr.DataArray([0, 1], dims="cell")
    assert clustering_of(given).values.tolist() == [0, 1]
    assert clustering_of(given.to_dataset(name="cluster")).values.tolist() == [0, 1]


@pytest.mark.parametrize("k", [True, 2.0, 1, 18])
def test_a_number_of_clusters_that_is_none_is_refused(k):
    with pytest.raises(InputError, match=f"k={k} for 18 cells"):
        nc.cluster_cells(correlations(), k=k)


def test_numbers_of_numpy_are_numbers_of_clusters():
    found = nc.cluster_cells(correlations(), k=np.int64(3), k_max=np.int32(4))
    xr.testing.assert_identical(found, nc.cluster_cells(correlations(), k=3, k_max=4))
    with pytest.raises(InputError, match="k_max=1"):
        nc.cluster_cells(correlations(), k_max=1)


def test_the_pattern_is_what_was_clustered_at_its_place():
    corr = correlations().astype(float)
    corr[:, 3] = np.nan  # a silent cell
    corr[2] = np.nan  # a dead mode
    found = nc.cluster_cells(corr, standardise=True)
    kept = corr.values[[0, 1, 3, 4]]
    expected = (kept - np.nanmean(kept, axis=1, keepdims=True)) / np.nanstd(
        kept, axis=1, keepdims=True
    )
    np.testing.assert_allclose(found.pattern.values[[0, 1, 3, 4]], expected)
    assert np.isnan(found.pattern[2]).all()
    assert found.pattern.dims == corr.dims
    np.testing.assert_array_equal(nc.cluster_cells(corr).pattern, corr)


def test_a_cell_of_another_polarity_stands_alone_or_is_named():
    random = np.random.default_rng(4)
    values = np.array([[0.8] * 12 + [-0.8], [0.5] * 12 + [0.1]])
    values = values + 0.02 * random.standard_normal(values.shape)
    names = [f"OFF {i}" for i in range(12)] + ["ON"]
    corr = xr.DataArray(values, {"cell": names}, ("mode", "cell"))
    for k in ("silhouette", 2, 3, 4):
        found = nc.cluster_cells(corr, k)
        assert "ON" in misplaced_cells(found).cell
        known = silhouette_samples(corr.values.T, found.cluster.values)
        np.testing.assert_allclose(found.cell_silhouette, known)


def test_badly_placed_cells_are_those_without_structure_and_outliers_of_weak_structure():
    values = [0.9, 0.8, 0.85, 0.85, 0.45, 0.2, np.nan]
    found = xr.Dataset({"cell_silhouette": ("cell", values)}, {"cell": [*"abcdefg"]})
    assert misplaced_cells(found).cell.values.tolist() == ["e", "f"]
    even = xr.Dataset({"cell_silhouette": ("cell", [0.45, 0.3, 0.4, 0.6])}, {"cell": [*"abcd"]})
    assert not misplaced_cells(even).size


def test_a_silent_cell_has_no_silhouette():
    corr = correlations()
    corr[:, 3] = np.nan
    found = nc.cluster_cells(corr)
    assert np.isnan(found.cell_silhouette[3])
    assert not misplaced_cells(found).size


def test_one_type_is_said_where_it_is_not_told_from_several():
    p = xr.Dataset({"p_value": 0.43})
    assert is_one_type(p)
    assert not is_one_type(xr.Dataset({"p_value": 0.04}))
    assert not is_one_type(xr.Dataset())  # nobody asked
