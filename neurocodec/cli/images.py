"""``neurocodec images``: everything about a network that sees images."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from neurocodec.analyses.options import (
    IMAGE_EXPANSION,
    IMAGE_STEPS,
    METHODS,
    PARTS,
    PER_CLASS,
    STABILITY,
    TARGETS,
)
from neurocodec.cli.calls import note_call
from neurocodec.cli.options import command_line, expansion, farewell, method_named, steps
from neurocodec.errors import InputError

DESCRIPTION: Final = (
    "Analyse a network that classifies images: contributions of the hidden channels of every "
    "layer, their sparsity, signs and dimensionality, modes and the classes that they go with, "
    "which part of the images acts through them, and what ablating or preserving their channels "
    "does. Writes netCDF results, figures and report.html to a folder. A run that was interrupted "
    "goes on when the same command is given again."
)

EXPLORER: Final = "explorer"
"""Folder beside the results."""
MAPS: Final = 3
"""Images of each mode that maps are made of."""


def add_images(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec images` to its parser."""
    add = command.add_argument
    add(
        "--network",
        required=True,
        metavar="NAME",
        help="torchvision:resnet50, timm:vit_base_patch16_224, ..., or FILE.py:FUNCTION, which may"
        " also change one of these (adjust=; examples/resnet50_images.py)",
    )
    add("--weights", help="a file, or a name such as DEFAULT that the registry knows (random)")
    add("--images", required=True, metavar="FOLDER", help="images, one folder per class")
    add("--labels", metavar="FILE", help="CSV with the columns file and label or class_index")
    add("--broken", choices=("raise", "skip"), default="raise", help="broken images (%(default)s)")
    add("--limit", type=int, metavar="N", help="only every so-manieth image, N in all")
    add("--layers", nargs="+", metavar="LAYER", help="names of modules (all of --kind)")
    add(
        "--kind",
        default="block",
        help="of layers: block, layer, mlp, attention, heads (%(default)s)",
    )
    add("--target", default="top1", help=f"{', '.join(TARGETS)} or a category (%(default)s)")
    add("--method", choices=METHODS, default=METHODS[0], help="(%(default)s)")
    add("--steps", type=steps, help=f"of integrated-gradients: a number or auto ({IMAGE_STEPS})")
    add(
        "--parts",
        nargs="+",
        choices=(*PARTS, STABILITY),
        default=list(PARTS),
        help="of the analysis (all but stability, which takes seven fits of each layer)",
    )
    add(
        "--expansion",
        type=expansion,
        default=IMAGE_EXPANSION,
        help="modes per channel, or auto (%(default)s)",
    )
    add("--hierarchy", metavar="FILE", help="of classes: WordNet's data.noun, is_a.txt, or a CSV")
    add("--perturb", nargs="+", metavar="LAYER", help="layers to perturb (all)")
    add("--categories", nargs="+", metavar="NAME", help="to perturb (all with enough images)")
    add("--superclasses", nargs="+", metavar="CONCEPT", default=[], help="to perturb as one class")
    add("--per-class", type=int, default=PER_CLASS, metavar="N", help="to perturb (%(default)s)")
    add("--pictures", action="store_true", help="synthetic pictures of what modes look for")
    add("--explorer", action="store_true", help="a folder to look at every mode in a browser")
    _add_running(command)
    command.set_defaults(run=run_images)


def _add_running(command: argparse.ArgumentParser) -> None:
    """Add where results go and what computes them."""
    add = command.add_argument
    add("--out", type=Path, default=Path("neurocodec-images"), help="folder (%(default)s)")
    add("--batch-size", type=int, metavar="N", help="images computed together (what fits)")
    add("--workers", type=int, metavar="N", help="processes that decode images (automatic)")
    add("--dask", metavar="N|ADDRESS", help="local worker processes, or a Dask scheduler")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--seed", type=int, default=0, help="of modes and of every draw (%(default)s)")
    add("--quiet", action="store_true", help="print nothing but errors")


