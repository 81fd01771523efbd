"""The page about an analysis: whole by itself, honest about what is simulated, with the numbers."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from small_retina import small_analysis

from neurocodec.errors import StorageError
from neurocodec.nn.attribution.targets import Mahalanobis, Output, Sum
from neurocodec.reports.description import target_name
from neurocodec.reports.page import Drawing
from neurocodec.reports.retina import render, write_report
from neurocodec.reports.retina_figures import _dynamic_figures, _map_figures, figures


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(small_analysis(), folder, settings={"command": "neurocodec retina <b>"})
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def drawn(folder):
    """Figures of the page, without what they show."""
    return {file.stem: Drawing(b"png", "a figure") for file in (folder / "figures").iterdir()}


def test_nothing_is_loaded_from_elsewhere(page):
    names = {"src", "href", "srcset", "data", "action", "poster"}
    addresses = [x for _, attrs in page.tags for k, x in attrs.items() if k in names]
    assert addresses
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in addresses)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object"}
    assert "http" not in page.text
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_every_link_of_the_page_leads_somewhere(page):
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"}
    assert links == ids


def test_images_on_the_page_are_the_files_beside_it(page, folder):
    embedded = [attrs["src"].partition(",")[2] for tag, attrs in page.tags if tag == "img"]
    decoded = {base64.b64decode(code) for code in embedded}
    files = list((folder / "figures").glob("*.png"))
    assert decoded == {file.read_bytes() for file in files}
    assert {file.stem for file in files} >= {
        "overview",
        "contributions-layer1",
        "modes-layer2",
        "silhouette",
    }
    for png in decoded:
        assert Image.open(io.BytesIO(png)).width > 600
    assert all(attrs["alt"] for tag, attrs in page.tags if tag == "img")


def test_simulated_is_said_at_the_top(page):
    assert "Simulated." in page.text[: page.text.index("Overview")]
    assert "Nothing on this page was recorded from a real retina" in page.text


def test_recorded_data_are_not_called_simulated(drawn):
    found = dataclasses.replace(small_analysis(), simulated=())
    page = Page(render(found, drawn, {}))
    assert "Simulated." not in page.text
    half = dataclasses.replace(small_analysis(), simulated=("model",))
    page = Page(render(half, drawn, {}))
    assert "The model describes a simulated retina" in page.text
    assert "Nothing on this page" not in page.text


def test_measured_numbers_are_on_the_page(page):
    found = small_analysis()
    for layer in found.layers:
        modes = found.modes[layer]
        row = f"{modes.l0:.1f}{modes.r2:.3f}{modes.r2_pooled:.3f}{modes.r2_train:.3f}"
        assert row in page.text.replace(" ", "")
        median = float(found.completeness.sel(layer=layer, quantile=0.5))
        assert f"{100 * median:.2g} %" in page.text
    agreement = float(found.agreement.sel(clustering="layer1", other_clustering="cell_type"))
    assert f"{agreement:.2f}" in page.text
    assert f"correlate with {float(found.responses().correlation.median()):.2f}" in page.text


def test_what_was_run_is_on_the_page(page):
    for text in ("simulated-small", "surprisal", "IntegratedGradients", "steps 20", "torch 2."):
        assert text in page.text
    assert re.search("[0-9a-f]{64}", page.text)
    assert "max_steps" not in page.text  # of steps="auto" only


def test_text_is_escaped(folder, drawn):
    html = (folder / "report.html").read_text("utf-8")
    assert "neurocodec retina &lt;b&gt;" in html
    found = dataclasses.replace(small_analysis(), model="<script>alert(1)</script>")
    assert "<script>alert" not in render(found, drawn, {})


def test_cells_that_were_not_clustered_are_explained(drawn):
    found = dataclasses.replace(
        small_analysis(),
        clusters={},
        unclustered=dict.fromkeys(["layer1", "layer2"], "2 cells with 2 different patterns"),
        agreement=small_analysis().agreement.isel(clustering=[], other_clustering=[]),
    )
    page = Page(render(found, drawn, {}))
    assert "could not be clustered (2 cells with 2 different patterns)" in page.text
    assert "Agreement of the clusterings" not in page.text


def test_fields_and_combinations_are_explained(page):
    dynamics = small_analysis().dynamics
    assert dynamics is not None
    for layer, found in dynamics.variance.items():
        share = f"{float(found['explained'].median()):.2f}".replace("-0.00", "0.00")
        assert f"{layer}{share}" in page.text.replace(" ", "")
    assert "-0.00" not in page.text
    assert "over the last 30 ms" in page.text  # windows of 4 frames at 100 Hz
    assert "Pick a cell and a time" in page.text


def test_one_cell_is_not_written_of_as_many(drawn):
    found = small_analysis()
    assert found.recorded is not None
    one = {"rates": found.rates[:, :1], "recorded": found.recorded[:, :1]}
    text = Page(render(dataclasses.replace(found, **one, dynamics=None), drawn, {})).text
    assert re.search(r"The model's rate and the simulated one correlate with -?0\.\d\d\.", text)
    still = found.recorded.copy()
    still[:, 0] = 0.0
    text = Page(render(dataclasses.replace(found, recorded=still, dynamics=None), drawn, {})).text
    assert "Of 1 of the 4 cells one of the rates never changes" in text


def test_the_size_of_a_frame_does_not_depend_on_the_order_of_dims(drawn):
    found = small_analysis()
    turned = found.stimulus.isel(y=slice(8)).transpose("y", "x", "time")
    text = Page(render(dataclasses.replace(found, stimulus=turned, dynamics=None), drawn, {})).text
    assert "300 frames of 8 x 9 pixels" in text


def test_a_page_about_light_has_time_courses_and_no_maps(drawn):
    found = small_analysis()
    light = dataclasses.replace(found, stimulus=found.stimulus.isel(y=[0], x=[0]))
    assert [name for name, _, _ in _map_figures(light, "")] == []
    names = [name for name, _, _ in _dynamic_figures(light, slice(None), "")]
    assert names == ["moments"]
    page = Page(render(light, {k: x for k, x in drawn.items() if k[:4] != "maps"}, {}))
    assert "The light was full-field: a field is a time course." in page.text
    assert ("a", {"href": "#fields"}) in page.tags
    assert not {"#explorer", "#maps"} & {str(told.get("href")) for _, told in page.tags}


def test_layers_without_a_mode_alone_say_so(drawn):
    found = small_analysis()
    assert found.dynamics is not None
    empty = {k: x.isel(example=slice(0)) for k, x in found.dynamics.alone.items()}
    without = dataclasses.replace(found, dynamics=dataclasses.replace(found.dynamics, alone=empty))
    shown = {"combinations-layer1": Drawing(b"png", "a figure"), **drawn}
    assert "Left, nothing: no mode" in Page(render(without, shown, {})).text


def test_fields_that_were_not_followed_are_explained(drawn):
    found = dataclasses.replace(small_analysis(), dynamics=None, unfollowed="no mode is active")
    page = Page(render(found, drawn, {}))
    assert "could not be followed (no mode is active)" in page.text
    assert ("a", {"href": "#fields"}) in page.tags
    assert "#explorer" not in str(page.tags)


@pytest.fixture(scope="module")
def compared():
    """Interneurons against units, as they are saved."""
    rng = np.random.default_rng(0)
    scores = {k: ("interneuron", [0.5, 0.3]) for k in ("correlation", "chance_correlation")}
    scores |= {"correlation_selected": ("interneuron", [0.6, 0.5])}
    scores |= {"p_value": ("interneuron", [0.04, 0.5])}
    best = {k: ("interneuron", [0, 1]) for k in ("best_channel", "best_y", "best_x")}
    maps = {"correlation_map": (("interneuron", "channel", "y", "x"), rng.random((2, 2, 3, 3)))}
    root = xr.Dataset({**scores, "best_layer": ("interneuron", ["layer1"] * 2)})
    nodes = {"/": root, "/layer1": xr.Dataset({**scores, **best, **maps})}
    return xr.DataTree.from_dict(nodes)


def test_recorded_interneurons_are_not_called_simulated(drawn, compared):
    shown = {f"interneuron{k}": Drawing(b"png", "") for k in ("s", "-maps", "-matrix")} | drawn
    found = dataclasses.replace(small_analysis(), interneurons=compared)
    text = Page(render(found, shown, {})).text
    assert "The interneurons were recorded from a real retina." in text
    assert "Nothing on this page" not in text
    assert "Each recorded interneuron was" in text
    assert "0.40 in the median (0.30 to 0.50)" in text
    assert "it looks better by 0.15. 1 of 2 are above chance" in text
    titles = [figure.axes[0].get_title(loc="left") for figure in interneuron_figures(found)]
    assert titles[0] == "interneurons and their best units (simulated model)"
    said = compared.copy()
    said.attrs["simulated"] = 1
    found = dataclasses.replace(found, interneurons=said)
    text = Page(render(found, shown, {})).text
    assert "Nothing on this page" in text
    assert "Each simulated interneuron was" in text


def interneuron_figures(analysis):
    return [x for name, x, _ in figures(analysis) if name.startswith("interneuron")]


def test_the_explorer_works_inside_of_the_report(folder):
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = os.environ.get("NEUROCODEC_BROWSER") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium, or NEUROCODEC_BROWSER")
    with driver.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        context = browser.new_context(offline=True, viewport={"width": 390, "height": 800})
        page, errors, asked = context.new_page(), [], []
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / "report.html").as_uri())
        cells = page.locator("#explorer ~ section select").first
        page.wait_for_selector("section .x-shown, section canvas")
        cells.select_option(index=2)
        page.wait_for_function("location.hash.includes('simulated+3')")
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert errors == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert wide <= 390


def test_targets_have_names_in_words():
    assert target_name(Sum()) == "sum of the firing rates of all cells"
    assert target_name(Output("cell 3")) == "firing rate of cell 3"
    assert "Mahalanobis" in target_name(Mahalanobis([0.0], [[1.0]]))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken', which cannot be made"):
        write_report(small_analysis(), tmp_path / "taken")
