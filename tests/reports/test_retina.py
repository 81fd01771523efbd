"""The page about an analysis: whole by itself, honest about what is simulated, with the numbers."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.text import Text
from PIL import Image
from small_retina import few_epochs, small_analysis
from video import colored, video_network

from neurocodec.analyses.retina import analyse
from neurocodec.analyses.retina.ensemble import ensemble_of
from neurocodec.errors import StorageError
from neurocodec.labels import PROVENANCE, provenance
from neurocodec.nn.attribution.methods import ActGrad
from neurocodec.nn.attribution.targets import Mahalanobis, Output, Sum
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.reports.description import target_name
from neurocodec.reports.page import Drawing, filled
from neurocodec.reports.retina.figures import (
    _dynamic_figures,
    _map_figures,
    figures,
    shown_figure,
)
from neurocodec.reports.retina.page import _expansion, _median_cell, render, write_report
from neurocodec.reports.retina.tension import tension_part


def test_the_page_says_how_many_modes_the_data_decided():
    modes = {
        k: SimpleNamespace(config=SparseConfig(expansion="auto"), dictionary=[0] * n)
        for k, n in (("layer1", 5), ("layer2", 3))
    }
    found = SimpleNamespace(layers=[*modes], modes=modes)
    assert _expansion(found) == "auto (5 modes of layer1, 3 modes of layer2)"
    modes["layer1"].config = SparseConfig(expansion=10.0)
    assert _expansion(found) == "10"


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


def test_every_figure_has_its_numbers_named_in_its_caption(page, folder):
    names = {file.stem for file in (folder / "figures").glob("*.png")}
    for ending in ("svg", "pdf", "csv"):
        assert {file.stem for file in (folder / "figures").glob(f"*.{ending}")} == names
    assert all(f"Numbers: figures/{name}.csv" in page.text for name in names)
    rates = small_analysis().rates
    table = pd.read_csv(folder / "figures" / "responses.csv", comment="#")
    drawn = table[table.series == "firing rate (Hz)"].pivot_table("value", "x", "y")
    order = [0, 2, 1, 3]  # the two types one after the other
    times = np.searchsorted(rates.time.values, drawn.index.values - 1e-6)
    np.testing.assert_allclose(drawn.index, rates.time.values[times], atol=1e-6)
    np.testing.assert_allclose(drawn, rates.values[times][:, order], rtol=1e-5)


def test_what_interneurons_saw_is_drawn_in_pixels_and_over_time():
    movie = small_analysis().stimulus[:40]
    figure = shown_figure(movie, "part 'boxes', padded")
    axes = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert "what the interneurons saw: part 'boxes', padded" in axes
    low, high, mean = (line.get_ydata() for line in axes["light over time"].lines)
    np.testing.assert_allclose(mean, movie.values.mean(axis=(1, 2)), rtol=1e-5)
    assert (low <= mean).all()
    assert (mean <= high).all()
    at = int(movie.values.std(axis=(1, 2)).argmax())
    shown = {ax.get_xlabel(): ax for ax in figure.axes}
    frame = shown[f"x (pixel), at {float(movie.time[at]):.2f} s"]
    np.testing.assert_allclose(frame.images[0].get_array(), movie.values[at], rtol=1e-6)


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


def test_steps_are_named_where_the_method_goes_in_steps(page, drawn):
    assert "More steps along the path" in page.text
    tree = small_analysis().tree.copy()
    made = {**provenance(tree), "method": {"kind": "ActGrad"}}
    tree.attrs[PROVENANCE] = json.dumps(made)
    text = Page(render(dataclasses.replace(small_analysis(), tree=tree), drawn, {})).text
    assert "--steps auto" not in text
    assert "The method goes no path in steps: --method integrated-gradients makes" in text


def test_text_is_escaped(folder, drawn):
    html = (folder / "report.html").read_text("utf-8")
    assert "neurocodec retina &lt;b&gt;" in html
    found = dataclasses.replace(small_analysis(), model="<script>alert(1)</script>")
    assert "<script>alert" not in render(found, drawn, {})


def test_the_page_names_no_number_of_clusters_that_chance_makes_too(drawn):
    found = small_analysis()
    for p, one in ((0.43, True), (0.02, False)):
        clusters = {k: c.assign(p_value=p) for k, c in found.clusters.items()}
        text = Page(render(dataclasses.replace(found, clusters=clusters), drawn, {})).text
        assert ("no evidence for more than one type (p = 0.43)" in text) is one
        count = int(clusters["layer1"].n_clusters)
        assert (f"{count} clusters" in text) is not one


def test_badly_placed_cells_are_named_and_no_diagonal_has_a_star(drawn):
    found = small_analysis()
    wrong = found.clusters["layer1"].copy(deep=True)
    wrong["cell_silhouette"][2] = -0.25
    clusters = {**found.clusters, "layer1": wrong}
    text = Page(render(dataclasses.replace(found, clusters=clusters), drawn, {})).text
    assert "simulated 3 (-0.25)" in text
    assert "1.00*" not in text


@pytest.mark.parametrize(
    ("l0", "said"), [(1.0, ""), (1.5, "hardly shorter"), (2.0, "as shortly"), (3.0, "more shortly")]
)
def test_modes_that_are_not_few_are_measured_by_the_channels(drawn, monkeypatch, l0, said):
    found = small_analysis()
    monkeypatch.setattr(type(found.modes["layer1"]), "l0", property(lambda _: l0))
    text = Page(render(found, drawn, {})).text
    assert ("are not few" in text) is bool(said)
    assert said in text
    assert ("as shortly" in text) is (said == "as shortly")


@pytest.mark.parametrize("p", [0.01, 0.4])
def test_a_star_is_explained_where_there_is_one(drawn, p):
    found = small_analysis()
    chance = found.agreement.p_value.copy(data=np.full(found.agreement.shape, p))
    agreement = found.agreement.assign_coords(p_value=chance)
    text = Page(render(dataclasses.replace(found, agreement=agreement), drawn, {})).text
    assert ("* p < 0.05" in text) is (p < 0.05)
    assert ("None of these is more" in text) is (p >= 0.05)


def test_cells_that_were_not_clustered_are_explained(drawn):
    found = dataclasses.replace(
        small_analysis(),
        clusters={},
        unclustered=dict.fromkeys(["layer1", "layer2"], "2 cells with 2 different patterns"),
        agreement=small_analysis().agreement.isel(clustering=[], other_clustering=[]),
    )
    page = Page(render(found, drawn, {}))
    assert "could not be clustered (2 cells with 2 different patterns)" in page.text
    assert "did not see" not in page.text
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
    assert "frames of light, the same at all places" in page.text
    assert "frames of 1 x 1 pixels" not in page.text
    assert "One frame in each tenth" not in page.text
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


def test_of_several_models_mean_and_range_stand_with_their_number(drawn):
    first = small_analysis()
    lacking = dataclasses.replace(
        first, model="other", clusters={"layer1": first.clusters["layer1"]}
    )
    found = dataclasses.replace(first, ensemble=ensemble_of([first, lacking]))
    page = Page(render(found, drawn, {}))
    assert "first of 2 models of the same cells (simulated-small, other)" in page.text
    count = float(first.clusters["layer2"]["n_clusters"])
    cells = [word.strip() for word in page.words if word.strip()]
    at = [i for i, word in enumerate(cells) if word == "number of clusters"]
    assert cells[at[1] + 1 : at[1] + 4] == [
        "layer2",
        f"{count:.2f} ({count:.2f} to {count:.2f})",
        "1",
    ]
    assert "#ensemble" not in str(Page(render(first, drawn, {})).tags)


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


def test_the_page_says_how_many_interneurons_exceed_every_null(drawn, compared):
    shown = {f"interneuron{k}": Drawing(b"png", "") for k in ("s", "-maps", "-matrix")} | drawn
    dims = ("control", "bound", "interneuron")
    ends = np.array([[[0.0, 0.1], [0.2, 0.2]], [[0.1, 0.1], [0.3, 0.38]], [[0.2, 0.2], [0.4, 0.6]]])
    root = compared.to_dataset().assign(
        control_interval=(dims, ends),
        control_correlation=(("control", "interneuron"), ends.mean(axis=1)),
        exceeds=(("control", "interneuron"), np.array([[1, 1], [1, 0], [1, 0]], bool)),
        n_exceed_all=1,
    )
    names = ["shift", "permuted", "linear"]
    root = root.assign_coords(control=names, bound=["low", "high"])
    tree = xr.DataTree.from_dict({"/": root, "/layer1": compared["layer1"].to_dataset()})
    tree.attrs["shown"] = "part 'global', full field"
    tree.attrs["uniform_stimulus"] = 1
    text = Page(render(dataclasses.replace(small_analysis(), interneurons=tree), shown, {})).text
    assert "1 of 2 exceeds all 3 nulls" in text
    row = "networks with permuted weights 0.22 0.34 1 of 2"
    assert row.replace(" ", "") in text.replace(" ", "")
    assert "above chance (p" not in text
    assert "What they saw: part 'global', full field. Nothing tells one place from another" in text
    assert "with a ring at the best unit" not in text
    assert "at the place of the interneuron" not in text


def test_ceiling_ln_model_and_smoothing_are_beside_the_correlation(drawn):
    found = small_analysis()
    ends = (("bound", "cell"), np.array([[0.7, 0.6, 0.8, 0.0], [0.9, 0.8, 0.95, 0.4]]))
    ceiling = xr.Dataset({"ceiling": ("cell", [0.8, 0.7, 0.9, 0.3]), "ceiling_interval": ends})
    row = {k: ("cell", [x] * 4) for k, x in (("correlation", 0.6), ("correlation_ln", 0.5))}
    about = {"responses": "spike counts smoothed (Gaussian, s.d. 10 ms)"}
    scores = xr.Dataset({**row, "ceiling": ("cell", [0.9] * 4)}, attrs=about)
    told = dataclasses.replace(found, ceiling=ceiling, scores=scores)
    text = Page(render(told, drawn, {})).text
    assert "Neither is smoothed. The repeats allow 0.80 in the median cell" in text
    assert "(95 %: 0.70 to 0.90)" in text
    assert "Of 1 of the 4 cells (simulated 4) the ceiling is not above 0" in text
    assert "reached 0.60 in the median on held-out responses (spike counts smoothed" in text
    assert "an LN model of the same cells 0.50, where the repeats allow 0.90" in text
    assert "better than the LN model for 4 of 4 cells" in text
    assert "says little about the retina" not in text
    worse = dataclasses.replace(told, scores=scores.assign(correlation=scores.correlation - 0.2))
    assert "says little about the retina" in Page(render(worse, drawn, {})).text


def test_what_is_explained_and_bits_per_spike_are_of_the_median_cell_with_its_interval(drawn):
    ends = np.array([[0.4, 0.1, 0.2, 0.6], [0.7, 0.4, 0.5, 0.9]])
    found = {
        "ceiling": ("cell", [0.9, 0.8, 0.7, 0.2]),
        "ceiling_interval": (("bound", "cell"), [[0.8, 0.7, 0.6, 0.0], [0.95, 0.9, 0.8, 0.4]]),
    }
    for name in ("signal_explained", "bits_per_spike"):
        found[name] = ("cell", [0.55, 0.25, 0.35, 0.75])
        found[f"{name}_interval"] = (("bound", "cell"), ends)
        found[f"{name}_ln"] = ("cell", [0.5, 0.2, 0.3, 0.7])
        found[f"{name}_ln_interval"] = (("bound", "cell"), ends - 0.05)
        found[f"{name}_glm"] = ("cell", [0.6, 0.3, 0.4, 0.8])
        found[f"{name}_glm_interval"] = (("bound", "cell"), ends + 0.05)
    row = {k: ("cell", [0.5] * 4) for k in ("correlation", "correlation_ln", "correlation_glm")}
    scores = xr.Dataset({**found, **row}, {"bound": ["low", "high"]})
    text = Page(render(dataclasses.replace(small_analysis(), scores=scores), drawn, {})).text
    # of the cells whose ceiling is above 0, the middle one is the third
    assert "The model explains 0.35 (95 %: 0.20 to 0.50) of the variance that the repeats" in text
    assert "the LN model 0.30 (95 %: 0.15 to 0.45), the GLM's mean rate 0.40" in text
    assert "those of the GLM, which is given each trial's spikes before, 0.40 (95 %:" in text
    assert "a GLM with spike history (the mean of simulated trials) 0.50" in text
    assert (
        "Its rates are worth 0.35 (95 %: 0.20 to 0.50) bits per spike, the LN model's 0.30" in text
    )
    one = scores.drop_vars([k for k in scores if str(k).startswith("signal")]).assign(
        {k: scores[k] * np.nan for k in scores if str(k).startswith("signal")}
    )
    text = Page(render(dataclasses.replace(small_analysis(), scores=one), drawn, {})).text
    assert "The model explains" not in text
    assert "The model's rates are worth 0.35" in text


def test_the_history_is_on_the_page(page):
    assert "4 frames (0.04 s at 100 frames per second)" in page.text


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


def test_modes_stand_beside_channels_and_chance(page, drawn):
    found = small_analysis()
    layer = found.layers[0]
    again = found.mode_stability[layer]
    row = f"{layer}2{round(found.modes[layer].alive * 4)} of 4"
    assert row in page.text.replace(" of ", "#").replace(" ", "").replace("#", " of ")
    assert f"{int(again.above_chance.sum())} of {again.sizes['mode']}" in page.text
    assert (found.modes[layer].l0 > 1) == (f"{layer}: " in page.text and "are not few" in page.text)
    none = {
        k: x.assign(above_chance=x.above_chance & False) for k, x in found.mode_stability.items()
    }
    text = Page(render(dataclasses.replace(found, mode_stability=none), drawn, {})).text
    assert f"{layer}: no mode is above chance" in text
    unasked = Page(render(dataclasses.replace(found, mode_stability={}), drawn, {})).text
    assert "not asked" in unasked
    assert "no mode is above chance" not in unasked


def test_a_page_about_a_movie_in_colours_names_them(monkeypatch):
    monkeypatch.setattr(analyse, "REFERENCES", 1)
    monkeypatch.setattr(analyse, "RESAMPLES", 2)
    quick = {"target": "sum", "method": ActGrad(), "expansion": 1, "progress": False}
    with few_epochs():
        movie, net = colored(40), video_network()
        found = analyse.analyse_retina(net, movie, layers=["second"], moments=2, **quick)
    shown = dict.fromkeys(("maps-second", "moments", "combinations-second"), Drawing(b"png", ""))
    names = ("overview", "stimulus", "responses", "contributions-second", "modes-second")
    names += ("clusters-second", "silhouette", "completeness")
    html = render(found, {**dict.fromkeys(names, Drawing(b"png", "")), **shown}, {})
    page = Page(html)
    assert "40 frames of 6 x 6 pixels in UV and green" in page.text
    assert "UV, green from the top, each colour's own hue where its light raises" in page.text
    assert "the hue of its colour where it raises the target and grey" in page.text
    assert "red where light raises the rate" not in page.text
    drawn = {
        n: f
        for part in (_dynamic_figures(found, slice(0, 4), ""), _map_figures(found, ""))
        for n, f, _ in part
    }
    assert {*drawn} == {*shown}
    for figure in drawn.values():
        hues = {image.cmap.name for ax in figure.axes for image in ax.images}
        assert {"hue UV", "hue green"} <= hues
    data = json.loads(re.search(r'class="x-data">(.*?)</script>', html)[1])
    assert data["fields"]["size"] == [12, 6]
    assert [c["name"] for c in data["fields"]["colors"]] == ["UV", "green"]


ONE = {"tension": Drawing(b"png", "a figure")}


def silences(counts, chance, p_value):
    """Two cells at ten times, of three causes."""
    dims, times = ("cause", "cell"), np.arange(10) / 10
    over = xr.DataArray(np.random.default_rng(0).random((10, 2)), {"time": times}, ("time", "cell"))
    return xr.Dataset(
        {
            "silent_count": (dims, np.array(counts)),
            "chance_silent_count": (dims, np.array(chance, float)),
            "p_value": ("cell", p_value),
            **dict.fromkeys(("excitation", "inhibition", "target"), over),
        },
        {"cause": ["not driven", "in between", "cancelled"]},
    )


def test_silences_stand_beside_as_many_as_inhibition_that_is_shifted_makes():
    found = silences([[1, 0], [2, 1], [1, 0]], [[2, 0], [2, 1], [0, 1]], [0.5, 0.5])
    part = tension_part(SimpleNamespace(tension=found))
    assert part["rows"] == [
        ("not driven", 0.2, 0.4),
        ("in between", 0.6, 0.6),
        ("cancelled", 0.2, 0.2),
        ("together", 1.0, 1.2),
    ]
    text = Page(filled("tension_of_cells.html.j2", tension=part, figures=ONE)).text
    assert "25 % of the times of all 2 cells are silent. The control" in text
    assert "Of no cell more or less is cancelled" in text


def test_cells_without_silences_are_told_from_the_others():
    found = silences([[1, 0], [2, 0], [3, 0]], [[2, 0], [2, 0], [0, 0]], [0.01, np.nan])
    part = tension_part(SimpleNamespace(tension=found))
    text = Page(filled("tension_of_cells.html.j2", tension=part, figures=ONE)).text
    assert "60 % of the times of 1 of the 2 cells are silent (the others fire" in text
    assert "Of 1 of 1 cells more is cancelled than in the control (p < 0.05)" in text
    assert "less is cancelled" not in text


def test_a_figure_that_is_not_told_from_nothing_says_so():
    found = xr.Dataset(
        {
            "bits_per_spike": ("cell", [0.5, 1.5, 2.5]),
            "bits_per_spike_interval": (("bound", "cell"), [[0.1, -1.0, 2.0], [0.9, 4.0, 3.0]]),
        },
        {"bound": ["low", "high"]},
    )
    assert _median_cell(found, "bits_per_spike") == "1.50 (95 %: -1.00 to 4.00, not told from 0)"
    above = found.isel(cell=[0])
    assert _median_cell(above, "bits_per_spike") == "0.50 (95 %: 0.10 to 0.90)"


def test_what_interneurons_saw_is_said_inside_of_the_figure():
    light = np.full((40, 8, 8), 96.0)
    movie = xr.DataArray(light, {"time": np.arange(40) / 10}, ("time", "y", "x"))
    movie.attrs["units"] = "light of the model's movies"
    said = (
        "part 'global', full field, rendered by nc.stimuli.present, 3303 frames of 32 x 32 pixels"
    )
    figure = shown_figure(movie, f"{said}, the same light in every pixel")
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    titles = [
        t for t in texts if "interneurons" in t.get_text() or t.get_text().startswith("light")
    ]
    assert len(titles) >= 4
    for text in titles:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width, text
        assert 0 <= box.y0 <= box.y1 <= figure.bbox.height, text
