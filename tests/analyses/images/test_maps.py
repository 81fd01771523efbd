"""Maps of modes in the report about images: which images, which modes, and where they look."""

from __future__ import annotations

import dataclasses
import html
import json
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from networks import seeded
from torch import nn

import neurocodec as nc
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.images import analyse as image_analysis
from neurocodec.analyses.images import maps as image_maps
from neurocodec.errors import InputError
from neurocodec.maps.examples import distinct
from neurocodec.reports import images as image_pages
from neurocodec.reports.image_figures import image_figures
from neurocodec.reports.images import render_images
from neurocodec.reports.maps import image_maps_part
from neurocodec.reports.page import Drawing

COLORS = ["red", "green", "blue"]
SIZE, COUNT = 8, 120


def module():
    """Channel 2i and 2i + 1 see color i; each category sums the channels of its color."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 1),
        nn.ReLU(),
        nn.Conv2d(6, 6, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(384, 3),
    )
    with torch.no_grad():
        for conv, weight in (
            (net[0], torch.eye(3).repeat_interleave(2, 0)),
            (net[2], torch.eye(6)),
        ):
            conv.weight[:] = weight[..., None, None]
            conv.bias.zero_()
        net[5].weight[:] = torch.eye(3).repeat_interleave(2 * SIZE**2, 1)
        net[5].weight[:, ::2] *= 0.5
        net[5].bias.zero_()
    return net.eval()


def network(preprocessing=None):
    layers = {"early": "1", "late": "3"}
    net = seeded(module)
    return nc.Network(net, layers, outputs=COLORS, preprocessing=preprocessing)


def patches():
    """Faint noise with one patch in the color of the class; the patch's place is kept."""
    random = np.random.default_rng(0)
    values = 0.02 * random.random((COUNT, 3, SIZE, SIZE)).astype("float32")
    inside = np.zeros((COUNT, SIZE, SIZE), bool)
    for i, (y, x) in enumerate(random.integers(0, SIZE - 3, (COUNT, 2))):
        inside[i, y : y + 3, x : x + 3] = True
        values[i, i % 3, inside[i]] = 0.5 + 0.5 * random.random()
    dims = ("stimulus", "color", "y", "x")
    label = np.array(COLORS)[np.arange(COUNT) % 3]
    coords = {"stimulus": np.arange(COUNT), "label": ("stimulus", label)}
    return xr.DataArray(values, coords, dims), inside


@pytest.fixture(autouse=True, scope="module")
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_analysis, "SparseModes", partial(nc.SparseModes, epochs=60))
        yield


@pytest.fixture
def _rough(monkeypatch):
    """Fits of a few epochs, where it does not matter what modes there are."""
    monkeypatch.setattr(image_analysis, "SparseModes", partial(nc.SparseModes, epochs=3))


def analyse(images, net=None, **options):
    options = {"parts": ["modes", "maps"], "expansion": 1, "progress": False, **options}
    method = nc.methods.InputGrad()
    return nc.analyse_images(net or network(), images, method=method, **options)


@pytest.fixture(scope="module")
def found():
    return analyse(patches()[0])


@pytest.mark.slow
def test_both_a_middle_and_a_late_layer_are_mapped(found):
    assert {*found.maps} == {"early", "late"}
    assert not found.left_out
    one = found.maps["late"]["modes/contribution_map"]
    assert one.dims == ("mode", "rank", "sign", "color", "y", "x")
    assert one.sizes["rank"] == 4


def test_the_first_modes_follow_different_classes(found):
    each = found.maps["late"]["modes"]
    assert {*each["concept"].values[:3].tolist()} == {*COLORS}
    assert (each["correlation"].values[:3] > 0.5).all()
    for row in range(3):
        assert {*each["label"].values[row].tolist()} == {each["concept"].values[row]}


@pytest.mark.parametrize("layer", ["early", "late"])
def test_images_are_those_of_the_largest_loadings_that_were_not_fitted(found, layer):
    each = found.maps[layer]["modes"]
    fitted = found.modes["contribution"][layer]
    rows = found.tree[layer]["contribution"].isel(stimulus=found.held.values)
    for mode in each["mode"].values:
        loading = fitted.transform(rows).sel(mode=mode).to_series().sort_values()[::-1]
        assert each["stimulus"].sel(mode=mode).values.tolist() == loading.index[:4].tolist()
        np.testing.assert_allclose(each["loading"].sel(mode=mode), loading[:4], rtol=1e-6)
    held = found.held.stimulus.values[found.held.values]
    assert np.isin(each["stimulus"].values, held).all()


