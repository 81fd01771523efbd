"""`neurocodec images` from the shell: small networks, small images, everything else as it is."""

import argparse
import html
import json
import re
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image
from places import EXAMPLES

import neurocodec as nc
from neurocodec.analyses.images import analyse as image_analysis
from neurocodec.cli.images import add_images
from neurocodec.cli.parser import main
from neurocodec.reports import page

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
            nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 5, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2),
        )
    return nc.Network(
        module.eval(), layers={"early": "1", "late": "3"}, outputs=["dark", "red"],
        input_shape=(3, 8, 8), preprocessing=pixels, name="small",
    )
"""
OPTIONS = ["--method", "act-grad", "--expansion", "1", "--per-class", "5", "--workers", "0"]


@pytest.fixture(autouse=True, scope="module")
def _quick():
    """Fits of a few epochs: what modes there are does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_analysis, "SparseModes", partial(nc.SparseModes, epochs=2))
        yield


@pytest.fixture
def _undrawn(monkeypatch):
    """Pages without what is drawn, which takes most of the time."""
    monkeypatch.setattr(page, "_drawing", lambda _, alt, **_o: page.Drawing(b"png", alt))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A network file and a folder of 64 images in two classes."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "own.py").write_text(NETWORK)
    random = np.random.default_rng(0)
    for number in range(64):
        values = random.integers(0, 120, (8, 8, 3), dtype=np.uint8)
        values[..., 0] += 130 * (number % 2)
        path = folder / "images" / ("dark", "red")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    return folder


def command(place, *options, out="out"):
    network, images = f"{place / 'own.py'}:network", str(place / "images")
    start = ["images", "--network", network, "--images", images, "--out", str(place / out)]
    return [*start, *OPTIONS, *options]


