"""SIGKILL in the middle of long calls: what went on has the numbers of what was never stopped."""

from pathlib import Path

import pytest
import xarray as xr
from killed_runs import NETWORK, atlas, command, killed_in_every_stage, lost, tension
from processes import in_a_process
from stored_images import write_images

import neurocodec as nc

RESULTS = {
    tension: ["run.zarr", "run-best3.zarr"],
    atlas: ["tension.zarr", "channels.zarr", "means.zarr", "icons.zarr"],
    command: [
        "tension.nc",
        "tension-best2.nc",
        "paper.nc",
        "ranked.nc",
        "pictures-0.nc",
        "pictures-3.nc",
        "atlas/icons.zarr",
        "atlas.nc",
        "atlas-images.nc",
    ],
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NETWORK)
    write_images(tmp_path / "images", 24)
    return tmp_path / "images"


@pytest.mark.parametrize("run", [tension, atlas])
def test_killed_in_every_stage_it_has_the_same_values(run, images, tmp_path) -> None:
    assert_it_goes_on(run, images, tmp_path)


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_files(images, tmp_path) -> None:
    assert_it_goes_on(command, images, tmp_path)


def assert_it_goes_on(run, images: Path, tmp_path: Path) -> None:
    in_a_process(run, images, tmp_path / "whole", 0.0)
    states = killed_in_every_stage(run, images, tmp_path / "killed")
    assert len(states) >= len(RESULTS[run]) / 2  # a short stage may be over before it is seen
    assert any(".parts/" in name for state in states for name in state)
    assert not any(map(lost, states, states[1:]))
    for name in RESULTS[run]:
        found, wanted = (nc.open(tmp_path / folder / name) for folder in ("killed", "whole"))
        for one, other in zip(nodes(found), nodes(wanted), strict=True):
            xr.testing.assert_equal(one, other)


def nodes(found: xr.DataTree | xr.Dataset | xr.DataArray) -> list:
    return [node.to_dataset() for node in found.subtree] if hasattr(found, "subtree") else [found]
