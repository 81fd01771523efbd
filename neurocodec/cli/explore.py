"""``neurocodec explore``: look at every mode of a finished run of ``neurocodec images``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

from neurocodec.analyses.options import STABILITY
from neurocodec.cli.calls import noted_call
from neurocodec.cli.images import MAPS, add_images, analysed, explored
from neurocodec.errors import InputError

DESCRIPTION: Final = (
    "Write a folder that opens in a browser from a disk: every mode of every layer, the images "
    "that it is strongest on beside median and random ones, the part of them that acts through it, "
    "its classes, channels and similar modes; every image and every class. Of a run of neurocodec "
    "images that is finished, whose results are read, not computed again."
)

SHOWN: Final = ("modes", "perturbation", STABILITY)
"""Parts of an analysis that an explorer has something of."""


def add_explore(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec explore` to its parser."""
    add = command.add_argument
    add("out", metavar="RUN", type=Path, help="folder that neurocodec images wrote")
    add("--images", metavar="FOLDER", help="images, where they have moved")
    add("--maps", type=int, default=MAPS, metavar="N", help="images of each mode (%(default)s)")
    add("--stability", action="store_true", help="which modes come back: seven fits of each layer")
    add("--device", help="cpu, cuda, cuda:1, ... (that of the run)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_explore)


def run_explore(options: argparse.Namespace) -> None:
    """Write the explorer of a finished run."""
    start = time.monotonic()
    if options.maps < 0:
        raise InputError(came=f"--maps {options.maps}", expected="0 or more", hint="--maps 0")
    blank = argparse.ArgumentParser()
    add_images(blank)
    required = ["--network", "", "--images", ""]
    run = argparse.Namespace(**{**vars(blank.parse_args(required)), **noted_call(options.out)})
    run.out, run.quiet, run.explorer = options.out, options.quiet, True
    run.pictures, run.parts = False, [part for part in run.parts if part in SHOWN]
    if options.stability and STABILITY not in run.parts:
        run.parts.append(STABILITY)
    run.images, run.device = options.images or run.images, options.device or run.device
    explored(analysed(run), options.out, quiet=options.quiet, maps=options.maps)
    if not options.quiet:
        print(f"done in {time.monotonic() - start:.0f} s")
