"""The page of a graph shows what the graph holds: decoded here, and read off a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import time

import numpy as np
import pytest
import xarray as xr
from browsers import Opened
from concept_graph import LAYERS, drawn
from PIL import Image

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.reports import concepts
from neurocodec.reports.concepts import page_data

EVIL = "</script><img src=x onerror=window.hacked=1>&\"'"
NAMES = (EVIL, "second", "third", "fourth")
SHOWN = ["second", "third"]


@pytest.fixture(scope="module")
def graph():
    return drawn(images=NAMES)


@pytest.fixture(scope="module")
def images():
    values = np.random.default_rng(1).uniform(size=(2, 3, 12, 12)).astype("float32")
    return xr.DataArray(values, {"stimulus": SHOWN}, ("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def cards():
    rng = np.random.default_rng(2)

    def layer(count, size):
        colors = np.broadcast_to(rng.integers(0, 255, (count, 10, 3, 1, 1)), (count, 10, 3, 8, 8))
        maps = np.zeros((2, count, size, size), "float32")
        maps[:, :, 0, 1], maps[:, :, 1, 0] = 2.0, 1.0
        return xr.Dataset(
            {
                "example_picture": (
                    ("mode", "rank", "color", "picture_y", "picture_x"),
                    colors.astype("uint8"),
                ),
                "cosine": (("mode", "rank"), -np.sort(-rng.uniform(size=(count, 10)))),
                "stability": ("mode", rng.uniform(size=count)),
                "chance": ("mode", rng.uniform(size=count)),
                "control_rank": ("mode", np.arange(count) + 1),
                "n_controls": ("mode", np.full(count, 50)),
                "concept_map": (("stimulus", "mode", "map_y", "map_x"), maps),
            },
            {
                "mode": np.arange(count),
                "stimulus": SHOWN,
                "source": (("mode", "rank"), np.full((count, 10), EVIL)),
            },
        )

    return xr.DataTree.from_dict({"early": layer(8, 4), "late": layer(7, 2)})


@pytest.fixture(scope="module")
def data(graph, cards, images):
    return json.loads(json.dumps(page_data({"": graph}, cards, images), allow_nan=False))


def decoded(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_each_number_is_that_of_the_graph(graph, data):
    own = data["sets"][0]
    nodes, edges = graph["nodes"].to_dataset(), graph["edges"].to_dataset()
    assert own["nodes"]["name"] == nodes.node.values.tolist()
    for entry, category in zip(own["entries"], nodes.category.values.tolist(), strict=True):
        assert entry["name"] == category
        for name, table, short in (
            ("contribution", nodes, "c"),
            ("influence", nodes, "i"),
            ("edge_contribution", edges, "e"),
            ("edge_share", edges, "share"),
        ):
            found = np.array([np.nan if x is None else x for x in entry[short]], "float32")
            np.testing.assert_array_equal(found, table[name].sel(category=category))
    ends = [[own["nodes"]["name"][i] for i in end] for end in own["edges"]]
    assert ends == [edges.from_node.values.tolist(), edges.to_node.values.tolist()]
    image = next(x for x in own["images"] if x["key"] == "image:third")
    wanted = graph["images"].edge_contribution.sel(stimulus="third").values
    found = np.array([np.nan if x is None else x for x in image["e"]], "float32")
    np.testing.assert_array_equal(found, wanted)


def test_cards_have_the_pictures_of_their_nodes(cards, data):
    name = next(n for n in data["cards"] if n.startswith("late:"))
    card, mode = data["cards"][name], int(name[5:])
    strip = decoded(card["fields"])
    assert strip.shape[:2] == (8, 80)
    for k in (0, 9):
        wanted = cards["late"].example_picture.sel(mode=mode).values[k, :, 0, 0]
        np.testing.assert_allclose(strip[2:-2, k * 8 + 2 : k * 8 + 6].mean((0, 1)), wanted, atol=20)
    grey = decoded(card["maps"]["image:second"])
    assert grey.tolist() == [[0, 255], [128, 0]]
    assert card["control_rank"] == mode + 1


def test_images_of_another_data_set_have_no_graph_here(graph, images):
    both = {"photographs": graph, "others": drawn(3, images=("a", "b", "c", "d"))}
    found = page_data(both, None, images)
    assert [len(one["images"]) for one in found["sets"]] == [2, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, x: ({}, x), "no graph"),
        (lambda g, x: (g["nodes"].to_dataset(), x), "no graph of concept vectors"),
        (lambda g, x: (g, x.values), "ndarray"),
        (lambda g, x: (g, x.isel(stimulus=0)), "the dims"),
    ],
)
def test_what_does_not_fit_is_refused(graph, images, change, message, tmp_path):
    found, pictures = change(graph, images)
    with pytest.raises(InputError, match=message):
        nc.concept_page(found, tmp_path, images=pictures)
    assert not [*tmp_path.iterdir()]


def test_a_large_page_is_made_smaller_and_then_warned_of(graph, images, monkeypatch, tmp_path):
    monkeypatch.setattr(concepts, "LARGE", 1000)
    with pytest.warns(NeurocodecWarning, match="top="):
        nc.concept_page(graph, tmp_path, images=images)


# ---- the page in a browser


@pytest.fixture(scope="module")
def address(graph, cards, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("concepts") / "new"
    more = drawn(5, images=("a", "b", "c", "d"))
    page = nc.concept_page(
        {"photos": graph, "others": more}, folder, cards=cards, images=images, title=EVIL
    )
    assert not re.search(r'(src|href)="?(https?:|//)', page.read_text("utf-8"))
    return page.as_uri()


class View(Opened):
    """The page as a reader sees and uses it."""

    def ready(self):
        self.page.wait_for_selector(".concepts[data-ready]", state="attached")
        return self

    def node(self, name):
        return self.page.locator(f'.k-node[data-node="{name}"]')

    def attribute(self, name):
        return self.page.locator(".concepts").get_attribute(f"data-{name}")

    def hash(self):
        return self.page.evaluate("location.hash")


@pytest.fixture
def view(browser, address):
    opened = View(browser, address).ready()
    yield opened
    assert opened.errors == []
    assert {*opened.requests} - {r for r in opened.requests if r.startswith("data:")} == {address}
    assert opened.page.evaluate("window.hacked") is None
    opened.context.close()


def minus(text):
    return text.replace("-", "\N{MINUS SIGN}")


def test_rows_are_layers_and_a_node_opens_its_card(view, graph):
    rows = view.page.locator(".k-row").all_text_contents()
    assert rows == ["answer", *reversed(LAYERS)]
    nodes = graph["nodes"].sel(category="all")
    name = str(nodes.node.values[(nodes.layer == "late") & (nodes.kind == "concept")][0])
    view.node(name).click()
    assert view.attribute("node") == name
    assert view.hash() == f"#node={name.replace(':', '%3A')}"
    card = view.page.locator(".k-panel")
    value = float(nodes.contribution.sel(node=name))
    assert minus(f"{value:.3g}") in card.locator("dd").first.inner_text()
    assert card.locator(".k-fields li").count() == 10
    assert card.locator("canvas").count() == 1
    mode = int(nodes.mode.sel(node=name))
    told = card.locator("dl").first.inner_text()  # all of them may contribute more
    assert re.search(rf"rank among controls\s+{mode + 1} of 51", told)
    edges = graph["edges"].sel(category="all")
    into = np.flatnonzero(edges.to_node.values == name)
    listed = card.locator("table").first.locator("tbody tr")
    assert listed.count() == len(into)
    for i in range(listed.count()):
        e = int(listed.nth(i).get_attribute("data-edge"))
        wanted = minus(f"{float(edges.edge_contribution[e]):.3g}")
        assert listed.nth(i).locator("td").nth(1).inner_text().startswith(wanted)
    view.page.keyboard.press("Escape")
    assert view.attribute("node") == ""


def test_the_slider_leaves_out_weak_edges(view, graph):
    nodes, edges = (graph[n].sel(category="all") for n in ("nodes", "edges"))
    shown = {*nodes.node.values[nodes.shown.values]}
    for least in (0.0, 0.15, 0.4):
        view.page.evaluate(
            "x => { const s = document.querySelector('.k-least'); s.value = x;"
            " s.dispatchEvent(new Event('input')); }",
            least,
        )
        wanted = sum(
            a in shown and b in shown and np.isfinite(c) and s >= least
            for a, b, c, s in zip(
                edges.from_node.values,
                edges.to_node.values,
                edges.edge_contribution.values,
                edges.edge_share.values,
                strict=True,
            )
        )
        assert int(view.attribute("edges")) == wanted
    assert view.hash() == "#least=0.4"


def test_class_image_and_data_set_are_switched(view, graph):
    view.page.select_option(".k-class", "class:dog")
    assert view.attribute("choice") == "class:dog"
    nodes = graph["nodes"].sel(category="dog")
    assert view.page.locator(".k-node").count() == int(nodes.shown.sum())
    view.page.select_option(".k-image", "image:third")
    assert view.attribute("choice") == "image:third"
    assert view.page.locator(".k-class").input_value() == "class:cat"
    name = "late:residual"
    value = float(graph["images"].contribution.sel(stimulus="third", node=name))
    assert view.node(name).get_attribute("aria-label").endswith(minus(f"contribution {value:.3g}"))
    view.page.select_option(".k-set", "1")
    assert view.attribute("choice") == "class:all"
    assert view.hash() == "#set=others"


def test_keys_go_from_node_to_node(view):
    first = view.page.locator(".k-node[tabindex='0']")
    first.focus()
    seen = [view.page.evaluate("document.activeElement.dataset.node")]
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        view.page.keyboard.press(key)
        seen.append(view.page.evaluate("document.activeElement.dataset.node"))
    assert seen[:2] == ["cat", "dog"] or seen[:2] == ["dog", "cat"]
    assert [name.split(":")[0] for name in seen[2:]] == ["late", "early", "early", "late"]
    view.page.keyboard.press("Enter")
    assert view.attribute("node") == seen[-1]
    assert view.page.evaluate("document.activeElement.dataset.node") == seen[-1]


def test_an_address_opens_the_choice(browser, address):
    opened = View(browser, f"{address}#of=image%3Athird&node=late%3Aresidual&least=0.2").ready()
    assert opened.attribute("choice") == "image:third"
    assert opened.attribute("node") == "late:residual"
    assert opened.page.locator(".k-limit").inner_text() == "20 %"
    opened.page.evaluate("location.hash = '#of=nothing&node=none&least=nan'")
    opened.page.wait_for_function(
        "document.querySelector('.concepts').dataset.choice === 'class:all'"
    )
    assert opened.attribute("node") == ""
    assert opened.errors == []
    opened.context.close()


def test_a_telephone_sees_it_all(browser, address):
    size = {"width": 390, "height": 800}
    opened = View(browser, address, viewport=size, has_touch=True).ready()
    opened.node("late:residual").tap()
    assert opened.attribute("node") == "late:residual"
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.errors == []
    opened.context.close()


def test_the_residual_of_each_layer_is_said(view, graph):
    layers = graph["layers"].sel(category="all")
    for name in LAYERS:
        part = 100 * (1 - float(layers.through_concepts.sel(layer=name)))
        text = view.page.locator(f'[data-residual="{name}"]').text_content()
        assert text == f"residual {float(f'{part:.2g}'):g} %"


def test_a_graph_of_seven_layers_and_two_classes_opens_at_once(browser, tmp_path):
    """7 layers x 12 nodes; the pictures of real ones are in docs/concept_vectors.md."""
    page = nc.concept_page(*large(tmp_path))
    assert page.stat().st_size <= 15e6
    start = time.monotonic()
    opened = View(browser, page.as_uri()).ready()
    assert opened.page.locator(".k-node").count() >= 80
    assert time.monotonic() - start < 20  # 2 s on a machine that does nothing else
    opened.context.close()


def large(folder):
    """Arguments of a page as large as the paper's figure 1, and twenty images."""
    from neurocodec.concept_graphs.tables import Chosen, Followed, tables

    rng = np.random.default_rng(0)
    names, count = [f"layer{i}" for i in range(7)], 8
    first = rng.normal(size=(count, 1, 31))
    pairs = [first] + [rng.normal(size=(count, 30, 31)) for _ in names[1:]]
    graph = tables(
        Followed(
            names,
            ("cat", "dog"),
            np.arange(count) % 2,
            {"stimulus": xr.Variable("stimulus", np.arange(count))},
            pairs,
            [np.arange(30)] * 6,
            [first[:, 0], *(p.sum(1) for p in pairs[1:])],
        ),
        Chosen(6, 3, 1.0, 5, 0.95, 0),
    )
    return graph, folder
