"""Maps of modes in the report about a retina model: when, which modes, and what they add up to."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from small_retina import small_analysis, small_network, small_recording

import neurocodec as nc
from neurocodec.analyses.retina import maps as retina_maps
from neurocodec.analyses.retina.maps import map_movie
from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.methods import InputGrad
from neurocodec.nn.attribution.targets import Sum
from neurocodec.reports.page import Drawing
from neurocodec.reports.retina.figures import figures
from neurocodec.reports.retina.page import render

LAYERS = ["layer1", "layer2"]


@pytest.fixture(scope="module")
def found():
    return small_analysis()


def test_every_layer_has_maps_in_the_window_of_frames(found):
    assert list(found.maps.children) == LAYERS
    assert not found.unmapped
    one = found.maps["layer2/contribution_map"]
    assert one.dims == ("time", "mode", "sign", "lag", "y", "x")
    assert one.shape[3:] == (4, 9, 9)
    assert one.attrs["units"] == "bit"


@pytest.mark.parametrize("layer", LAYERS)
def test_the_first_mode_comes_with_the_time_at_which_it_is_strongest(found, layer):
    maps, loadings = found.maps[layer], found.modes[layer].loadings
    first = maps["mode"].values[0]
    assert first == loadings.mean("time").to_series().idxmax()
    assert maps["time"].values[0] == loadings.sel(mode=first).to_series().idxmax()
    gaps = np.diff(np.sort(maps["time"].values))
    assert (gaps >= 0.5).all()
    expected = loadings.sel(time=maps["time"].values, mode=maps["mode"].values)
    np.testing.assert_array_equal(maps["loading"], expected.transpose("time", "mode"))


@pytest.mark.parametrize("layer", LAYERS)
def test_maps_add_up_to_the_contributions_of_the_channels_at_these_times(found, layer):
    """Of two channels, one stands for a mode."""
    maps = found.maps[layer].to_dataset()
    rows = nc.contributions(
        small_network(),
        small_recording().stimulus,
        target=found.target,
        layers=[layer],
        progress=False,
    )[layer]["contribution"].sel(time=maps["time"].values)  # as the analysis makes them
    weights = found.modes[layer].dictionary
    best = [int(weights.sel(mode=m).values.argmax()) for m in maps["mode"].values]
    assert len({*best}) == len(best)  # modes of the same channel are not shown twice
    for row, channel in enumerate(best):
        one = maps.isel(mode=row)
        np.testing.assert_allclose(one["contribution"], rows.isel(channel=channel), atol=1e-4)
        total = one["contribution_map"].sum(("lag", "y", "x"))
        error = one["map_completeness_error"]
        np.testing.assert_allclose(total - error, rows.isel(channel=channel), atol=1e-4)
        assert float(abs(error).max()) < 0.05 * float(abs(one["contribution"]).max())


def test_a_layer_that_refuses_leaves_the_others(found, monkeypatch):
    real = retina_maps.contribution_maps

    def refuse(net, stimulus, layer, **options):
        if layer == "layer1":
            raise CaptureError(came="no way from the target to layer1", expected="one")
        return real(net, stimulus, layer, **options)

    monkeypatch.setattr(retina_maps, "contribution_maps", refuse)
    net, movie = small_network(), small_recording().stimulus
    maps, unmapped = map_movie(net, movie, found.modes, Sum(), InputGrad(), progress=False)
    assert list(maps.children) == ["layer2"]
    assert unmapped == {"layer1": "no way from the target to layer1"}


def test_modes_that_are_never_active_have_no_maps(found):
    fitted = found.modes["layer1"]
    still = SimpleNamespace(loadings=0 * fitted.loadings, dictionary=fitted.dictionary)
    net, movie = small_network(), small_recording().stimulus
    maps, unmapped = map_movie(net, movie, {"layer1": still}, Sum(), InputGrad(), progress=False)
    assert maps is None
    assert unmapped == {"layer1": "no mode is ever active"}


def test_maps_are_saved_and_opened(found, tmp_path):
    found.save(tmp_path)
    xr.testing.assert_identical(nc.open(tmp_path / "maps.nc"), found.maps)
    assert nc.labels.provenance(nc.open(tmp_path / "maps.nc")["layer1"])["layer"] == "layer1"


# ---- on the page


@pytest.fixture(scope="module")
def drawn(found):
    return {name: Drawing(b"png", alt) for name, _, alt in figures(found)}


def test_both_layers_have_a_figure_with_the_simulated_said(found):
    shown = {name: x for name, x, _ in figures(found) if name.startswith("maps-")}
    assert list(shown) == ["maps-layer1", "maps-layer2"]
    assert "(simulated)" in shown["maps-layer1"].get_suptitle()
    assert "red raises" in shown["maps-layer1"].get_supxlabel()


def test_the_page_has_modes_channels_and_what_is_missed(found, drawn):
    text = render(found, drawn, {})
    assert 'id="maps"' in text
    assert "the last 30 ms of the movie" in text
    errors = [
        (abs(n["map_completeness_error"]) / abs(n["contribution"])).sel(sign="excitatory").values
        for n in (found.maps[layer] for layer in LAYERS)
    ]
    worst = 100 * np.nanmax(np.concatenate(errors, axis=None))
    assert 0.01 < worst < 10
    assert f"the worst by {worst:.2g} %" in text.replace("\n", " ")
    assert "More steps make the difference smaller" in text
    assert "nc.open(&#34;maps.nc&#34;)[&#34;layer1/contribution_map&#34;]" in text


def test_a_page_without_maps_says_why(found, drawn):
    without = dataclasses.replace(found, maps=None, unmapped={"layer1": "<no way>"})
    text = render(without, drawn, {})
    assert "The modes of layer1 were not mapped (&lt;no way&gt;)" in text
    assert "#maps" not in text
    assert "maps.nc" not in text