def test_maps_lie_on_the_patch_and_have_its_color(found):
    inside = patches()[1]
    each = found.maps["late"]["modes"].to_dataset()
    for row, name in enumerate(each["concept"].values[:3].tolist()):
        one = abs(each["contribution_map"].isel(mode=row)).sum("sign")
        shares = one.sum("color").values[:, None] * inside[each["stimulus"].values[row]][:, None]
        assert shares.sum() / float(one.sum()) > 0.9
        by_color = one.sum(("rank", "y", "x")).values
        assert COLORS[by_color.argmax()] == name
        assert by_color.max() / by_color.sum() > 0.9


def test_maps_add_up_to_the_contributions_of_the_channels_of_the_mode(found):
    each = found.maps["late"]["modes"].to_dataset()
    total = each["contribution_map"].sum(("color", "y", "x"))
    np.testing.assert_allclose(total, each["contribution"], atol=1e-4)
    weights = abs(found.modes["contribution"]["late"].dictionary)
    for mode in each["mode"].values:
        best = weights.sel(mode=mode).values.argmax()  # one of six channels stands for a mode
        shown = each["stimulus"].sel(mode=mode).values
        channel = found.tree["late"]["contribution"].sel(stimulus=shown).isel(channel=best)
        np.testing.assert_allclose(each["contribution"].sel(mode=mode), channel, atol=1e-4)


def test_channels_of_the_first_mode_are_mapped_one_by_one(found):
    tree = found.maps["late"]
    single = tree["channels"].to_dataset()
    assert single["mode"].item() == tree["modes"]["mode"].values[0]
    assert single["stimulus"].item() == tree["modes"]["stimulus"].values[0, 0]
    best = abs(found.modes["contribution"]["late"].dictionary).sel(mode=single["mode"].item())
    assert single["channel"].values.tolist() == [int(best.values.argmax())]


@pytest.mark.usefixtures("_rough")
def test_images_without_classes_show_the_modes_that_explain_most():
    found = analyse(patches()[0].drop_vars("label"))
    each = found.maps["late"]["modes"]
    assert "concept" not in each.coords
    share = found.modes["contribution"]["late"].summary["explained_variance"]
    assert each["mode"].values[0] == int(share.values.argmax())
    assert found.left_out == {"concepts": "the images have no classes"}


@pytest.mark.usefixtures("_rough")
def test_what_is_no_image_is_left_out():
    images = (
        patches()[0].stack(feature=("color", "y", "x")).drop_vars(["feature", "color", "y", "x"])
    )
    net = nc.Network(
        seeded(lambda: nn.Sequential(nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 3))), ["1"]
    )
    found = analyse(images, net)
    assert not found.maps
    assert "which is no image" in found.left_out["maps"]


@pytest.mark.usefixtures("_rough")
def test_a_network_that_refuses_leaves_the_rest(monkeypatch):
    def refuse(*_arguments, **_options):
        raise InputError(came="an operator without a derivative", expected="another")

    monkeypatch.setattr(image_maps, "map_maker", refuse)
    found = analyse(patches()[0])
    assert not found.maps
    assert found.concepts is not None
    assert "late: an operator without a derivative" in found.left_out["maps"]


def loadings_of(monkeypatch, active):
    """Let each mode be active on so many of the held-out images, the first of them."""
    real = nc.SparseModes.transform

    def transform(self, rows, **options):
        found = real(self, rows, **options)
        order = np.arange(found.sizes["stimulus"])[:, None]
        values = np.where(order < np.resize(active, found.sizes["mode"]), 9.0 - order / 100, 0.0)
        return found.copy(data=values.astype("float32"))

    monkeypatch.setattr(image_maps.SparseModes, "transform", transform)


@pytest.mark.usefixtures("_rough")
def test_modes_that_are_hardly_ever_active_are_not_shown(monkeypatch):
    loadings_of(monkeypatch, [1])
    found = analyse(patches()[0])
    assert not found.maps
    assert "no mode that is active on 2 images" in found.left_out["maps"]


