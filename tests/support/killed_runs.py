"""Long calls between layers in processes of their own, which a test kills again and again."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from networks import convolutional
from processes import CONTEXT
from stored_images import stored_images

import neurocodec as nc
from neurocodec.storage import runs

DEADLINE = 240
PATIENCE = 0.004
"""Seconds between two looks at what is on disk."""


def _small() -> nc.Network:
    """Images to the second convolution, before its ReLU; every batch becomes a part."""
    torch.set_num_threads(1)
    runs._PART_SECONDS = 0.0
    return nc.Network(convolutional(), layers={"early": "2", "pre": "3"})


def _stored(images: Path, pause: float) -> xr.DataArray:
    return stored_images(sorted(images.glob("*.png")), pause=pause)


def tension(images: Path, out: Path, pause: float) -> None:
    """Numbers of all images and maps of the first ones: two passes."""
    target = nc.targets.Features("pre", channels=[0, 2, 3], position=(1, 2))
    best = {"maps": True, "keep": 3, "by": ("tension", "exciting")}
    call = {"target": target, "batch_size": 4, "workers": 0, "progress": False, **best}
    out.mkdir(exist_ok=True)
    nc.tension(_small(), _stored(images, pause), "early", out=out / "run.zarr", **call).close()


def atlas(images: Path, out: Path, pause: float) -> None:
    """Three passes over the images, and icons one by one."""
    target = nc.targets.Feature("pre", np.eye(5)[2].tolist(), (1, 2))
    call = {"target": target, "grid": 3, "least": 2, "steps": 12, "layout": "pca", "batch_size": 1}
    net, shown = _small(), _stored(images, pause)
    nc.attribution_atlas(net, shown, "early", out=out, workers=0, progress=False, **call)


NETWORK = """
import numpy as np
import torch
from networks import convolutional
import neurocodec as nc

def pixels(image):
    return torch.from_numpy(np.asarray(image, "float32") / 255 - 0.5).permute(2, 0, 1)

def network(weights=None):
    return nc.Network(convolutional(), layers={"early": "2", "late": "4"}, input_shape=(3, 8, 8),
                      preprocessing=pixels, name="small")
"""


def command(images: Path, out: Path, pause: float) -> None:
    """All of `neurocodec tension`."""
    from neurocodec.analyses import inversions  # what takes a second, for this call alone
    from neurocodec.cli.parser import main

    torch.set_num_threads(1)
    runs._PART_SECONDS, inversions.STEPS = 0.0, 6
    options = f"--network {images.parent}/net.py:network --images {images} --out {out} --quiet"
    options += " --layer early --target late --channels 0 3 --count 2 --inversions 2 --atlas"
    options += " --batch-size 8 --workers 0"
    time.sleep(pause)
    if main(["tension", *options.split()]):
        raise RuntimeError("the command failed")


def killed_in_every_stage(run: Callable[..., None], images: Path, out: Path) -> list[set[str]]:
    """Kill a run each time that it has put the first of another result on disk, until its end.

    Tells what there was whenever it was killed: results, and numbered parts of results.
    """
    rng, killed = np.random.default_rng(0), []
    while True:
        deadline = time.monotonic() + DEADLINE
        before = {_result(name) for name in _there(out)}
        child = CONTEXT.Process(target=run, args=(images, out, 0.01))
        child.start()
        while child.is_alive() and {_result(name) for name in _there(out)} <= before:
            assert time.monotonic() < deadline
            time.sleep(PATIENCE)
        time.sleep(float(rng.uniform(0, 0.05)))  # also in the middle of a write
        child.kill()
        child.join()
        if child.exitcode == 0:
            return killed
        assert child.exitcode == -signal.SIGKILL
        killed.append(_there(out))


def lost(before: set[str], after: set[str]) -> set[str]:
    """What is gone, though it was not put together into a result."""
    return {name for name in before - after if _result(name) not in after}


def _there(folder: Path) -> set[str]:
    found = set()
    for root, folders, files in os.walk(folder):
        place = Path(root).relative_to(folder)
        inside = place.suffix == ".parts"
        found |= {
            str(place / name)
            for name in files
            if inside == name.startswith("rows-") and not name.startswith(".")
        }
        whole = {x for x in folders if x.endswith(".zarr") and not x.startswith(".")}
        found |= {str(place / name) for name in whole}
        # what is written under another name first is not there yet
        folders[:] = [x for x in folders if not x.endswith(".zarr") and not x.startswith(".")]
    return {name for name in found if name.endswith((".nc", ".zarr", ".safetensors"))}


def _result(name: str) -> str:
    """The result that it is, or is a part of."""
    return name.split(".parts/", maxsplit=1)[0]
