"""`neurocodec tension` and `superposition` from the shell: small networks, small images."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import neurocodec as nc
from neurocodec.cli.parser import main

pytestmark = pytest.mark.filterwarnings("ignore:by='paper'")

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
    return nc.Network(module.eval(), layers={"early": "1", "late": "3"}, input_shape=(3, 8, 8),
                      preprocessing=pixels, name="small")
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tension")
    (folder / "net.py").write_text(NETWORK)
    (folder / "images" / "some").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(7):
        pixels = rng.integers(0, 256, (8, 8, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / "images" / "some" / f"{i}.png")
    options = f"--network {folder}/net.py:network --images {folder}/images --workers 0 --quiet"
    return ["tension", *options.split(), "--layer", "early", "--target", "late", "--count", "2"]


@pytest.fixture(scope="module")
def page(arguments, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    assert main([*arguments, "--channels", "0", "3", "--out", str(out)]) == 0
    return out


def test_a_page_says_what_was_found(page):
    text = (page / "report.html").read_text("utf-8")
    assert "Excitation and inhibition: early to late of small" in text
    assert "--channels 0 3" in text
    for name in ("scatter-0", "images-3", "correlation", "uniqueness"):
        assert (page / "figures" / f"{name}.png").stat().st_size > 5000
    with nc.open(page / "tension.nc") as found:
        assert bool((found.target < 0).any())  # read before the ReLU
        assert dict(found.sizes)["feature"] == 2
    with nc.open(page / "ranked.nc") as ranked:
        assert dict(ranked.excitation_map.sizes) == {
            "feature": 2,
            "ranking": 6,
            "rank": 2,
            "y": 6,
            "x": 6,
        }


def test_the_maps_of_ranked_images_sum_to_what_ranked_them(page):
    found = nc.open(page / "tension.nc").to_dataset().load()
    ranked = nc.open(page / "ranked.nc")
    shown = ranked.excitation_map.sum(["y", "x"]).sel(ranking="tension", feature=3)
    best = nc.rank_stimuli(found, "tension", count=2).sel(feature=3)
    np.testing.assert_allclose(shown, found.excitation.sel(feature=3)[best.values], rtol=1e-4)


def test_the_same_command_goes_on_and_one_channel_has_no_uniqueness(page, arguments, tmp_path):
    before = (page / "tension.nc").stat().st_mtime_ns
    assert main([*arguments, "--channels", "0", "3", "--out", str(page)]) == 0
    assert (page / "tension.nc").stat().st_mtime_ns == before
    one = [*arguments, "--channels", "1", "--position", "2,1", "--out", str(tmp_path)]
    assert main(one) == 0
    assert "Shared images" not in (tmp_path / "report.html").read_text("utf-8")
    told = json.loads(nc.open(tmp_path / "tension.nc").attrs["neurocodec"])
    assert told["target"]["parameters"]["position"] == [2, 1]


@pytest.fixture(scope="module")
def many(arguments, tmp_path_factory):
    """A folder with enough images for pictures to be made like them."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "some").mkdir()
    rng = np.random.default_rng(1)
    for i in range(18):
        pixels = rng.integers(0, 256, (8, 8, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / "some" / f"{i}.png")
    return [*arguments, "--images", str(folder), "--channels", "0", "3"]


def test_pictures_and_an_atlas_are_asked_for_and_not_made_twice(many, tmp_path, monkeypatch):
    from neurocodec.analyses import inversions

    monkeypatch.setattr(inversions, "STEPS", 2)
    call = [*many, "--inversions", "2", "--atlas", "--out", str(tmp_path)]
    assert main(call) == 0
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "These pictures are synthetic" in text
    assert {"--inversions 2", "--atlas"} <= {*re.findall(r"--inversions \d|--atlas(?! True)", text)}
    assert '<a href="atlas.html">' in text
    page = (tmp_path / "atlas.html").read_text("utf-8")
    assert "some/17.png (some)" in page
    assert "channel 0 of late, by early of small" in page
    with nc.open(tmp_path / "pictures-3.nc") as made:
        assert dict(made["inversion"].target.sizes) == {"stimulus": 2, "sign": 2}
        assert dict(made["accentuation"].image.sizes)["y"] == 8
        assert made["visualisation"].confirmed.dims == ("draw",)
        both = made["images"]
        assert (np.minimum(both.excitation, both.inhibition) > 0).all()
        shown = np.asarray(both.picture)
    files = [
        tmp_path / n for n in ("pictures-0.nc", "pictures-3.nc", "atlas.nc", "atlas-images.nc")
    ]
    before = [file.stat().st_mtime_ns for file in files]

    def stop(*_args, **_options):
        raise AssertionError("a picture is made again")

    for name in ("invert", "visualise", "attribution_atlas"):
        monkeypatch.setattr(inversions, name, stop)
    assert main(call) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    found = nc.open(tmp_path / "tension.nc").to_dataset().load()
    first = nc.rank_stimuli(found, "tension", count=2).sel(feature=3).values[0]
    given = np.asarray(Image.open(f"{many[-4]}/{found.source.values[first]}"), dtype=float) / 255
    np.testing.assert_allclose(shown[0].transpose(1, 2, 0), given, atol=0.01)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--channels", "9"], "channels from 0 to 4"),
        (["--channels", "0", "--count", "8"], "count=8 of 7 images"),
        (["--channels", "0", "--inversions", "8"], "inversions=8 of 7 images"),
        (["--channels", "0", "--inversions", "1"], "pictures made like 7 images"),
        (["--channels", "0", "--atlas"], "pictures made like 7 images"),
        (["--channels", "0", "--inversions", "-1"], "inversions=-1"),
        (["--channels", "0", "--position", "7,1"], "a position inside of"),
        (["--channels", "0", "--limit", "0"], "--limit 0"),
        (["--channels", "-1"], "whole numbers from 0"),
    ],
)
def test_what_does_not_fit_is_told(arguments, changed, message, tmp_path, capsys):
    assert main([*arguments, *changed, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_toys_are_trained_and_drawn(tmp_path, capsys):
    out = tmp_path / "toys"
    options = f"--kind xor --hidden 8 --seeds 2 --steps 5 --out {out}"
    assert main(["superposition", *options.split()]) == 0
    assert "share off the diagonal" in capsys.readouterr().out
    assert (out / "toys.png").stat().st_size > 10_000
    with nc.open(out / "toys.nc") as found:
        assert isinstance(found, xr.DataTree)
        assert found.expected_loss.sizes["seed"] == 2


def test_positions_are_words_or_numbers(capsys):
    with pytest.raises(SystemExit):
        main(["tension", "--position", "middle"])
    assert "expected center, strongest, sum, or Y,X" in capsys.readouterr().err