@pytest.mark.usefixtures("_rough")
@pytest.mark.parametrize("named", [True, False])
def test_a_mode_with_few_images_shows_these(monkeypatch, named):
    counts = [1, 3, 1, 2, 4, 1]
    loadings_of(monkeypatch, counts)
    images = patches()[0]
    found = analyse(images if named else images.drop_vars("label"))
    each = found.maps["late"]["modes"].to_dataset()
    held = found.held.stimulus.values[found.held.values]
    few = [counts[mode] for mode in each["mode"].values]
    assert len({*few}) > 1
    assert min(few) > 1
    assert each.sizes["rank"] == max(few)
    for row, count in enumerate(few):
        one = each.isel(mode=row)
        assert one["stimulus"].values.tolist() == [*held[:count]] + [-1] * (max(few) - count)
        assert np.isfinite(one["contribution_map"].isel(rank=slice(count))).all()
        assert np.isnan(one["picture"].isel(rank=slice(count, None))).all()
    if named:
        table = found.concepts["late/contribution_mode"].sel(mode=each["mode"].values)
        assert each["concept"].values.tolist() == table["best_concept"].values[:, 0].tolist()
        np.testing.assert_array_equal(each["correlation"], table["max_correlation"])


@pytest.mark.usefixtures("_rough")
def test_given_again_maps_are_read_and_not_computed(tmp_path, monkeypatch):
    first = analyse(patches()[0], out=tmp_path)
    assert {"maps/early.nc", "maps/late.nc"} <= {*first.files}
    monkeypatch.setattr(image_maps, "map_maker", lambda *_a, **_k: pytest.fail("computed"))
    again = analyse(patches()[0], out=tmp_path)
    xr.testing.assert_identical(again.maps["late"].load(), first.maps["late"])
    assert not again.left_out


def test_maps_need_modes():
    with pytest.raises(InputError, match="maps without modes"):
        analyse(patches()[0], parts=["maps"])


# ---- on the page


@pytest.fixture(scope="module")
def drawn(found):
    return {name: Drawing(b"png", alt) for name, _, alt in image_figures(found)}


def page(analysis, drawn):
    return " ".join(html.unescape(render_images(analysis, drawn, {})).split())


def test_each_layer_has_a_figure_and_one_mode_its_channels(found):
    shown = {name: x for name, x, _ in image_figures(found) if name.startswith("map")}
    late = next(iter(found.maps))
    assert [*shown] == [f"maps-{late}", f"map-channels-{late}", f"maps-{[*found.maps][1]}"]
    for figure in shown.values():
        note = " ".join(figure.get_supxlabel().split())
        assert "quantile" in note
        assert "median of 3 x 3 pixels" in note
        assert "scaled from the least to the largest" in note


def test_the_page_tells_modes_classes_channels_and_what_is_missed(found, drawn):
    text = page(found, drawn)
    each = found.maps["late"]["modes"].to_dataset()
    for row, name in enumerate(each["concept"].values[:3].tolist()):
        mode, r = each["mode"].values[row], float(each["correlation"][row])
        weights = abs(found.modes["contribution"]["late"].dictionary.sel(mode=mode))
        count = int((found.tree["label"].values[found.held.values] == name).sum())
        table = found.concepts["late/contribution_mode"]
        chance = float(table["chance_correlation"].sel(mode=mode)[0])
        told = f"{name} {r:.2f} ({count} images, chance {chance:.2f})"
        cells = ["late", mode, told, "4 of 4", int(weights.values.argmax())]
        assert "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert "every map is the contribution of its channels." in text
    assert "those that follow a class best" in text
    assert "acts through the channel of largest weight" in text
    for layer in ("early", "late"):
        assert f'nc.open("maps/{layer}.nc")["modes/contribution_map"]' in text


def test_steps_are_advised_where_the_method_goes_a_path_in_steps(found, drawn):
    def with_method(method):
        tree = found.tree.copy()
        tree.attrs["neurocodec"] = json.dumps({**nc.labels.provenance(tree), "method": method})
        return page(dataclasses.replace(found, tree=tree), drawn)

    advice = "ore steps"
    assert advice not in with_method({"kind": "InputGrad"})
    assert advice in with_method({"kind": "IntegratedGradients", "steps": 10})


def test_r2_below_0_is_commented(found, drawn, monkeypatch):
    assert "R² below 0" not in page(found, drawn)
    rows = image_pages.mode_row

    def poor(layer, modes):
        return {**rows(layer, modes), "r2": -0.2 if layer == "early" else 0.5}

    monkeypatch.setattr(image_pages, "mode_row", poor)
    assert "R² below 0 (early, contributions; early, activations): on images" in page(found, drawn)


def test_the_page_says_why_there_are_no_maps(found, drawn):
    without = dataclasses.replace(found, maps={}, left_out={"maps": "no <layer> has modes"})
    text = page(without, drawn)
    assert "Left out: no <layer> has modes." in text
    assert "Which images is a mode active on" not in text


def test_what_was_not_asked_for_is_not_on_the_page(found, drawn):
    text = page(found, drawn)
    for part, there in (("modes", True), ("maps", True), ("statistics", False)):
        assert (f'<h2 id="{part}"' in text) == (f'href="#{part}"' in text) == there
    assert 'id="perturbation"' not in text


