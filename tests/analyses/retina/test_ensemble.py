"""Several models of one retina: each figure by model, its mean and range, and of how many."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from small_retina import small_analysis, small_network, small_recording

import neurocodec as nc
from neurocodec.analyses.retina import ensemble
from neurocodec.analyses.retina.ensemble import ensemble_of
from neurocodec.errors import InputError


def changed(**parts):
    return dataclasses.replace(small_analysis(), **parts)


def test_of_copies_of_one_model_nothing_is_apart():
    found = ensemble_of([small_analysis(), changed(model="other")])
    assert found.model.values.tolist() == ["simulated-small", "other"]
    for name in ("r2", "l0", "n_modes", "inhibitory_share", "participation_ratio", "correlation"):
        np.testing.assert_array_equal(found[f"{name}_lowest"], found[f"{name}_highest"])
        np.testing.assert_allclose(found[f"{name}_mean"], found[name].isel(seed=0))
    np.testing.assert_array_equal(found.model_agreement, 1.0)
    assert found.r2.attrs["units"] == found.r2_count.attrs["units"] == "1"


def test_contributions_are_summed_by_hand():
    first = small_analysis()
    parts = np.abs(first.tree["layer1/contribution"].transpose("sign", "channel", "time").values)
    parts = parts.astype(float).sum(-1)
    found = ensemble_of([first, first]).sel(layer="layer1", seed=0)
    assert float(found.inhibitory_share) == pytest.approx(parts[1].sum() / parts.sum())
    channels = parts.sum(0)
    ratio = channels.sum() ** 2 / (channels**2).sum()
    assert float(found.participation_ratio) == pytest.approx(ratio)


def test_a_figure_that_one_model_lacks_is_of_the_others():
    first = small_analysis()
    lacking = changed(clusters={"layer1": first.clusters["layer1"]}, recorded=None)
    found = ensemble_of([first, lacking])
    assert found.n_clusters_count.sel(layer=["layer1", "layer2"]).values.tolist() == [2, 1]
    assert int(found.correlation_count) == 1
    assert np.isnan(found.model_agreement.sel(layer="layer2")).all()
    assert "interneuron_correlation" not in found  # of no model


def test_each_model_is_analysed_alike_but_for_the_fields(tmp_path, monkeypatch):
    asked = []

    def analysed(net, _movie, **options):
        asked.append((net.name, options["out"], options["moments"], options["seed"]))
        return changed(model=net.name)

    monkeypatch.setattr(ensemble, "analyse_retina", analysed)
    nets = [small_network(), small_network("simulated-other")]
    found = nc.analyse_ensemble(nets, small_recording(60), out=tmp_path, moments=8, seed=3)
    assert asked == [
        ("simulated-small", tmp_path, 8, 3),
        ("simulated-other", tmp_path / "model-1", 0, 3),
    ]
    kept = nc.open(tmp_path / "ensemble.nc").load()
    xr.testing.assert_identical(kept.r2_mean, found.ensemble.r2_mean)
    assert "and 1 other models" in repr(found)


@pytest.mark.parametrize(
    "networks",
    [
        [],
        [small_network()],
        small_network(),
        [small_network(), small_network(cells=["a", "b", "c", "d"])],
    ],
    ids=["none", "one", "a network", "other cells"],
)
def test_what_is_no_ensemble_is_refused(networks):
    with pytest.raises(InputError, match=r"nc\.fit_retina"):
        nc.analyse_ensemble(networks, small_recording(60))
