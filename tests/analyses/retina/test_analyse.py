"""The whole analysis of a retina model in one call."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from small_retina import (
    CELLS,
    EPOCHS,
    HISTORY,
    TYPES,
    few_epochs,
    small_analysis,
    small_network,
    small_recording,
)
from torch import nn

import neurocodec as nc
from neurocodec.analyses.retina.analyse import analyse_retina
from neurocodec.attribution.completeness import completeness, relative_error, target_change
from neurocodec.cells.recording import recorded_rates, simulated_parts, stimulus_of
from neurocodec.errors import InputError, StorageError, UnknownNameError
from neurocodec.nn.retina.model import RetinaCNN
from neurocodec.zoo import retina_network


@pytest.fixture(scope="module", autouse=True)
def short_fits():
    with few_epochs():
        yield


def test_rates_are_those_of_the_module_itself():
    found, net, movie = small_analysis(), small_network(), small_recording()
    frames = torch.from_numpy(movie.stimulus.values)
    windows = torch.stack([frames[i : i + HISTORY] for i in range(len(frames) - HISTORY + 1)])
    with torch.no_grad():
        expected = net.module(windows).numpy()
    np.testing.assert_allclose(found.rates.values, expected, rtol=1e-4)
    np.testing.assert_array_equal(found.rates.time, movie.time[HISTORY - 1 :])


def test_correlation_is_that_of_the_ranks_of_loadings_and_rates():
    found = small_analysis()
    loading = found.modes["layer1"].loadings.isel(mode=0).values
    expected = spearmanr(loading, found.rates.sel(cell=CELLS[1]).values).statistic
    np.testing.assert_allclose(
        found.correlation["layer1"].isel(mode=0).sel(cell=CELLS[1]), expected, atol=1e-6
    )


def test_what_is_stored_is_what_was_clustered():
    found = small_analysis()
    for layer in found.layers:
        node = found.cells()[layer]
        count = int(node["n_clusters"])
        patterns = node["pattern"].transpose("cell", "mode").dropna("mode", how="all").values
        again = KMeans(n_clusters=count, n_init=10, random_state=0).fit_predict(patterns)
        assert adjusted_rand_score(again, node["cluster"].values) == 1.0
        stored = nc.cluster_cells(node["correlation"], count, standardise=True)
        np.testing.assert_array_equal(stored.cluster, node["cluster"])
        assert node["stability"].sizes == {"cell": 4}
        assert node["co_clustering"].sizes == {"cell": 4, "other_cell": 4}


def test_modes_are_of_the_excitatory_contributions():
    found = small_analysis()
    assert {m.config.sign for m in found.modes.values()} == {"excitatory"}
    refit = nc.SparseModes(expansion=2, seed=0, epochs=EPOCHS, progress=False).fit(
        found.tree["layer2"]
    )
    xr.testing.assert_equal(refit.loadings, found.modes["layer2"].loadings)


def test_agreement_has_the_true_types_and_agrees_with_scikit_learn():
    found = small_analysis()
    assert found.agreement.clustering.values.tolist() == ["layer1", "layer2", "cell_type"]
    expected = adjusted_rand_score(TYPES, found.clusters["layer1"].cluster.values)
    entry = found.agreement.sel(clustering="cell_type", other_clustering="layer1")
    assert float(entry) == pytest.approx(expected)
    np.testing.assert_array_equal(found.agreement, found.agreement.T)
    pair = found.agreement.sel(clustering="layer1", other_clustering="layer2")
    relabelled = nc.cluster_agreement(
        found.clusters["layer1"], found.clusters["layer2"], permutations=199
    )
    assert float(pair.p_value) == float(relabelled.p_value)
    assert np.isnan(np.diag(found.agreement.p_value)).all()  # of a clustering with itself
    reopened = found.cells()["adjusted_rand_index"]
    np.testing.assert_array_equal(reopened.p_value, found.agreement.p_value)


def test_recorded_rates_are_taken_at_the_times_of_the_responses():
    found, movie = small_analysis(), small_recording()
    np.testing.assert_array_equal(found.recorded, movie.firing_rate[HISTORY - 1 :])
    match = found.responses()["correlation"].sel(cell=CELLS[2])
    expected = np.corrcoef(found.rates.values[:, 2], movie.firing_rate.values[HISTORY - 1 :, 2])
    assert float(match) == pytest.approx(expected[0, 1], abs=1e-5)


def test_repeats_of_the_movie_give_a_ceiling_with_its_interval():
    rng, movie = np.random.default_rng(0), small_recording(150).drop_vars("firing_rate")
    drive = rng.gamma(1.0, 2.0, size=(150, 4)) * [1, 1, 1, 0] + [0, 0, 0, 1.0]
    counts = rng.poisson(drive, (12, 150, 4)).astype(np.int16)  # the last cell is noise alone
    movie["spike_count"] = (("repeat", "time", "cell"), counts)
    options = {"method": nc.methods.ActGrad(), "expansion": 1, "moments": 0, "progress": False}
    found = analyse_retina(small_network(), movie.assign_coords(bin_width=0.01), **options)
    ceiling = found.responses()["ceiling"]
    covariance = np.cov(counts[:, HISTORY - 1 :, 0], ddof=0)
    shared = covariance[~np.eye(12, dtype=bool)].mean()
    expected = np.sqrt(shared / counts[:, HISTORY - 1 :, 0].mean(axis=0).var())
    assert float(ceiling[0]) == pytest.approx(expected)
    low = found.responses()["ceiling_interval"].sel(bound="low")
    assert (low[:3] > 0.5).all()
    assert low[3] == 0
    said, rates = found.responses(), found.rates.transpose("time", "cell").values
    mean, shown = counts[:, HISTORY - 1 :, 0].mean(axis=0) * 100.0, rates[:, 0]
    part = (mean.var() - (mean - shown).var()) / (shared * 1e4)
    assert float(said["signal_explained"][0]) == pytest.approx(part, rel=1e-4)
    gain = (mean * np.log2(shown / mean.mean()) - (shown - mean.mean()) / np.log(2)).sum()
    assert float(said["bits_per_spike"][0]) == pytest.approx(gain / mean.sum(), rel=1e-4)
    assert "4 cells with a recording" in repr(found)


def test_spike_counts_become_rates_where_no_rate_came():
    rates = small_analysis().rates.drop_vars("cell_type")
    counts = np.zeros((2, 300, 4), dtype=np.int16)
    counts[0, :, 1] = 3  # 3 and 0 spikes per 10 ms: 150 Hz on average
    movie = small_recording().drop_vars("firing_rate")
    movie["spike_count"] = (("repeat", "time", "cell"), counts)
    found = recorded_rates(movie.assign_coords(bin_width=0.01), rates)
    assert found is not None
    assert found.sel(cell=CELLS[1]).values == pytest.approx(150.0)
    assert float(found.sel(cell=CELLS[0]).max()) == 0.0


def test_recordings_of_other_cells_are_not_compared():
    movie = small_recording().assign_coords(cell=["a", "b", "c", "d"])
    assert recorded_rates(movie, small_analysis().rates) is None
    assert recorded_rates(movie.stimulus, small_analysis().rates) is None


def test_completeness_by_hand():
    parts = xr.DataArray(
        [[[1.0, 2.0], [-1.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]],
        dims=("time", "sign", "channel"),
    )
    error = xr.DataArray([1.0, -1.0, 0.0], dims="time")  # changes: 1, 5, and none
    node = xr.Dataset({"contribution": parts, "completeness_error": error})
    assert target_change(node).values.tolist() == [1.0, 5.0, 0.0]
    assert relative_error(node).tolist() == [1.0, 0.2]
    tree = xr.DataTree.from_dict({"/a": node, "/b": node[["contribution"]]})
    found = completeness(tree)
    assert found.layer.values.tolist() == ["a"]
    np.testing.assert_allclose(found.values[0], [0.6, 0.96, 1.0])


def test_norm_grad_has_no_completeness():
    found = analyse_retina(
        small_network(),
        small_recording(60),
        method=nc.methods.NormGrad(),
        layers=["layer2"],
        expansion=1,
        progress=False,
    )
    assert found.completeness.sizes["layer"] == 0
    assert found.layers == ["layer2"]


@pytest.mark.parametrize(
    ("target", "kind"),
    [("mahalanobis", "Mahalanobis"), ("sum", "Sum"), (CELLS[3], "Output")],
)
def test_targets_by_name(target, kind):
    found = analyse_retina(
        small_network(),
        small_recording(60).stimulus,
        target=target,
        method=nc.methods.ActGrad(),
        layers=["layer2"],
        expansion=1,
        progress=False,
    )
    assert type(found.target).__name__ == kind
    if kind == "Output":
        np.testing.assert_allclose(found.tree["target"], found.rates.sel(cell=target), rtol=1e-4)


def test_everything_saved_opens_again(tmp_path):
    found = small_analysis()
    files = found.save(tmp_path / "new" / "folder")
    assert [f.name for f in files] == [
        "contributions.nc",
        "responses.nc",
        "modes-layer1.nc",
        "modes-layer2.nc",
        "cells.nc",
        "fields.nc",
        "field-shapes.nc",
        "combinations.nc",
        "maps.nc",
        "tension.nc",
        "mode-stability.nc",
    ]
    opened = {f.stem: nc.open(f) for f in files}
    xr.testing.assert_identical(opened["contributions"], found.tree)
    xr.testing.assert_identical(opened["responses"], found.responses())
    xr.testing.assert_identical(opened["cells"], found.cells())
    xr.testing.assert_identical(opened["modes-layer2"].dictionary, found.modes["layer2"].dictionary)
    assert opened["cells"]["layer1/cluster"].sizes == {"cell": 4}
    assert found.dynamics is not None
    xr.testing.assert_identical(opened["fields"], found.dynamics.fields)
    xr.testing.assert_identical(opened["field-shapes"], found.dynamics.shapes)
    xr.testing.assert_identical(opened["combinations"], found.dynamics.tree())
    stable = opened["mode-stability"]["layer1"].to_dataset()
    xr.testing.assert_identical(stable, found.mode_stability["layer1"])
    assert stable.sizes["fit"] == 2
    assert stable.r2[0] == found.modes["layer1"].r2  # not fitted once more


def test_a_second_call_takes_the_contributions_from_the_folder(tmp_path, monkeypatch):
    net, movie = small_network(), small_recording(80)
    options = {"layers": ["layer2"], "expansion": 1, "out": tmp_path, "progress": False}
    computed = count_samples(monkeypatch)
    first = analyse_retina(net, movie, **options)
    assert sum(computed) >= 77
    computed.clear()
    second = analyse_retina(net, movie, **options)
    mapped = sum(node.sizes["time"] for node in second.maps.children.values())
    assert sum(computed) <= 1 + mapped  # one row, to know shapes, and the moments of the maps
    assert mapped < 5
    xr.testing.assert_identical(first.tree, second.tree)
    xr.testing.assert_identical(first.modes["layer2"].loadings, second.modes["layer2"].loadings)
    with pytest.raises(StorageError, match="of another run: method"):
        analyse_retina(net, movie, method=nc.methods.ActGrad(), **options)


def count_samples(monkeypatch):
    """List to which the size of every batch that is attributed from now on is added."""
    sizes = []
    attribute = nc.methods.IntegratedGradients.attribute

    def counted(self, passes, batch):
        sizes.append(len(batch.x))
        return attribute(self, passes, batch)

    monkeypatch.setattr(nc.methods.IntegratedGradients, "attribute", counted)
    return sizes


def test_cells_that_cannot_be_clustered_do_not_spoil_the_rest():
    net = small_network(cells=["simulated 1", "simulated 2"])
    found = analyse_retina(net, small_recording(60), layers=["layer2"], expansion=1, progress=False)
    assert not found.clusters
    assert "2 cells" in found.unclustered["layer2"]
    assert found.agreement.size == 0
    assert "cluster" not in found.cells()["layer2"]


def test_what_is_simulated_says_so():
    net, movie = small_network(), small_recording()
    assert small_analysis().simulated == ("model", "movie")
    plain = movie.stimulus.assign_attrs(comment="recorded in 2015")
    assert simulated_parts(net, plain) == ("model",)
    told_once = plain.to_dataset(name="stimulus").assign_attrs(simulated=1)
    assert simulated_parts(net, told_once) == ("model", "movie")
    assert simulated_parts(small_network("mine", ["a", "b", "c"]), plain) == ()


def recorded_interneurons(frames: int = 1200) -> xr.Dataset:
    """Two interneurons, one of which follows a pixel."""
    movie = small_recording(frames).stimulus
    noise = np.random.default_rng(1).normal(size=frames)
    traces = np.stack([movie.values[:, 4, 4], noise], axis=1)
    voltage = xr.DataArray(traces, {"time": movie.time}, ("time", "interneuron"))
    return xr.Dataset({"stimulus": movie, "membrane_potential": voltage})


def test_interneurons_that_do_not_fit_are_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(
        "neurocodec.analyses.retina.analyse.respond", lambda *_a, **_k: pytest.fail("computed")
    )
    broken = recorded_interneurons(60)
    broken.membrane_potential[30, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        analyse_retina(small_network(), small_recording(), interneurons=broken)


def test_interneurons_say_whether_they_are_simulated(tmp_path):
    options = {"layers": ["layer2"], "expansion": 1, "moments": 0, "progress": False}
    method = nc.methods.ActGrad()
    cells = recorded_interneurons()
    real = cells.assign(stimulus=cells.stimulus.assign_attrs(comment="recorded"))
    net, movie = small_network(), small_recording(80)
    for source, said in ((cells, 1), (real, None)):
        found = analyse_retina(net, movie, interneurons=source, method=method, **options)
        assert found.interneurons.attrs.get("simulated") == said
    assert found.simulated == ("model", "movie")
    assert found.interneurons.sizes["interneuron"] == 2
    assert found.interneurons.attrs["shown"] == "1200 frames of 9 x 9 pixels"
    xr.testing.assert_identical(found.shown, real.stimulus)
    found.save(tmp_path)
    xr.testing.assert_identical(nc.open(tmp_path / "interneurons.nc"), found.interneurons)


def test_a_movie_without_times_gets_those_of_the_frame_rate():
    net, movie = small_network(), small_recording(80)
    options = {"layers": ["layer2"], "expansion": 1, "progress": False}
    method = nc.methods.ActGrad()
    bare = movie.stimulus.drop_vars("time")
    found = analyse_retina(net, bare, method=method, moments=2, **options)
    np.testing.assert_allclose(found.rates.time, np.arange(3, 80) / 100)
    whole = analyse_retina(net, movie.drop_vars("time"), method=method, moments=0, **options)
    np.testing.assert_array_equal(whole.recorded, movie.firing_rate[HISTORY - 1 :])
    slow = dataclasses.replace(net, frame_rate=None)
    with pytest.raises(InputError, match="a movie without times"):
        analyse_retina(slow, bare)


def test_fields_that_cannot_be_followed_say_why(monkeypatch):
    def nothing(*_arguments, **_options):
        raise InputError(came="loadings that are all zero", expected="active modes")

    monkeypatch.setattr("neurocodec.analyses.retina.analyse.follow_fields", nothing)
    found = analyse_retina(
        small_network(),
        small_recording(60),
        method=nc.methods.ActGrad(),
        layers=["layer2"],
        expansion=1,
        progress=False,
    )
    assert (found.dynamics, found.unfollowed) == (None, "loadings that are all zero")


def test_wrong_names_are_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(
        "neurocodec.analyses.retina.analyse.respond", lambda *_a, **_k: pytest.fail("computed")
    )
    net, movie = small_network(), small_recording()
    with pytest.raises(UnknownNameError, match="no target 'suprisal'.*\n.*'surprisal'"):
        analyse_retina(net, movie, target="suprisal")
    with pytest.raises(UnknownNameError, match="no layer 'layer3'"):
        analyse_retina(net, movie, layers=["layer3"])
    with pytest.raises(InputError, match="moments=-1"):
        analyse_retina(net, movie, moments=-1)


def test_a_dataset_without_stimulus_is_refused():
    with pytest.raises(InputError, match=r"variables \['firing_rate'\]"):
        stimulus_of(small_recording()[["firing_rate"]])
    with pytest.raises(InputError, match="movie of type ndarray"):
        stimulus_of(np.zeros(3))


def test_a_recording_on_other_times_is_refused() -> None:
    times = np.arange(10) / 100
    rates = xr.DataArray(np.ones((10, 1)), {"time": times, "cell": ["a"]}, ("time", "cell"))
    late = xr.Dataset({"firing_rate": rates.isel(time=slice(3, None))})
    with pytest.raises(InputError, match="without 3 of the model's times, the first at 0 s"):
        recorded_rates(late, rates)
    joined = xr.Dataset({"firing_rate": rates.where(rates.time > 0.05)})
    with pytest.raises(InputError, match="NaN"):
        recorded_rates(joined, rates)


def test_a_recording_without_times_is_aligned_at_its_end() -> None:
    cells = {"cell": ["a"]}
    recorded = xr.Dataset({"firing_rate": (("time", "cell"), np.arange(10.0)[:, None])}, cells)
    rates = xr.DataArray(np.zeros((7, 1)), cells, ("time", "cell"))
    found = recorded_rates(recorded, rates)
    assert found is not None
    assert found.values[:, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_paths_of_a_network_that_takes_raw_frames_start_at_the_mean_frame_and_not_at_black():
    plain = small_network()
    config = dataclasses.replace(plain.module.config, stimulus_mean=100.0, stimulus_deviation=20.0)
    module = RetinaCNN(config).eval()
    module.load_state_dict(plain.module.state_dict(), strict=False)
    net = retina_network(module, name="raw", outputs=CELLS, frame_rate=100.0)
    raw = 100 + 20 * small_recording().stimulus
    found = analyse_retina(net, raw, expansion=2, moments=0, progress=False)
    grey, black = (
        nc.contributions(net, raw, target=found.target, baseline=baseline, progress=False)
        for baseline in ("mean", "zeros")
    )
    for layer in found.layers:
        ours = found.tree[layer].contribution
        np.testing.assert_allclose(ours, grey[layer].contribution, rtol=1e-4, atol=1e-5)
        assert not np.allclose(ours, black[layer].contribution, rtol=0.1)


def test_an_analysis_is_printed_in_ten_lines():
    found = small_analysis()
    text = repr(found)
    assert len(text.splitlines()) <= 10
    assert "simulated-small" in text
    assert "300 frames of 9 x 9 pixels" in text
    assert len(repr(found.dynamics).splitlines()) == 1


@pytest.mark.slow
def test_a_page_of_any_module_is_a_call_away(tmp_path):
    parts = nn.Sequential(nn.Conv2d(HISTORY, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(98, 3))
    net = nc.Network(parts, {"first": "0"}, history=HISTORY, frame_rate=100.0, name="mine")
    found = analyse_retina(
        net, small_recording(80).stimulus, method=nc.methods.ActGrad(), expansion=1, moments=0,
        progress=False,
    )  # fmt: skip
    page = found.report(tmp_path / "page", settings={"who": "me"})
    assert "mine" in page.read_text("utf-8")
    assert {*found.files} <= {file.name for file in page.parent.iterdir()}


def test_a_movie_of_one_pixel_gets_no_maps_of_pixels():
    parts = nn.Sequential(nn.Flatten(), nn.Linear(HISTORY, 3), nn.ReLU(), nn.Linear(3, 3))
    net = nc.Network(parts, {"first": "1"}, history=HISTORY, frame_rate=100.0)
    movie = small_recording(120).stimulus[:, 4:5, 4:5]
    options = {"method": nc.methods.ActGrad(), "expansion": 1, "moments": 0, "progress": False}
    found = analyse_retina(net, movie, **options)
    assert found.maps is None
    assert "one pixel" in found.unmapped["first"]


def test_places_are_in_pixels_in_every_file():
    for result in small_analysis()._results().values():
        tree = result if hasattr(result, "subtree") else None
        parts = [result] if isinstance(result, xr.Dataset) else getattr(tree, "subtree", [])
        for part in parts:
            for name, variable in part.variables.items():
                if name in {"x", "y", "x_center", "y_center", "radius"}:
                    assert variable.attrs["units"] == "pixel", name


def test_every_quantity_in_every_file_says_its_units():
    for file, result in small_analysis()._results().items():
        whole = result.to_tree().drop_nodes("weights") if hasattr(result, "to_tree") else result
        for part in whole.subtree if isinstance(whole, xr.DataTree) else [whole]:
            for name, variable in part.variables.items():
                label = name == "seed" or ((name,) == variable.dims and name != "k")
                if variable.dtype.kind in "fiu" and not (label and variable.dtype.kind == "i"):
                    assert variable.attrs.get("units"), (file, name)