def run_images(options: argparse.Namespace) -> None:
    """Analyse a network that sees images and write everything to a folder."""
    from neurocodec.reports.images import write_image_report  # noqa: PLC0415

    start = time.monotonic()
    done = analysed(options)
    command = command_line(options, "images", add_images)
    page = write_image_report(done.analysis, options.out, settings={"command": command})
    note_call(options)
    if options.explorer:
        explored(done, options.out, quiet=options.quiet)
    beside = dict.fromkeys(name.replace("/", "/ ").split()[0] for name in done.analysis.files)
    if not options.quiet:
        print(farewell(page, list(beside), time.monotonic() - start))


class Analysed(NamedTuple):
    """A finished analysis, and what it is of."""

    net: Any
    stimulus: Any
    analysis: Any
    batch_size: int | None


def analysed(options: argparse.Namespace) -> Analysed:
    """Analyse a network that sees images, or go on with what a folder holds."""
    from neurocodec.adapters.images.images import images  # noqa: PLC0415
    from neurocodec.analyses.images.analyse import analyse_images  # noqa: PLC0415 - torch only if needed
    from neurocodec.cli.networks import load_network  # noqa: PLC0415
    from neurocodec.nn.device import device_named  # noqa: PLC0415

    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    method = method_named(options, IMAGE_STEPS)
    require_modes(options)
    device = options.device and device_named(options.device, hint="--device cpu")
    net = load_network(
        options.network, weights=options.weights, layers=options.layers, kind=options.kind
    ).on(device)
    stimulus = images(options.images, net, labels=options.labels, broken=options.broken)
    stimulus = thinned(stimulus, options.limit)
    further = "; then pictures of modes by ascent" * options.pictures
    say(f"network {net.name}, {stimulus.sizes['stimulus']} images of {options.images}{further}")
    names = ["target", "parts", "expansion", "hierarchy", "perturb", "categories", "superclasses"]
    names += ["per_class", "pictures", "batch_size", "workers", "seed", "out"]
    asked = {name: getattr(options, name) for name in names}
    with _client(options) as client:
        analysis = analyse_images(
            net, stimulus, method=method, client=client, progress=not options.quiet, **asked
        )
    return Analysed(net, stimulus, analysis, options.batch_size)


def require_modes(options: argparse.Namespace) -> None:
    """Refuse an explorer without what it is of, before anything runs."""
    if options.explorer and "modes" not in options.parts:
        raise InputError(
            came="--explorer without modes, which it is of",
            expected="both",
            hint="--parts modes --explorer",
        )


def explored(done: Analysed, out: Path, *, quiet: bool, maps: int = MAPS) -> Path:
    """Write the explorer beside the results."""
    from neurocodec.reports.image_explorer.write_explorer import (  # noqa: PLC0415
        write_explorer,
    )

    asked: dict[str, Any] = {"maps": maps, "batch_size": done.batch_size, "progress": not quiet}
    page = write_explorer(done.analysis, done.stimulus, out / EXPLORER, net=done.net, **asked)
    if not quiet:
        print(f"\nevery mode, image and class: {page.resolve()}")
    return page


def thinned(stimulus: Any, limit: int | None) -> Any:
    """At most so many images, spread evenly over all, so that every class is among them."""
    if limit is None:
        return stimulus
    count = stimulus.sizes["stimulus"]
    if limit < 1:
        raise InputError(came=f"--limit {limit}", expected="a number of images, at least 1")
    chosen = sorted({i * count // limit for i in range(min(limit, count))})
    return stimulus.isel(stimulus=chosen)


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[Any]:
    """Connect to Dask, or start local workers, for the length of a block."""
    if options.dask is None:
        yield None
        return
    try:
        from dask.distributed import Client, LocalCluster  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError(
            came="--dask without Dask",
            expected="the package dask[distributed]",
            hint='pip install "neurocodec[dask]"',
        ) from error
    if not options.dask.isdecimal():
        with _connected(Client, options.dask) as client:
            yield client
        return
    if int(options.dask) < 1:
        raise InputError(came=f"--dask {options.dask}", expected="at least 1 worker process")
    local = {"n_workers": int(options.dask), "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(**local) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def _connected(client: Callable[[str], Any], address: str) -> Any:
    try:
        return client(address)
    except (OSError, ValueError) as error:
        raise InputError(
            came=f"--dask {address}, where no scheduler answers: {error}",
            expected="a number of local worker processes, or the address of a Dask scheduler",
            hint="--dask 4, or --dask tcp://HOST:8786 after `dask scheduler` on HOST",
        ) from error
