"""``neurocodec concepts``: concept vectors of layers, and which make which up to an answer."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from neurocodec.cli.options import command_line, farewell

DESCRIPTION: Final = (
    "Find concept vectors of several layers of a network that classifies images, and follow the "
    "answers of some categories back through them: which concept vectors of a layer make which of "
    "the next, with the residual that none accounts for. Writes netCDF results, tables and graphs "
    "for other programs, and concepts.html, one page that opens offline. A run that was "
    "interrupted goes on when the same command is given again."
)


def add_concepts(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec concepts` to its parser."""
    add = command.add_argument
    add("--network", required=True, metavar="NAME", help="as for neurocodec images")
    add("--weights", help="a file, or a name such as DEFAULT that the registry knows (random)")
    add("--images", required=True, metavar="FOLDER", help="images, one folder per class")
    add("--labels", metavar="FILE", help="CSV with the columns file and label or class_index")
    add("--broken", choices=("raise", "skip"), default="raise", help="broken images (%(default)s)")
    add("--limit", type=int, metavar="N", help="only every so-manieth image, N in all")
    add("--layers", nargs="+", required=True, metavar="LAYER", help="in order; commas do too")
    add("--categories", nargs="+", metavar="NAME", help="names of outputs; commas do too (all)")
    add("--per-category", type=int, default=20, metavar="N", help="images of each (%(default)s)")
    add("--top", type=int, default=5, help="nodes of each category and layer (%(default)s)")
    add("--shared", type=int, default=3, help="further ones that all have (%(default)s)")
    add("--keep", type=float, default=0.8, help="share of the influence that is kept (%(default)s)")
    add("--per-channel", type=float, default=8, help="concept vectors a channel (%(default)s)")
    add("--per-image", type=int, default=8, help="positions of each image (%(default)s)")
    add("--active", type=int, default=12, help="concept vectors of a position (%(default)s)")
    add("--shown", type=int, default=3, help="images of each category on the page (%(default)s)")
    add("--out", type=Path, default=Path("neurocodec-concepts"), help="folder (%(default)s)")
    add("--batch-size", type=int, metavar="N", help="images computed together (what fits)")
    add("--workers", type=int, metavar="N", help="processes that decode images (automatic)")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--steps", type=_steps, help="of the graph's lines: a number, or auto (8, answers 32)")
    add("--seed", type=int, default=0, help="of positions and clusters (%(default)s)")
    add("--dry-run", action="store_true", help="say what it takes, and stop")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_concepts)


def _steps(text: str) -> int | str:
    """A number, or auto."""
    return text if text == "auto" else int(text)


def names(given: Sequence[str]) -> list[str]:
    """Names that are apart by spaces of the shell, or by commas."""
    return [name for text in given for name in map(str.strip, text.split(",")) if name]


def run_concepts(options: argparse.Namespace) -> None:
    """Find concept vectors and their graph, and write everything to a folder."""
    from neurocodec.adapters.images.images import images  # noqa: PLC0415
    from neurocodec.analyses.concepts.analyse import GRAPH, analyse_concepts  # noqa: PLC0415 - torch only if needed
    from neurocodec.cli.images import thinned  # noqa: PLC0415
    from neurocodec.cli.networks import load_network  # noqa: PLC0415
    from neurocodec.nn.device import device_named  # noqa: PLC0415
    from neurocodec.reports.concepts import write_concept_report  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    device = options.device and device_named(options.device, hint="--device cpu")
    layers = names(options.layers)
    net = load_network(options.network, weights=options.weights, layers=layers).on(device)
    stimulus = images(options.images, net, labels=options.labels, broken=options.broken)
    stimulus = thinned(stimulus, options.limit)
    say(f"network {net.name}, {stimulus.sizes['stimulus']} images of {options.images}")
    asked = _asked(options, layers)
    if not options.quiet or options.dry_run:
        _preflight(net, stimulus, asked)
    if options.dry_run:
        return
    analysis = analyse_concepts(
        net,
        stimulus,
        keep=options.keep,
        shown=options.shown,
        out=options.out,
        progress=not options.quiet,
        **asked,
    )
    command = command_line(options, "concepts", add_concepts)
    page = write_concept_report(analysis, options.out, settings={"command": command})
    files = sorted(analysis.files, key=lambda name: name != GRAPH)  # the one to open first
    say(farewell(page, files, time.monotonic() - start))


def _asked(options: argparse.Namespace, layers: Sequence[str]) -> dict[str, Any]:
    """What an analysis and its estimate take."""
    same = "per_category top shared per_channel per_image active steps seed batch_size workers"
    return {
        "layers": layers,
        "categories": None if options.categories is None else names(options.categories),
        **{name: getattr(options, name) for name in same.split()},
    }


def _preflight(net: Any, stimulus: Any, asked: dict[str, Any]) -> None:
    """Say what the run takes."""
    from neurocodec.analyses.concepts.analyse import estimate_concepts  # noqa: PLC0415

    print(f"about {estimate_concepts(net, stimulus, **asked)}")
