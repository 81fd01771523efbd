"""The explorer of image networks: what its files hold, and what a reader sees in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
from functools import partial
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import xarray as xr
from browsers import Opened
from PIL import Image
from torch import nn

import neurocodec as nc
from neurocodec.analyses.images import analyse
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels import map_pictures
from neurocodec.reports.image_explorer.layers import BARS

EVIL = "</script><img src=x onerror=window.hacked=1>&\"'"
OUTPUTS = ["dark", EVIL, "rare"]
SIZE = 8


def scaled(image):
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - 0.5


@pytest.fixture(scope="module")
def net():
    module = nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
    )
    random = np.random.default_rng(3)
    for parameter in module.parameters():
        parameter.data = parameter.data.new_tensor(random.normal(size=parameter.shape) * 0.3)
    return nc.Network(
        module.eval(),
        {"early": "1", "late": "3"},
        outputs=OUTPUTS,
        input_shape=(3, SIZE, SIZE),
        preprocessing=scaled,
        name="small",
    )


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    label = np.array(["dark", EVIL] * 30 + ["rare"] * 4)
    values = random.integers(0, 120, (64, 3, SIZE, SIZE))
    values[:, 0] += 130 * (label == EVIL)[:, None, None]
    return xr.DataArray(
        (values / 255 - 0.5).astype("float32"),
        {"label": ("stimulus", label), "stimulus": np.arange(64) + 7},
        ("stimulus", "color", "y", "x"),
    )


@pytest.fixture(scope="module")
def found(net, images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyse, "SparseModes", partial(nc.SparseModes, epochs=2))
        return nc.analyse_images(
            *(net, images),
            method=nc.methods.InputGrad(),
            parts=["modes", "perturbation"],
            expansion=2,
            per_class=5,
            progress=False,
        )


@pytest.fixture(scope="module")
def folder(found, images, net, tmp_path_factory):
    place = tmp_path_factory.mktemp("explorer")
    nc.write_explorer(found, images, place / "new", net=net, maps=2, progress=False)
    return place / "new"


def script(folder, name):
    """Numbers of one file, as the page is given them."""
    text = (folder / "data" / f"{name}.js").read_text("utf-8")
    taken, rest = re.fullmatch(r'explorer\.take\("([^"]+)",(.*)\);\n', text, re.DOTALL).groups()
    assert taken == name
    return json.loads(rest)


def held_rows(found, layer):
    rows = found.tree[layer]["contribution"].isel(stimulus=np.flatnonzero(found.held))
    return rows, found.modes["contribution"][layer]


# ---- what the files hold


@pytest.mark.parametrize(("number", "layer"), [(0, "early"), (1, "late")])
def test_modes_are_told_as_they_are(found, folder, number, layer):
    rows, modes = held_rows(found, layer)
    loadings = modes.transform(rows).values
    label = found.tree["label"].values[found.held.values]
    told = script(folder, f"layer-{number}")
    assert len(told) == modes.dictionary.sizes["mode"]
    classes = sorted({*label.tolist()})
    for m, one in enumerate(told):
        column = loadings[:, m]
        assert one["share"] == pytest.approx((column > 0).mean(), rel=1e-3)
        order = np.argsort(-column, kind="stable")[: min(4, (column > 0).sum())]
        assert one["top"] == order.tolist()
        for c, r in one["classes"]:
            assert classes[c] != "rare"  # of which two images are held out
            assert r == pytest.approx(np.corrcoef(column, label == classes[c])[0, 1], abs=1e-3)
        details = script(folder, f"modes-{number}-0")[m]
        assert sum(details["counts"]) == (column > 0).sum()
        assert len(details["counts"]) == BARS
        weights = modes.dictionary.values[m]
        assert details["channels"][0] == [str(weights.argmax()), pytest.approx(weights.max(), 1e-3)]


def test_similar_modes_are_those_of_numpy(found, folder):
    early, late = (
        modes.transform(rows).values.astype(float)
        for rows, modes in (held_rows(found, layer) for layer in ("early", "late"))
    )
    one = script(folder, "modes-1-0")[0]
    assert [*one["linked"]] == ["before"]
    for m, r in one["linked"]["before"]:
        assert r == pytest.approx(np.corrcoef(late[:, 0], early[:, m])[0, 1], abs=1e-3)
    rows = found.modes["contribution"]["late"].dictionary.values.astype(float)
    for m, cosine in one["alike"]:
        assert m != 0
        own = rows[0] @ rows[m] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[m])
        assert cosine == pytest.approx(own, abs=1e-3)


def test_images_say_what_modes_add_and_what_is_left(found, folder):
    for number, layer in enumerate(("early", "late")):
        rows, modes = held_rows(found, layer)
        rebuilt = modes.inverse_transform(modes.transform(rows)).sum("channel").values
        sums = rows.sum("channel")
        shown = [pair for pair in enumerate(script(folder, "images-0")) if pair[1]]
        assert len(shown) > 10
        for i, one in shown:
            (excitation, inhibition, left), added = one["layers"][number]
            own = sums.isel(stimulus=i)
            assert excitation == pytest.approx(float(own.sel(sign="excitatory")), rel=1e-3)
            assert inhibition == pytest.approx(float(own.sel(sign="inhibitory")), rel=1e-3)
            assert left == pytest.approx(excitation - rebuilt[i], rel=1e-2, abs=1e-3)
            assert [x for _, x in added] == sorted((x for _, x in added), reverse=True)
            target = found.tree["target"].values[found.held.values][i]
            assert one["target"] == pytest.approx(target, rel=1e-3)


def test_pictures_are_the_images_and_masks_those_of_the_maps(found, folder, images, net):
    held = np.flatnonzero(found.held)
    one = script(folder, "modes-1-0")[0]
    first = one["images"][0][0]
    picture = np.asarray(Image.open(folder / f"images/0/{first}.jpg"), float) / 255
    true = np.moveaxis(images.values[held[first]] + 0.5, 0, -1)
    assert np.abs(picture - true).mean() < 0.06  # JPEG
    shown = images.isel(stimulus=held[one["images"][0][:2]])
    modes = found.modes["contribution"]["late"]
    maps = nc.contribution_maps(
        *(net, shown, "late"),
        target=found.target,
        modes=modes.dictionary.isel(mode=[0]),
        sign="excitatory",
        top=1,
    )
    sizes = map_pictures.size_picture(maps.contribution_map.values[:, 0], 3)
    wanted = np.clip(sizes / np.quantile(sizes, 0.99), 0, 1) ** 0.7
    assert len(one["masks"]) == len(wanted)
    for text, mask in zip(one["masks"], wanted, strict=True):
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))), float) / 255
        assert np.abs(seen - mask).mean() < 0.06


def test_classes_have_their_curves(found, folder):
    told = script(folder, "class-1")
    assert [curve["layer"] for curve in told["curves"]] == [0, 1]
    curve = found.perturbation["late"].sel(category="dark", kind="preserve")
    shown = told["curves"][1]
    at = shown["kinds"].index("preserve")
    true = curve["accuracy"].transpose("ranking", "group", "fraction").values
    np.testing.assert_allclose(shown["accuracy"][at], true, atol=1e-3)
    assert [x for *_, x, _ in told["modes"]] == sorted((x for *_, x, _ in told["modes"]))[::-1]
    above = [x > chance for *_, x, chance in told["modes"]]
    assert told["above"] == sum(above)  # there are no more modes than are told
    assert script(folder, "class-2")["modes"] == []  # too few images
    assert script(folder, "class-2")["above"] == 0


def test_stability_is_told_where_it_is_known(found, images, tmp_path):
    modes = found.modes["contribution"]["late"].dictionary
    stability = xr.Dataset(
        {"dictionary": modes[::-1] * 2, "stability": ("mode", np.linspace(0.5, 1, len(modes)))}
    )
    nc.write_explorer(
        found, images, tmp_path, stability={"late": stability}, progress=False, maps=0
    )
    own = [one["stability"] for one in script(tmp_path, "layer-1")]
    alive = np.abs(modes.values).sum(axis=1) > 0
    known = [x for x, there in zip(own, alive, strict=True) if there]
    expected = np.linspace(0.5, 1, len(modes))[::-1][alive]
    np.testing.assert_allclose(known, expected, atol=0.2)  # near-copies may take another's
    assert {one["stability"] for one in script(tmp_path, "layer-0")} == {None}
    assert all(one["masks"] == [] for one in script(tmp_path, "modes-1-0"))
    assert "Without maps" in (tmp_path / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x: x[:5], {}, "5 images without"),
        (lambda x: x.values, {}, r"images over \(\)"),
        (lambda x: x, {"maps": -1}, "maps=-1"),
        (lambda x: x, {"stability": {"middle": None}}, "middle"),
        (lambda x: x, {"seed": 0.5}, "seed=0.5"),
    ],
)
def test_what_does_not_fit_is_refused(  # noqa: PLR0917 - fixtures
    found, images, tmp_path, change, options, message
):
    with pytest.raises((InputError, UnknownNameError), match=message):
        nc.write_explorer(found, change(images), tmp_path / "no", progress=False, **options)
    assert not (tmp_path / "no").exists()


def test_images_without_classes_have_modes_all_the_same(browser, net, images, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyse, "SparseModes", partial(nc.SparseModes, epochs=2))
        bare = images.drop_vars("label")
        found = nc.analyse_images(
            net, bare, layers=["late"], parts=["modes"], expansion=1, progress=False
        )
    nc.write_explorer(found, bare, tmp_path, maps=0, progress=False)
    assert all(one["r"] is None and one["top"] for one in script(tmp_path, "layer-0"))
    opened = View(browser, (tmp_path / "index.html").as_uri() + "#layer=late&mode=0").shows()
    assert "The images have no classes." in opened.page.locator(".m-view").inner_text()
    assert opened.errors == []
    opened.context.close()


def test_an_analysis_without_modes_has_none_to_show(net, images, tmp_path):
    bare = nc.analyse_images(net, images, parts=["statistics"], progress=False)
    with pytest.raises(InputError, match="without modes"):
        nc.write_explorer(bare, images, tmp_path)


# ---- the folder in a browser


class View(Opened):
    """The explorer as a reader sees and uses it."""

    def shows(self, hash_="", **state):
        wanted = hash_ or "".join(
            f"[data-shown*={json.dumps(k + '=' + x)}]" for k, x in state.items()
        )
        self.page.wait_for_selector(f".modes{wanted or '[data-shown]'}", state="attached")
        return self

    def heading(self):
        return self.page.locator("h1").inner_text()

    def press(self, key):
        self.page.keyboard.press(key)
        return self


@pytest.fixture
def view(browser, folder):
    opened = View(browser, (folder / "index.html").as_uri()).shows()
    yield opened
    assert opened.errors == []
    assert all(r.startswith((folder.as_uri(), "data:")) for r in opened.requests)
    assert opened.page.evaluate("window.hacked") is None
    opened.context.close()


def test_the_page_alone_is_small_and_loads_no_more_than_it_shows(view):
    files = {unquote(urlparse(r).path) for r in view.requests if r.startswith("file:")}
    loaded = {path.rpartition("/")[2] for path in files if "/data/" in path}
    assert loaded == {"layer-1.js"}
    assert view.heading() == "late"
    assert view.page.locator(".m-card").count() == 10


def test_modes_are_sorted_and_found_by_class(view, folder):
    told = script(folder, "layer-1")
    names = [m["name"] for m in sorted(told, key=lambda m: -(m["r"] if m["r"] is not None else -9))]
    cards = view.page.locator(".m-card")
    assert cards.first.get_attribute("data-mode") == names[0]
    view.page.select_option(".m-sort", "share")
    view.shows(sort="share")
    first = cards.first.get_attribute("data-mode")
    assert next(m for m in told if m["name"] == first)["share"] == max(m["share"] for m in told)
    view.page.fill(".m-class", "dar")
    view.shows(find="dar")
    fits = [m for m in told if any(c == 1 for c, _ in m["classes"])]
    assert cards.count() == len(fits)
    assert view.page.locator(".m-view a", has_text="dark").first.is_visible()


def test_a_class_is_two_clicks_from_an_image(view):
    view.page.locator(".m-card").first.click()
    view.shows(mode="")
    view.page.locator(".m-row a").first.click()
    view.shows(image="")
    view.page.locator(".m-facts a").first.click()
    view.shows("[data-shown*='class=']")
    assert view.page.locator(".m-chart path").count() == 2 * 2 * 5
    assert view.heading() in OUTPUTS
    view.page.go_back()
    view.shows(image="")


def test_keys_go_on_and_back(view):
    view.page.locator(".m-card").first.focus()
    view.press("ArrowRight").press("Enter").shows(mode="")
    shown = view.page.evaluate("location.hash")
    view.press("ArrowRight")
    view.page.wait_for_function(
        "h => document.querySelector('.modes').dataset.shown !== h", arg=shown
    )
    assert view.page.evaluate("location.hash") != shown
    view.press("Escape").shows("[data-shown='#layer=late']")
    view.press("/")
    assert view.page.evaluate("document.activeElement.className") == "m-class"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("#layer=early&mode=3", "early, mode 3"),
        ("#image=0&layer=early", "7"),
        ("#class=dark", "dark"),
        ("#class=nobody", "Nothing here"),
        ("#layer=early&mode=99", "Nothing here"),
        ("#image=9999", "Nothing here"),
        ("#layer=nowhere", "late"),
    ],
)
def test_an_address_opens_what_it_names(browser, folder, found, address, said):
    opened = View(browser, (folder / "index.html").as_uri() + address).shows()
    name = found.tree["stimulus"].values[found.held.values][0]
    assert opened.heading() == (str(name) if said == "7" else said)
    assert opened.errors == []
    opened.context.close()


@pytest.mark.parametrize("address", ["", "#layer=late&mode=1", "#image=0", "#class=dark"])
def test_a_telephone_sees_it_all(browser, folder, address):
    size = {"width": 390, "height": 800}
    opened = View(browser, (folder / "index.html").as_uri() + address, viewport=size).shows()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.errors == []
    opened.context.close()


def test_a_file_that_is_missing_is_named(browser, found, images, tmp_path):
    nc.write_explorer(found, images, tmp_path, progress=False)
    (tmp_path / "data" / "layer-1.js").unlink()
    opened = View(browser, (tmp_path / "index.html").as_uri()).shows()
    assert "data/layer-1.js is missing" in opened.page.locator(".m-view").inner_text()
    opened.context.close()