@pytest.fixture(scope="module")
def done(place):
    """The folder of a whole run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(command(place, "--quiet")) == 0
    return place / "out"


def test_options():
    parser = argparse.ArgumentParser()
    add_images(parser)
    options = ["--network", "torchvision:resnet50", "--images", "photographs"]
    assert parser.parse_args(options).steps is None


def test_everything_is_written(done):
    tree = nc.open(done / "contributions.nc")
    assert list(tree.children) == ["early", "late"]
    assert sorted({*tree["label"].values}) == ["dark", "red"]
    assert nc.open(done / "responses.nc").dims == ("stimulus", "category")
    assert {*nc.open(done / "statistics.nc").children} >= {"hoyer", "sign_correlation"}
    assert nc.open(done / "modes/contribution-late.nc").dictionary.sizes["channel"] == 5
    maps = nc.open(done / "maps/late.nc")
    assert maps["modes/contribution_map"].sizes["y"] == 8
    curve = nc.open(done / "perturbation/category-late.nc")
    assert curve["accuracy"].sizes["ranking"] == 5
    text = (done / "report.html").read_text("utf-8")
    assert text.count("<img") == len([*(done / "figures").glob("*.png")]) == 8
    assert "--method act-grad" in text


def test_the_class_is_held_along_the_path(done):
    target = nc.labels.provenance(nc.open(done / "contributions.nc"))["target"]
    assert target["kind"] == "TopK"
    assert target["parameters"]["hold"] is True


def test_modes_and_rankings_do_not_see_the_images_they_are_judged_on(done):
    tree = nc.open(done / "contributions.nc")
    modes = nc.open(done / "modes/contribution-late.nc")
    seen = {*modes.loadings["source"].values}
    assert len(seen) == 32
    assert (
        sorted(tree["label"].values[np.isin(tree["source"], [*seen])])
        == ["dark"] * 16 + ["red"] * 16
    )
    curve = nc.open(done / "perturbation/category-late.nc")
    assert (curve["shared_images"] == 0).all()


@pytest.mark.usefixtures("_undrawn")
def test_given_again_it_computes_nothing_again(done, place):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*.nc")}
    assert main(command(place, "--quiet")) == 0
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*.nc")} == before


@pytest.mark.usefixtures("_undrawn")
def test_pictures_are_made_where_they_are_asked_for_and_of_the_modes_with_maps(
    done, place, monkeypatch
):
    from neurocodec.analyses.images import pictures

    monkeypatch.setattr(pictures, "STEPS", 2)
    assert not (done / "pictures").exists()
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*.nc")}
    assert main(command(place, "--quiet", "--pictures")) == 0
    for layer in ("early", "late"):
        with nc.open(done / "pictures" / f"{layer}.nc") as made:
            modes = nc.open(done / "maps" / f"{layer}.nc")["modes/mode"].values.tolist()
            assert made["feature"].values.tolist() == modes
            assert made.image.dims == ("draw", "feature", "color", "y", "x")
            told = nc.labels.provenance(made)["target"]["parameters"]["vectors"]
        dictionary = nc.open(done / "modes" / f"contribution-{layer}.nc").dictionary
        np.testing.assert_allclose(told, dictionary.sel(mode=modes), rtol=1e-6)
    text = (done / "report.html").read_text("utf-8")
    assert "late, synthetic: no photographs" in text
    assert "--pictures" in text
    assert {p: p.stat().st_mtime_ns for p in before} == before
    shutil.rmtree(done / "pictures")


@pytest.mark.usefixtures("_undrawn")
def test_a_finished_run_is_looked_at_without_computing_again(done, place, capsys, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*.nc")}
    monkeypatch.chdir("/")  # where no path of the command leads anywhere
    assert main(["explore", str(done), "--maps", "1"]) == 0
    assert "explorer/index.html" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*.nc")} == before
    told = (done / "explorer/data/modes-1-0.js").read_text("utf-8")
    assert '"masks":["' in told
    shutil.rmtree(done / "explorer")
    moved = place / "elsewhere"
    (place / "images").rename(moved)
    try:
        assert main(["explore", str(done), "--quiet", "--maps", "0"]) == 2
        assert str(place / "images") in capsys.readouterr().err
        assert main(["explore", str(done), "--quiet", "--images", str(moved), "--maps", "0"]) == 0
    finally:
        moved.rename(place / "images")
    assert (done / "explorer/index.html").exists()


@pytest.mark.usefixtures("_undrawn")
def test_an_explorer_is_written_where_it_is_asked_for(place):
    options = ["--parts", "modes", "--layers", "late", "--explorer"]
    assert main(command(place, "--quiet", *options, out="explored")) == 0
    assert (place / "explored/explorer/index.html").exists()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _: None, "which has no call.json"),
        (lambda folder: (folder / "call.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "call.json").write_text("{}"), "cannot be read"),
        (lambda folder: (folder / "call.json").write_text("[1]"), "cannot be read"),
        (
            lambda folder: (folder / "concepts.html").touch(),
            "neurocodec concepts wrote",
        ),
    ],
)
def test_what_is_no_finished_run_is_told(tmp_path, capsys, write, message):
    write(tmp_path)
    assert main(["explore", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "--explorer" in told or "its own page" in told


@pytest.mark.usefixtures("_undrawn")
def test_an_explorer_tells_which_modes_come_back(place):
    options = ["--parts", "modes", "--layers", "late", "--expansion", "1"]
    assert main(command(place, "--quiet", *options, out="again")) == 0
    folder = place / "again"
    assert main(["explore", str(folder), "--quiet", "--maps", "0", "--stability"]) == 0
    kept = nc.open(folder / "stability/late.nc")
    text = (folder / "explorer/data/layer-0.js").read_text("utf-8")
    told = [float(x) for x in re.findall(r'"stability":([0-9.]+)', text)]
    assert told
    assert np.isin(told, [float(f"{x:.4g}") for x in kept["stability"].values]).all()
    before = (folder / "stability/late.nc").stat().st_mtime_ns
    options[1:2] = ["modes", "stability"]
    assert main(command(place, "--quiet", *options, out="again")) == 0
    assert (folder / "stability/late.nc").stat().st_mtime_ns == before
    above = f'<td class="n">{int(kept["above_chance"].sum())} of {kept.sizes["mode"]}</td>'
    assert above in (folder / "report.html").read_text("utf-8")


@pytest.mark.usefixtures("_undrawn")
def test_another_seed_makes_modes_again_but_not_contributions(done, place):
    before = {p.name: p.stat().st_mtime_ns for p in done.rglob("*.nc")}
    assert main(command(place, "--quiet", "--seed", "1", "--parts", "modes")) == 0
    changed = {p.name for p in done.rglob("*.nc") if p.stat().st_mtime_ns != before[p.name]}
    assert "contributions.nc" not in changed
    assert {"contribution-late.nc", "activation-early.nc"} <= changed


@pytest.mark.usefixtures("_undrawn")
def test_a_limit_takes_images_of_every_class(place, capsys):
    options = ["--limit", "40", "--parts", "statistics"]
    assert main(command(place, *options, out="limited")) == 0
    tree = nc.open(place / "limited/contributions.nc")
    assert tree.sizes["stimulus"] == 40
    assert {*tree["label"].values.tolist()} == {"dark", "red"}
    printed = capsys.readouterr()
    assert "40 images" in printed.out
    assert "40 samples" in printed.err  # the estimate


@pytest.mark.usefixtures("_undrawn")
def test_images_without_classes_say_what_is_left_out(place):
    flat = place / "flat"
    flat.mkdir()
    for path in (place / "images").rglob("*.png"):
        (flat / path.name).write_bytes(path.read_bytes())
    out = place / "unlabelled"
    arguments = ["images", "--network", f"{place / 'own.py'}:network", "--images", str(flat)]
    assert main([*arguments, "--out", str(out), "--quiet", *OPTIONS]) == 0
    text = (out / "report.html").read_text("utf-8")
    assert "the images have no classes" in text
    assert not (out / "concepts.nc").exists()


@pytest.mark.usefixtures("_undrawn")
def test_superclasses_of_a_table(place):
    table = place / "kinds.csv"
    table.write_text("class,concept\ndark,dim\nred,bright\n")
    options = ["--hierarchy", str(table), "--superclasses", "bright", "--perturb", "late"]
    assert main(command(place, "--quiet", *options, out="super")) == 0
    curve = nc.open(place / "super/perturbation/concept-late.nc")
    assert curve["concept"].values.tolist() == ["bright"]
    assert not (place / "super/perturbation/category-early.nc").exists()
    text = html.unescape((place / "super/report.html").read_text("utf-8"))
    named = re.findall(r'nc\.open\("([^"]+)"', text)
    assert "perturbation/category-late.nc" in named
    assert all((place / "super" / name).exists() for name in named)
    assert "Ablation, classes (2): " in text
    assert "Ablation, superclasses (1): " in text


def test_the_run_of_another_method_is_refused(done, place, capsys):
    assert main([*command(place, "--quiet"), "--method", "input-grad"]) == 2
    assert "method" in capsys.readouterr().err
    assert json.loads((done / "stages.json").read_text())  # and nothing is lost


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limit", "0"], "at least 1"),
        (["--target", "redd"], "'red'"),
        (["--layers", "erly"], "'early'"),
        (["--perturb", "middle"], "layer"),
        (["--categories", "blue"], "category"),
        (["--superclasses", "bright"], "hierarchy"),
        (["--superclasses", "bright", "--hierarchy", "/nowhere.csv"], "/nowhere.csv"),
        (["--device", "gpu"], "try: --device cpu"),
        (["--per-class", "0"], "per_class=0"),
        (["--expansion", "0"], "expansion=0"),
        (["--parts", "perturbation"], "modes"),
        (["--parts", "maps"], "modes"),
        (["--parts", "statistics", "--explorer"], "--parts modes --explorer"),
        (["--network", "torchvision:resnet_50"], "resnet50"),
        (["--network", "timm:resnet500"], "resnet50"),
        (["--images", "/nowhere"], "/nowhere"),
        (["--steps", "5"], "--method"),
        (["--kind", "heads"], "chooses its layers itself"),
        (["--labels", "/nowhere.csv"], "/nowhere.csv"),
        (["--network", f"{EXAMPLES}/cifar_resnet.py:network"], "--weights FILE"),
        (["--dask", "0"], "at least 1 worker"),
        (["--dask", "nowhere://1"], "no scheduler answers"),
    ],
)
def test_bad_input_is_told_before_anything_runs(place, capsys, options, message):
    assert main(command(place, "--quiet", *options, out="never")) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out
    assert not (place / "never" / "contributions.nc").exists()
