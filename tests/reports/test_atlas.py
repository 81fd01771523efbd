"""The page of an atlas shows what the atlas holds: decoded here, and read off a real browser."""

from __future__ import annotations

import base64
import io
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from browsers import Opened
from matplotlib.colors import to_hex
from PIL import Image

import neurocodec as nc
from neurocodec import plotting
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.reports import atlas
from neurocodec.reports.atlas import atlas_data, atlas_page
from neurocodec.synthesis.atlas import tensest

EVIL = "</script><img src=x onerror=window.hacked=1>&\"'"
GRID, COUNT, SIDE = 4, 30, 8
ROWS, COLUMNS = [0, 0, 3], [0, 2, 3]
ICONS = np.repeat([0, 1, 2, -1], [12, 9, 4, 5])[np.random.default_rng(0).permutation(COUNT)]
NAMES = [EVIL, *(f"image {i}" for i in range(1, COUNT))]


def drawn(seed=1):
    """Pictures of one colour each, which JPEG keeps."""
    colors = np.random.default_rng(seed).uniform(0.1, 0.9, (COUNT, 3, 1, 1))
    return np.broadcast_to(colors, (COUNT, 3, SIDE, SIDE)).astype("float32")


def tree(names=NAMES):
    draw = np.random.default_rng(2)
    numbers = {n: ("stimulus", draw.uniform(0, 3, COUNT)) for n in ("excitation", "inhibition")}
    target = draw.normal(size=COUNT)
    where = {n: ("stimulus", draw.uniform(size=COUNT)) for n in ("atlas_x", "atlas_y")}
    root = {**numbers, **where, "target": ("stimulus", target)}
    root["icon_of_image"] = ("stimulus", ICONS)
    shown = draw.normal(size=(3, 3, 16, 16)).astype("float32")
    attrs = {"darkest": [-2.0] * 3, "brightest": [2.0] * 3}
    mean = [target[i == ICONS].mean() for i in range(3)]
    icons = {
        "image": (("icon", "color", "y", "x"), shown, attrs),
        "opacity": (("icon", "y", "x"), np.ones((3, 16, 16), "float32")),
        "target": ("icon", [2.0, -0.5, 0.25], {"units": "Hz"}),
        "mean_target": ("icon", mean),
        "n_images": ("icon", [12, 9, 4]),
        "row": ("icon", ROWS),
        "column": ("icon", COLUMNS),
        "confirmed": ("icon", [True, False, True]),
    }
    coords = {} if names is None else {"stimulus": names}
    nodes = {"/": xr.Dataset(root, coords), "/icons": xr.Dataset(icons, {"icon": range(3)})}
    made = xr.DataTree.from_dict(nodes)
    return nc.labels.stamp(made, "nc.attribution_atlas", atlas={"grid": GRID})


