"""`neurocodec tension` and `superposition` from the shell: small networks, small images."""

import json

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


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--channels", "9"], "channels from 0 to 4"),
        (["--channels", "0", "--count", "8"], "count=8 of 7 images"),
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
