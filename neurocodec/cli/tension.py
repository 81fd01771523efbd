"""``neurocodec tension``: tense images of a layer's channels."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from neurocodec.cli.options import command_line, farewell

DESCRIPTION: Final = (
    "Find the images that a layer excites and inhibits channels of a later layer with: both large "
    "is tension. Ranks images by several rules, maps where they act, compares two methods, and "
    "says which images channels share. Writes netCDF results, figures and report.html to a "
    "folder. A run that was interrupted goes on when the same command is given again."
)


def add_tension(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec tension` to its parser."""
    add = command.add_argument
    add("--network", required=True, metavar="NAME", help="as for neurocodec images")
    add("--weights", help="a file, or a name such as DEFAULT that the registry knows (random)")
    add("--images", required=True, metavar="FOLDER", help="images, one folder per class")
    add("--broken", choices=("raise", "skip"), default="raise", help="broken images (%(default)s)")
    add("--limit", type=int, metavar="N", help="only every so-manieth image, N in all")
    add("--layer", required=True, help="whose contributions are found, after its ReLU")
    add("--target", required=True, metavar="LAYER", help="whose channels are the features")
    add("--channels", type=int, nargs="+", required=True, metavar="N", help="from 0")
    add("--position", type=position, default="center", help='"center", "sum" or Y,X (%(default)s)')
    add("--curve", nargs="+", metavar="LAYER", default=[], help="further layers to compare at")
    add("--count", type=int, default=5, help="images that each rule picks (%(default)s)")
    add(
        "--inversions",
        type=int,
        default=0,
        metavar="N",
        help="pictures of what excites and inhibits, of N tense images a channel (none)",
    )
    add("--atlas", action="store_true", help="a page that maps the images of the first channel")
    add("--out", type=Path, default=Path("neurocodec-tension"), help="folder (%(default)s)")
    add("--batch-size", type=int, metavar="N", help="images computed together (what fits)")
    add("--workers", type=int, metavar="N", help="processes that decode images (automatic)")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_tension)


def position(text: str) -> str | tuple[int, ...]:
    """Type of an option: where in the target's maps, or the sum over all."""
    if text in ("center", "strongest", "sum"):
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        known = "center, strongest, sum, or Y,X"
        raise argparse.ArgumentTypeError(f"{text!r}; expected {known}") from None


def run_tension(options: argparse.Namespace) -> None:
    """Find tense images and write everything to a folder."""
    from neurocodec.adapters.images.images import images  # noqa: PLC0415
    from neurocodec.analyses.tension import analyse_tension  # noqa: PLC0415 - torch only if needed
    from neurocodec.cli.images import thinned  # noqa: PLC0415
    from neurocodec.cli.networks import load_network  # noqa: PLC0415
    from neurocodec.nn.device import device_named  # noqa: PLC0415
    from neurocodec.reports.tension import write_tension_report  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    device = options.device and device_named(options.device, hint="--device cpu")
    layers = list(dict.fromkeys([options.layer, options.target, *options.curve]))
    net = load_network(options.network, weights=options.weights, layers=layers).on(device)
    stimulus = thinned(images(options.images, net, broken=options.broken), options.limit)
    further = _further(len(options.channels), options.inversions, atlas=options.atlas)
    say(f"network {net.name}, {stimulus.sizes['stimulus']} images of {options.images}{further}")
    analysis = analyse_tension(
        net,
        stimulus,
        layer=options.layer,
        target=options.target,
        channels=options.channels,
        position=None if options.position == "sum" else options.position,
        curve=options.curve,
        count=options.count,
        inversions=options.inversions,
        atlas=options.atlas,
        batch_size=options.batch_size,
        workers=options.workers,
        out=options.out,
        progress=not options.quiet,
    )
    command = command_line(options, "tension", add_tension)
    page = write_tension_report(analysis, options.out, settings={"command": command})
    say(farewell(page, list(analysis.files), time.monotonic() - start))


def _further(channels: int, inversions: int, *, atlas: bool) -> str:
    """What is made beside, in words."""
    count = channels * (4 * inversions + 1) if inversions > 0 else 0
    parts = [f"; then {count} pictures by ascent" * bool(count), " and an atlas" * atlas]
    return "".join(parts)
