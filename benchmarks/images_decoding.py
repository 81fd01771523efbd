"""How fast `nc.images` decodes and preprocesses on one core, and what a network makes of them.

usage: images_decoding.py FOLDER TABLE.csv NETWORK [WEIGHTS] [--images N]

Rates are of one process with one thread, decoding and torchvision's own preprocessing together,
each the best of three runs over the same files; the loop over PIL and torchvision alone is measured
in between. Top-1 is the share of images whose largest output is the category of their label.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from PIL import Image

import neurocodec as nc


def rate(work: Callable[[], object], count: int) -> float:
    """Images per second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def plain(folder: Path, sources: list[str], transform: Callable[[Image.Image], object]) -> None:
    """Decode and preprocess with PIL and torchvision alone."""
    for name in sources:
        with Image.open(folder / name) as image:
            transform(image.convert("RGB"))


def top1(net: nc.Network, stimulus: xr.DataArray) -> float:
    """Share of images that the network gives the category of their label."""
    response = nc.respond(net, stimulus, batch_size=32)
    found = response.category.values[response.values.argmax(1)]
    return float(np.mean(found == stimulus.label.values))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("network")
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = nc.adapters.torchvision(options.network, options.weights)
    start = time.perf_counter()
    stimulus = nc.images(options.folder, net, labels=options.table)
    print(f"{len(stimulus)} files listed and looked at in {time.perf_counter() - start:.2f} s")
    part = stimulus.isel(stimulus=slice(options.images))
    size, sources = len(part), part.source.values.tolist()
    ours, theirs = [], []
    for _ in range(3):
        ours.append(rate(lambda: part.values, size))
        theirs.append(rate(lambda: plain(options.folder, sources, net.preprocessing), size))
    print(f"nc.images {max(ours):.0f} images/s, PIL and torchvision alone {max(theirs):.0f}")
    if options.weights is not None:
        print(f"{net.name}: top-1 {100 * top1(net, stimulus):.1f} % of {len(stimulus)} images")


if __name__ == "__main__":
    main()
