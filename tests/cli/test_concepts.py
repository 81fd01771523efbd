"""`neurocodec concepts` from the shell: a small network, small images, stopped and gone on with."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import neurocodec as nc
from neurocodec.cli.parser import main

pytestmark = pytest.mark.filterwarnings("ignore:.*concept vectors in place of")

NETWORK = """
import numpy as np
import torch
from torch import nn
import neurocodec as nc

def pixels(image):
    return torch.from_numpy(np.asarray(image, "float32") / 255 - 0.5).permute(2, 0, 1)

def network(weights=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2),
        )
    return nc.Network(module.eval(), layers={"early": "1", "late": "3"}, input_shape=(3, 12, 12),
                      outputs=["cat", "dog"], preprocessing=pixels, name="small")
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concepts")
    (folder / "net.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    for i in range(12):
        (folder / "images" / ("cat", "dog")[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (12, 12, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / "images" / ("cat", "dog")[i % 2] / f"{i}.png")
    options = f"--network {folder}/net.py:network --images {folder}/images --workers 0"
    sizes = "--per-channel 2 --active 3 --top 2 --shared 1 --per-category 3 --shown 1"
    return ["concepts", *options.split(), *sizes.split(), "--layers", "early,late"]


@pytest.fixture(scope="module")
def page(arguments, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    assert main([*arguments, "--quiet", "--categories", "cat,dog", "--out", str(out)]) == 0
    return out


def test_a_folder_has_the_graph_its_page_and_its_tables(page):
    with nc.open(page / "graph.nc") as graph:
        assert graph["nodes"].category.values.tolist() == ["all", "cat", "dog"]
        assert graph["images"].sizes["stimulus"] == 6
        edges = graph["edges"].to_dataset().load()
    text = (page / "concepts.html").read_text("utf-8")
    assert "Concept vectors of small: cat, dog" in text
    assert "--categories cat,dog" in text
    with (page / "graph" / "edges.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * edges.sizes["edge"]
    given = [float(r["edge_contribution"] or "nan") for r in rows if r["category"] == "cat"]
    np.testing.assert_array_equal(np.float32(given), edges.edge_contribution.sel(category="cat"))
    data = json.loads((page / "graph" / "1-cat" / "graph.json").read_text())
    assert {link["target"] for link in data["links"]} >= {"cat"}


def test_cards_have_examples_scores_and_places(page):
    with nc.open(page / "cards-late.nc") as cards:
        assert cards.example_picture.dims[:3] == ("mode", "rank", "color")
        assert (cards.cosine.values <= 1 + 1e-6).all()
        assert (np.diff(cards.cosine.values, axis=1) <= 1e-6).all()
        assert cards.concept_map.sizes["stimulus"] == 2
        assert (cards.control_rank.values >= 1).all()
        assert (cards.stability.values <= 1 + 1e-5).all()


def test_the_page_says_whether_contributions_predict_what_happens(page):
    with nc.open(page / "interventions.nc") as found:
        assert found.median_correlation.dims == ("layer", "graph", "fraction")
        assert found.to_layer.values.tolist() == ["late", "answer"]
        assert int(found.n_images) == 2
        told = {
            (layer, graph): float(found.median_correlation.sel(layer=layer, graph=graph)[1])
            for layer in ("early", "late")
            for graph in ("gig", "random")
        }
    text = (page / "concepts.html").read_text("utf-8")
    table = text[text.index("k-truth") :]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[2:4]]
    heads = re.findall(r"<th>(.*?)</th>", table.split("<tr>")[1])[1:]
    assert "In 2 images" in table
    for row, layer in zip(rows, ("early", "late"), strict=True):
        cells = dict(zip(heads, row, strict=True))
        assert cells["contributions, half of them"].startswith(f"{told[layer, 'gig']:z.2f} [")
        assert cells["random graph, half of them"].startswith(f"{told[layer, 'random']:z.2f} [")
        # the network after the last layer is linear: there they are what happens
    assert told["late", "gig"] > 0.9 > told["late", "random"]


def test_controls_stand_beside_concept_vectors(page):
    with nc.open(page / "controls.nc") as found:
        assert found.kind.values.tolist() == ["bisecting", "exemplars", "random"]
        own = nc.open(page / "vectors-late.nc")
        left = found.relative_l2.sel(layer="late")
        assert float(left[0]) == float(own.summary.relative_l2)
        with nc.open(page / "rows.nc") as rows:
            given = rows["late"].to_dataset().activation.load()
        again = nc.ConceptVectors("random", vectors=10, active=3).fit(given)
        assert float(left.sel(kind="random")) == float(again.summary.relative_l2)
    text = (page / "concepts.html").read_text("utf-8")
    row = re.search(r"<tr><th>late</th>(.*?)</tr>", text[text.index("k-controls") :])[1]
    assert re.findall(r"<td>(.*?)</td>", row) == [f"{float(x):.2f}" for x in left]


CHANGES = ("--active 1", "--steps auto", "--shown 0")


def test_a_changed_setting_is_computed_anew(arguments, tmp_path):
    options = ["--quiet", "--categories", "cat,dog"]
    both = tmp_path / "both"
    assert main([*arguments, *options, "--out", str(both)]) == 0
    for i, changed in enumerate(CHANGES):
        alone = tmp_path / str(i)
        for out in (both, alone):
            assert main([*arguments, *options, *changed.split(), "--out", str(out)]) == 0
        assert same_values(alone, both) >= 8


@pytest.mark.parametrize(
    "case",
    [
        ("--seed 1", "seed was 0, is 1"),
        ("--layers late", "layers was"),
        ("--per-image 4", "per_image was 8, is 4"),
        ("--limit 8", "samples was 96, is 64"),
    ],
)
def test_other_vectors_are_not_mixed_in(page, arguments, case, tmp_path, capsys):
    changed, message = case
    out = shutil.copytree(page, tmp_path / "page")
    given = [*arguments, "--quiet", "--categories", "cat,dog", *changed.split()]
    assert main([*given, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "rows.nc' of another run" in told
    assert same_values(page, out) >= 8


def image_changed(folder):
    Image.fromarray(np.zeros((12, 12, 3), "uint8")).save(folder / "images" / "cat" / "0.png")


def weights_changed(folder):
    edited(folder, "manual_seed(0)", "manual_seed(1)")


def answer_changed(folder):  # behind the last layer
    edited(folder, "AdaptiveAvgPool2d", "AdaptiveMaxPool2d")


def edited(folder, old, new):
    text = (folder / "net.py").read_text()
    assert old in text
    (folder / "net.py").write_text(text.replace(old, new))


@pytest.fixture
def own(arguments, tmp_path):
    """A folder of a network and images to be changed, and the arguments that name it."""
    shared = arguments[2].partition("/net.py")[0]
    folder = shutil.copytree(shared, tmp_path / "own")
    return folder, [text.replace(shared, str(folder)) for text in arguments]


@pytest.mark.parametrize(
    ("change", "message"),
    [(image_changed, "data_sha256"), (weights_changed, "weights_sha256")],
)
def test_what_changed_in_place_is_refused(own, change, message, tmp_path, capsys):
    folder, given = own
    given = [*given, "--quiet", "--layers", "late", "--shown", "0", "--out", str(tmp_path / "out")]
    assert main(given) == 0
    change(folder)
    assert main(given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*that contribute nothing")  # all positions are drawn
def test_vectors_that_are_deleted_have_all_made_anew(own, tmp_path, capsys):
    """Of another network behind the last layer, whose vectors at all positions are the same."""
    folder, given = own
    given = [*given, "--quiet", "--layers", "late", "--per-image", "64", "--out"]
    assert main([*given, str(tmp_path / "both")]) == 0
    answer_changed(folder)
    assert main([*given, str(tmp_path / "both")]) == 2
    assert "module_sha256" in capsys.readouterr().err
    (tmp_path / "both" / "rows.nc").unlink()  # as the message says
    for name in ("both", "alone"):
        assert main([*given, str(tmp_path / name)]) == 0
    assert same_values(tmp_path / "alone", tmp_path / "both") >= 6


KILLED = """
import os, signal, sys
import {module} as module
from neurocodec.cli.parser import main
count, whole = {count}, {name}

def killed(*args, **options):
    global count
    count -= 1
    found = whole(*args, **options) if count >= 0 or {after} else None
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

{name} = killed
sys.exit(main(sys.argv[1:]))
"""
KILLS = (  # module, what is called, after how many calls, in place of one more or after it
    ("neurocodec.attribution.points", "module.Points.rows", 3, False),
    ("neurocodec.storage", "module.save", 1, True),
    ("neurocodec.analyses.stages", "module.Stages._note", 2, False),
    ("neurocodec.analyses.concepts.cards", "module.concept_maps", 0, True),
    ("neurocodec.analyses.concepts.cards", "module.concept_contributions", 2, True),
)


@pytest.mark.slow
def test_killed_by_the_system_five_times_it_has_the_same_values(arguments, tmp_path):
    start = [*arguments, "--quiet", "--categories", "cat,dog", "--batch-size", "2", "--out"]
    assert main([*start, str(tmp_path / "whole")]) == 0
    given = [*start, str(tmp_path / "killed")]
    for module, name, count, after in KILLS:
        code = KILLED.format(module=module, name=name, count=count, after=after)
        ended = subprocess.run([sys.executable, "-c", code, *given], check=False)
        assert ended.returncode == -signal.SIGKILL
    assert main(given) == 0
    assert same_values(tmp_path / "whole", tmp_path / "killed") >= 8


STAGES = (
    ("concept_graphs.graph", "concept_contributions"),
    ("analyses.concepts.study", "concept_graph"),
    ("analyses.concepts.truth", "concept_interventions"),
    ("analyses.concepts.study", "pictures"),
    ("analyses.concepts.cards", "concept_maps"),
    ("analyses.concepts.cards", "concept_examples"),
    ("analyses.concepts.cards", "concept_contributions"),
)


def test_killed_seven_times_it_goes_on_to_the_same_values(page, arguments, tmp_path, monkeypatch):
    import importlib

    out = ["--quiet", "--categories", "cat,dog", "--out", str(tmp_path)]

    def stop(*_args, **_options):
        raise KeyboardInterrupt

    for module, name in STAGES:
        with monkeypatch.context() as patch:
            patch.setattr(importlib.import_module(f"neurocodec.{module}"), name, stop)
            assert main([*arguments, *out]) == 130
    assert main([*arguments, *out]) == 0
    assert same_values(page, tmp_path) >= 8
    before = (tmp_path / "concepts.html").read_text("utf-8")
    for module, name in STAGES:
        monkeypatch.setattr(importlib.import_module(f"neurocodec.{module}"), name, stop)
    assert main([*arguments, *out]) == 0
    assert (tmp_path / "concepts.html").read_text("utf-8") == before


def same_values(one, other):
    """Results of two folders that are equal; fails where one is not."""
    count = 0
    for path in sorted(one.rglob("*.nc")):
        a, b = (nc.open(root / path.relative_to(one)) for root in (one, other))
        trees = [x.to_tree() if isinstance(x, nc.ConceptVectors) else x for x in (a, b)]
        left, right = (
            x.to_dict() if hasattr(x, "to_dict") and hasattr(x, "children") else {"/": x}
            for x in trees
        )
        for name in left:
            assert left[name].equals(right[name]), path
        count += 1
    return count


def test_a_dry_run_says_what_it_takes_and_writes_nothing(arguments, tmp_path, capsys):
    out = tmp_path / "none"
    assert main([*arguments, "--dry-run", "--out", str(out)]) == 0
    assert "about 12 samples, 2 layers" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--categories", "cat,fish"], "no category 'fish'"),
        (["--layers", "early,deep"], "no layer 'deep'"),
        (["--layers", "late,early"], "'late' does not reach 'early'"),
        (["--top", "0"], "top=0"),
        (["--keep", "0"], "keep=0"),
        (["--per-image", "500"], "per_image=500"),
        (["--per-channel", "0"], "per_channel=0"),
        (["--shown", "-1"], "shown=-1"),
        (["--limit", "0"], "--limit 0"),
    ],
)
def test_what_does_not_fit_is_told(arguments, changed, message, tmp_path, capsys):
    assert main([*arguments, *changed, "--quiet", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