@pytest.fixture(scope="module")
def images():
    return xr.DataArray(drawn(), {"stimulus": NAMES}, ("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def data(images):
    return json.loads(json.dumps(atlas_data(tree(), images)))


def most_tense(icon):
    found = tree()
    tension = (found.excitation + found.inhibition).values
    return sorted(np.flatnonzero(icon == ICONS), key=lambda i: -tension[i])


def decoded(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_the_most_tense_images_of_a_place_are_shown_and_all_are_listed(data):
    for i in range(3):
        assert data["icons"][i]["images"] == most_tense(i)
        strip = decoded(data["strips"][i])
        side, count = strip.shape[0], min(9, len(most_tense(i)))
        assert strip.shape[1] == side * count
        for k, at in enumerate(most_tense(i)[:9]):
            color = strip[2:-2, k * side + 2 : (k + 1) * side - 2].mean((0, 1)) / 255
            np.testing.assert_allclose(color, drawn()[at, :, 0, 0], atol=0.03)


def test_numbers_have_four_digits_and_colours_are_symmetric(data):
    found = tree()
    for name in ("excitation", "inhibition", "target"):
        np.testing.assert_allclose(data["images"][name], found[name], rtol=6e-4)
    assert data["images"]["label"] == NAMES
    shades = plotting.style.CONTRIBUTIONS
    middle = to_hex(mpl.colormaps[shades](0.5 + np.array([2.0, -0.5, 0.25])[1] / 2 / data["limit"]))
    assert data["colors"][1] == middle
    assert data["limit"] == pytest.approx(2, rel=0.02)
    assert len(data["shades"]) == 11


def test_a_mean_without_a_sign_is_told(images):
    """The icon that is not confirmed is of images whose mean is 0 within its standard error."""
    for size, told in ((10.0, True), (0.0, False)):
        found = tree()
        error = xr.DataArray([size] * 3, dims="icon")
        found["icons"] = xr.DataTree(found["icons"].to_dataset().assign(standard_error=error))
        label = plotting.plot_atlas(found).axes[0].get_xlabel()
        assert ("of 1 the images' mean is within two standard errors of 0" in label) == told
        assert label.startswith("dashed: 1 icons")
        assert [p["standard_error"] for p in atlas_data(found, images)["icons"]] == [size] * 3
    assert "standard errors" not in plotting.plot_atlas(tree()).axes[0].get_xlabel()


def test_images_are_found_by_their_labels_or_their_order(images, data):
    shuffled = images.isel(stimulus=np.random.default_rng(0).permutation(COUNT))
    assert atlas_data(tree(), shuffled)["strips"] == data["strips"]
    assert atlas_data(tree(), images.drop_vars("stimulus"))["strips"] == data["strips"]
    more = xr.DataArray(drawn(5), dims=images.dims)
    both = xr.concat([more, images.drop_vars("stimulus")], "stimulus")
    numbered = tree(names=np.arange(COUNT, 2 * COUNT))
    assert atlas_data(numbered, both)["strips"] == data["strips"]


def test_only_what_is_shown_is_read(images, monkeypatch):
    monkeypatch.setattr(atlas, "tensest", lambda t, *n: tensest(t, *n or (1,)))
    hidden = [i for i in range(COUNT) if all(i != most_tense(k)[0] for k in range(3))]
    broken = images.copy()
    broken[hidden] = np.nan
    assert len(atlas_data(tree(), broken)["strips"]) == 3


def test_grey_pictures_are_pictures(images):
    grey = images.isel(color=0)
    assert decoded(atlas_data(tree(), grey)["strips"][0]).shape[2] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, x: (t, x * 255), r"(?s)values from .*try: images / 255"),
        (lambda t, x: (t, x - 0.5), r"(?s)values from -0\.\d+.*normalisation"),
        (lambda t, x: (t, x * np.nan), "values from nan"),
        (lambda t, x: (t, x.isel(stimulus=slice(20))), "20 images without . that the atlas shows"),
        (lambda t, x: (t, x.drop_vars("stimulus")[:20]), "20 images without 22"),
        (lambda t, x: (t, x[[0, *range(COUNT)]]), "each label once"),
        (lambda t, x: (t, x.mean("stimulus")), "the dims"),
        (lambda t, x: (t, x.values), "ndarray"),
        (lambda t, x: (t.to_dataset(), x), "Dataset without excitation"),
        (lambda t, x: (xr.DataTree(t.to_dataset()), x), "as nc.attribution_atlas returns it"),
    ],
)
def test_what_does_not_fit_is_refused(images, change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        atlas_page(*change(tree(), images), tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_large_page_is_made_smaller_and_then_warned_of(images, monkeypatch, tmp_path):
    noise = images.copy(data=np.random.default_rng(0).uniform(size=images.shape))
    size = len("".join(atlas_data(tree(), noise)["strips"]))
    monkeypatch.setattr(atlas, "LARGE", size)
    assert len("".join(atlas_data(tree(), noise)["strips"])) < size
    monkeypatch.setattr(atlas, "LARGE", 1000)
    with pytest.warns(NeurocodecWarning, match="grid="):
        atlas_page(tree(), noise, tmp_path)


def test_the_figure_has_an_icon_in_each_place():
    figure = plotting.plot_atlas(tree(), title="cost: $5 and $6")
    ax = figure.axes[0]
    corners = [image.get_extent()[::2] for image in ax.images]
    np.testing.assert_allclose(corners, np.stack([COLUMNS, ROWS], 1) + 0.1)
    dashed = [patch.get_linestyle() != "solid" for patch in ax.patches]
    assert dashed == [False, True, False]
    assert "1 icons" in ax.get_xlabel()
    figure.draw_without_rendering()


# ---- the page in a browser


@pytest.fixture(scope="module")
def address(images, tmp_path_factory):
    page = atlas_page(tree(), images, tmp_path_factory.mktemp("atlas") / "new", title=EVIL)
    text = page.read_text("utf-8")
    assert not re.search(r'(src|href)="?(https?:|//)', text)
    return page.as_uri()


class View(Opened):
    """The atlas as a reader sees and uses it."""

    def ready(self):
        self.page.wait_for_selector(".atlas[data-ready]", state="attached")
        return self

    def place(self, icon):
        return self.page.locator(f'[data-icon="{icon}"]')

    def shows(self, icon):
        self.page.wait_for_selector(f'.atlas[data-shown="{icon}"]')
        return self

    def view(self):
        return [float(n) for n in self.page.locator(".atlas").get_attribute("data-view").split()]

    def address(self):
        self.page.wait_for_timeout(250)
        return self.page.evaluate("location.hash")


@pytest.fixture
def view(browser, address):
    opened = View(browser, address).ready()
    yield opened
    assert opened.errors == []
    assert {*opened.requests} - {r for r in opened.requests if r.startswith("data:")} == {address}
    assert opened.page.evaluate("window.hacked") is None
    opened.context.close()


def test_icons_lie_in_their_places(view):
    whole = view.page.locator(".a-map").bounding_box()
    side = whole["width"] / GRID
    for i in range(3):
        box = view.place(i).bounding_box()
        assert box["x"] - whole["x"] == pytest.approx(COLUMNS[i] * side, abs=2)
        assert box["y"] - whole["y"] == pytest.approx((GRID - 1 - ROWS[i]) * side, abs=2)
    label = view.place(1).get_attribute("aria-label")
    assert label == "row 0, column 2: target \N{MINUS SIGN}0.5, 9 images, not confirmed"
    assert view.page.locator(".a-doubt").is_visible()


def test_the_pointer_shows_images_and_a_click_lists_all(view):
    view.place(0).hover()
    view.shows(0)
    captions = view.page.locator(".a-shown small").all_inner_texts()
    found, first = tree(), most_tense(0)[0]
    assert len(captions) == 9
    assert captions[0].split("\n")[0] == f"E+ {float(found.excitation[first]):.3g}"
    assert view.page.locator(".a-list").count() == 0
    view.place(0).click()
    rows = view.page.locator(".a-list tbody tr td:first-child").all_inner_texts()
    assert rows == [NAMES[i] for i in most_tense(0)]
    view.place(2).hover()
    view.shows(2)
    view.page.mouse.move(1, 1)
    view.shows(0)
    assert view.address() == "#place=0%2C0"
    view.page.keyboard.press("Escape")
    view.page.wait_for_function('document.querySelectorAll("[aria-pressed=true]").length === 0')
    assert "place" not in view.address()


def test_keys_go_from_place_to_place(view):
    view.place(0).focus()
    for key, icon in [("ArrowRight", 1), ("ArrowUp", 2), ("ArrowUp", 2), ("ArrowLeft", 1)]:
        view.page.keyboard.press(key)
        view.shows(icon)
    view.page.keyboard.press("Enter")
    assert view.place(1).get_attribute("aria-pressed") == "true"
    view.page.keyboard.press("+")
    assert view.view()[0] == pytest.approx(1.5)
    view.page.keyboard.press("0")
    assert view.view() == [1, 0.5, 0.5]


def test_the_wheel_zooms_about_the_pointer_and_dragging_moves_the_map(view):
    before = view.place(2).bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    view.page.mouse.move(x, y)
    view.page.mouse.wheel(0, -300)
    view.page.wait_for_function('!document.querySelector(".atlas").dataset.view.startsWith("1 ")')
    after = view.place(2).bounding_box()
    assert after["width"] == pytest.approx(before["width"] * view.view()[0], rel=0.01)
    assert after["x"] < x < after["x"] + after["width"]
    view.page.mouse.down()
    view.page.mouse.move(x - 60, y + 40, steps=4)
    view.page.mouse.up()
    moved = view.place(2).bounding_box()
    assert moved["y"] == pytest.approx(after["y"] + 40, abs=2) or view.view()[2] < 0.5
    assert view.page.locator("[aria-pressed=true]").count() == 0  # a drag is no click


def test_an_address_opens_the_place_and_the_view(browser, address):
    opened = View(browser, f"{address}#place=3%2C3&zoom=2.5&x=0.7&y=0.3").ready().shows(2)
    assert opened.view() == [2.5, 0.7, 0.3]
    assert opened.place(2).get_attribute("aria-pressed") == "true"
    opened.page.evaluate("location.hash = '#place=0,2'")
    opened.shows(1)
    assert opened.view() == [1, 0.5, 0.5]
    opened.page.evaluate("location.hash = '#place=9,9&zoom=nan&x=7'")
    opened.shows(-1)
    assert opened.errors == []
    opened.context.close()


def test_a_telephone_sees_it_all(browser, address):
    size = {"width": 390, "height": 800}
    opened = View(browser, address, viewport=size, has_touch=True).ready()
    opened.place(1).tap()
    opened.shows(1)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.page.locator(".a-list tbody tr").count() == 9
    assert opened.errors == []
    opened.context.close()
