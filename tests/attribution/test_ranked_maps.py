import numpy as np
import pytest
import torch
import xarray as xr
from networks import movie, retina_network
from residual import residual, residual_network

import neurocodec as nc
from neurocodec.attribution.ranked_maps import RankedMaps
from neurocodec.engine.run import Run
from neurocodec.errors import InputError

VECTORS = np.random.default_rng(2).normal(size=(3, 4))
FEATURES = nc.targets.Features("pre", VECTORS, position="center")
RULES = ("tension", "exciting", "specific")


def pictures(n=7) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def tension(layer="one", target=FEATURES, shown=None, **options):
    net = residual_network(residual()) if isinstance(layer, str) else options.pop("net")
    options = {"maps": True, **options}
    shown = pictures() if shown is None else shown
    return nc.tension(net, shown, layer, target=target, progress=False, **options)


@pytest.mark.parametrize("target", [FEATURES, nc.targets.Feature("pre", VECTORS[1], "center")])
@pytest.mark.parametrize("method", [nc.methods.ActGrad(), None])
def test_kept_maps_are_those_of_all_maps_and_the_numbers_stay(target, method):
    rules = RULES if target is FEATURES else RULES[:2]
    whole = tension(target=target, method=method)
    found = tension(target=target, method=method, keep=2, by=rules, batch_size=3)
    xr.testing.assert_allclose(found.excitation, whole.excitation, rtol=1e-9)
    dims = ("feature", "ranking", "rank", "y", "x")
    assert found.excitation_map.dims == (dims if target is FEATURES else dims[1:])
    for rule in rules:
        best = nc.rank_stimuli(whole, rule, count=2)
        own = found.sel(ranking=rule)
        np.testing.assert_array_equal(own.ranked_position, best)
        np.testing.assert_allclose(own.rank_score, best.rank_score, rtol=1e-9)
        for name in ("excitation_map", "inhibition_map"):
            expected = whole[name].values[best.values]
            if target is FEATURES:
                expected = whole[name].values[best.values, np.arange(3)[:, None]]
            np.testing.assert_allclose(own[name], expected, rtol=1e-9, atol=1e-12)


def test_each_layer_ranks_its_own():
    net = nc.Network(residual(), layers={"one": "one", "stem": "stem", "pre": "two.total"})
    tree = nc.tension(
        net, pictures(), ["one", "stem"], target=FEATURES, maps=True, keep=1, progress=False
    )
    alone = tension(keep=1)
    np.testing.assert_allclose(tree["one/excitation_map"], alone.excitation_map)
    assert tree["stem/excitation_map"].dims == alone.excitation_map.dims


def test_stored_images_and_their_files_go_on(tmp_path, monkeypatch):
    shown = pictures()
    shown.to_netcdf(tmp_path / "shown.nc")
    out = tmp_path / "run.nc"
    calls, rows = [], RankedMaps.rows

    def stops(self, batch, into):
        calls.append(batch.first)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rows(self, batch, into)

    options = {"keep": 2, "by": RULES, "out": out, "batch_size": 3}
    with xr.open_dataarray(tmp_path / "shown.nc") as stored:
        monkeypatch.setattr(RankedMaps, "rows", stops)
        with pytest.raises(KeyboardInterrupt):
            tension(shown=stored, **options)
        found = tension(shown=stored, **options).load()
        with pytest.raises(nc.errors.StorageError, match="run-best2"):
            tension(shown=stored, **{**options, "by": "silent"})
    assert calls[:3] == [0, 3, 3]  # what was written is not done again
    expected = tension(shown=shown, keep=2, by=RULES)
    xr.testing.assert_allclose(found, expected, rtol=1e-9)
    kept = nc.open(tmp_path / "run-best2.nc")
    assert max(kept["excitation_map"].shape) < 3 * 2 * 3 + 1
    assert "excitation_map" not in nc.open(out)


def test_a_movie_keeps_maps_of_moments():
    target = nc.targets.Features("layer2", np.eye(2), position="center")
    net, shown = retina_network(), movie(8)
    call = {"target": target, "maps": True, "progress": False}
    found = nc.tension(net, shown, "layer1", keep=2, **call)
    whole = nc.tension(net, shown, "layer1", **call)
    for feature in range(2):
        best = found.ranked_position[feature, 0].values
        expected = whole.excitation_map[best, feature]
        np.testing.assert_allclose(found.excitation_map[feature, 0], expected, rtol=1e-5)


def test_images_that_could_not_be_read_are_not_counted(tmp_path):
    images = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 256, (6, 6, 3)).astype("uint8")
        images.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"no image")

    def values(image):
        return torch.from_numpy(np.asarray(image, "float64") / 255 - 0.5).permute(2, 0, 1)

    shown = nc.images(tmp_path, preprocessing=values, broken="skip")
    found = tension(shown=shown, keep=1, workers=0)
    whole = tension(shown=shown, workers=0)
    assert whole.sizes["stimulus"] == 4
    for f in range(3):
        best = int(found.ranked_position[f, 0, 0])
        np.testing.assert_allclose(found.excitation_map[f, 0, 0], whole.excitation_map[best, f])


def test_a_rank_that_no_stimulus_meets_has_no_map():
    with pytest.warns(nc.errors.NeurocodecWarning, match="by='paper'"):
        found = tension(keep=7, by="paper")
    none = found.ranked_position < 0
    assert none.any()
    assert bool((found.excitation_map.isnull().all(["y", "x"]) == none).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 2, "by": "apart"}, "by='apart' with keep="),
        ({"keep": 2, "by": ("tension", "together")}, "by='together' with keep="),
        ({"keep": 2, "by": "tense"}, "'tense'"),
        ({"keep": 2, "by": 3}, "a rule, or several"),
        ({"by": "tension"}, "without keep="),
        ({"keep": 0}, "keep=0"),
        ({"keep": 8}, "keep=8 of 7 stimuli"),
        ({"keep": 2, "maps": False}, "keep=2 without maps"),
        (
            {"keep": 2, "by": "specific", "target": nc.targets.Features("pre", VECTORS[:1])},
            "of one feature",
        ),
        *(
            ({"keep": 2, "shown": pictures().assign_coords({name: ("stimulus", range(7))})}, name)
            for name in ("rank", "ranking", "ranked_position", "rank_score")
        ),
    ],
)
def test_what_does_not_fit_is_refused_before(options, message, monkeypatch):
    monkeypatch.setattr(nc.Network, "on", lambda net, _device: net)
    monkeypatch.setattr(Run, "opened", None)
    with pytest.raises(InputError, match=message):
        tension(**options)
