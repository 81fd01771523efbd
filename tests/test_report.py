"""The page about an analysis: whole by itself, honest about what is simulated, with the numbers."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from small_retina import small_analysis

from neurocodec.errors import StorageError
from neurocodec.nn.targets import Mahalanobis, Output, Sum
from neurocodec.report import Drawing, render, target_name, write_report


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
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
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
    assert "<script>" not in render(found, drawn, {})


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


def test_targets_have_names_in_words():
    assert target_name(Sum()) == "sum of the firing rates of all cells"
    assert target_name(Output("cell 3")) == "firing rate of cell 3"
    assert "Mahalanobis" in target_name(Mahalanobis([0.0], [[1.0]]))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken', which cannot be made"):
        write_report(small_analysis(), tmp_path / "taken")