def test_maps_of_another_method_than_the_contributions_say_so(found):
    tree = found.tree.copy()
    facts = {**nc.labels.provenance(tree), "method": {"kind": "SmoothGrad"}}
    tree.attrs["neurocodec"] = json.dumps(facts)
    part = image_maps_part(dataclasses.replace(found, tree=tree), {})
    assert "by SmoothGrad are no sums over pixels; maps are InputGrad's" in part["notes"][0]
    assert "SmoothGrad" not in image_maps_part(found, {})["notes"][0]


@pytest.mark.usefixtures("_rough")
def test_images_of_one_class_say_so():
    images, _ = patches()
    found = analyse(images.isel(stimulus=slice(0, None, 3)), parts=["modes", "perturbation"])
    assert found.left_out["perturbation"] == "all images are of one class, red"
    assert found.left_out["concepts"] == "all images are of one class, red"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (nc.targets.TopK(2, of="probability"), "sum of the 2 largest probabilities"),
        (nc.targets.TopK(1, of="probability"), "largest probability"),
        (nc.targets.TopK(5), "sum of the 5 largest logits"),
    ],
)
def test_targets_are_named(found, drawn, target, name):
    assert f"<td>{name}</td>" in page(dataclasses.replace(found, target=target), drawn)


# ---- pictures


def normalised(image):
    values = np.asarray(image, "float32") / 255
    return ((values - [0.4, 0.5, 0.6]) / [0.2, 0.1, 0.3]).transpose(2, 0, 1).astype("float32")


def shown(preprocessing):
    """Images as a network takes them, and as they were."""
    original = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
    taken = np.stack([preprocessing(image) for image in original])
    dims = ("stimulus", "color", "y", "x")
    return xr.DataArray(taken, dims=dims), original.transpose(0, 3, 1, 2) / 255


def test_pictures_are_the_images_before_they_were_normalised():
    taken, original = shown(normalised)
    found = pictures(taken, normalised)
    np.testing.assert_allclose(found, original, atol=1e-6)
    assert found.attrs["comment"] == "normalisation undone"


def test_pictures_whose_colors_were_swapped_are_not_shown_with_swapped_colors():
    """Networks that take blue, green, red: undoing the normalisation alone would show that."""

    def blue_first(image):
        return np.asarray(image, np.float32).transpose(2, 0, 1)[::-1] / 255 - 0.5

    images = xr.DataArray(np.full((1, 3, 2, 2), 0.1), dims=("stimulus", "color", "y", "x"))
    assert "scaled" in pictures(images, blue_first).attrs["comment"]


def test_pictures_of_one_color_are_undone():
    def grey(image):
        return np.asarray(image.convert("L"), np.float32)[None] / 100 - 1

    images = xr.DataArray(np.full((1, 1, 2, 2), 0.275), dims=("stimulus", "color", "y", "x"))
    made = pictures(images, grey)
    assert made.attrs["comment"] == "normalisation undone"
    np.testing.assert_allclose(made, 0.5)


@pytest.mark.parametrize("told", [None, lambda image: normalised(image) ** 2, normalised])
def test_pictures_of_an_unknown_normalisation_are_scaled_one_by_one(told):
    taken, _ = shown(lambda image: 7 * normalised(image) ** 2)
    found = pictures(taken, told)
    assert found.attrs["comment"].startswith("scaled")
    span = taken.max(("color", "y", "x")) - taken.min(("color", "y", "x"))
    expected = (taken - taken.min(("color", "y", "x"))) / span
    np.testing.assert_allclose(found, expected.transpose(*found.dims), atol=1e-6)


def test_even_images_are_black_and_no_error():
    taken = xr.DataArray(np.ones((1, 3, 2, 2)), dims=("stimulus", "color", "y", "x"))
    assert not pictures(taken).values.any()


def test_modes_that_are_alike_are_not_shown_twice():
    atoms = np.zeros((6, 12))  # two channels stand for a mode
    atoms[0, [0, 1]] = 1.0, 0.9
    atoms[1, [0, 1]] = 2.0, 1.8  # a copy
    atoms[2, [0, 1]] = 0.1, 1.0  # of the same channels
    atoms[3, [0, 2]] = 1.0, 0.9
    atoms[5, 4] = 1.0
    assert distinct(atoms, [1, 0, 2, 3, 4, 5], 6) == [0, 3, 5]
    assert distinct(atoms, [3, 5, 0], 2) == [0, 1]
