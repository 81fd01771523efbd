"""``neurocodec retina``: everything about a retina model, its recording and interneurons."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from neurocodec import vocabulary as v
from neurocodec.analyses.options import (
    EXPANSION,
    METHODS,
    MODE_SEEDS,
    MOMENTS,
    RETINA_STEPS,
)
from neurocodec.cli.options import command_line, expansion, farewell, method_named, steps
from neurocodec.errors import InputError

BUNDLED: Final = "simulated-retina"
FIT: Final = "fit.nc"
"""File in which `neurocodec fit-retina` leaves the scores of its model."""
FURTHER: Final = "; then movies of what cells look for, by ascent"

DESCRIPTION: Final = (
    "Analyse a retina model: responses, contributions of hidden channels, modes, which part of "
    "the movie acts through them, clusters of cells, receptive fields from moment to moment, "
    "combinations of modes, interneurons. Without options it runs on the bundled model and movie, "
    "both simulated. Writes netCDF results, figures and report.html to a folder. A run that was "
    "interrupted goes on when the same command is given again."
)


def add_retina(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec retina` to its parser."""
    add = command.add_argument
    add(
        "--model",
        default=BUNDLED,
        help="name, folder or file: .safetensors, .pt, .ckpt (%(default)s)",
    )
    add("--session", metavar="NAME", help="of an open-retina checkpoint with several")
    add("--ensemble", action="store_true", help="with the models of other seeds in its folder")
    movie = command.add_mutually_exclusive_group()
    movie.add_argument("--movie", help=f"name, or .nc or .zarr file ({BUNDLED})")
    movie.add_argument("--recording", metavar="FILE", help="a file that nc.read_recording reads")
    add("--part", metavar="NAME", help="of the recording (test, or the first with a stimulus)")
    add("--interneurons", metavar="FILE", help="recorded interneurons, with what they saw")
    add("--interneuron-part", metavar="NAME", help="of that file (the first that can be shown)")
    add("--spot", type=float, metavar="PIXELS", help="diameter of a disc that they saw")
    add("--duration", type=float, metavar="SECONDS", help="only so much of the movie")
    add("--layers", nargs="+", metavar="LAYER", help="hidden layers (all of the model's)")
    add("--target", default="surprisal", help="surprisal, mahalanobis, sum or a cell (%(default)s)")
    add("--method", choices=METHODS, default=METHODS[0], help="(%(default)s)")
    add("--steps", type=steps, help=f"of integrated-gradients: a number or auto ({RETINA_STEPS})")
    add(
        "--expansion",
        type=expansion,
        default=EXPANSION,
        help="modes per channel, or auto (%(default)s)",
    )
    add("--moments", type=int, default=MOMENTS, help="times with fields, 0: none (%(default)s)")
    add("--mode-seeds", type=int, default=MODE_SEEDS, help="fits of modes, 0: one (%(default)s)")
    add("--pictures", action="store_true", help="synthetic movies of what cells look for")
    add("--out", type=Path, default=Path("neurocodec-retina"), help="folder (%(default)s)")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--seed", type=int, default=0, help="of modes and clusters (%(default)s)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_retina)


def run_retina(options: argparse.Namespace) -> None:
    """Analyse a retina model and write everything to a folder."""
    from neurocodec.cells.recording import stimulus_of  # noqa: PLC0415
    from neurocodec.cli.movies import load_interneurons, load_movie, load_part  # noqa: PLC0415
    from neurocodec.nn.device import device_named  # noqa: PLC0415
    from neurocodec.reports.retina.page import write_report  # noqa: PLC0415
    from neurocodec.zoo import load_model  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    method = method_named(options, RETINA_STEPS)
    device = options.device and device_named(options.device, hint="--device cpu")
    net = load_model(options.model, session=options.session).on(device)
    net.select_layers(options.layers)
    analyse = _analysis_of(net, options)
    _require_files(options)
    if options.recording:
        movie = load_part(options.recording, options.part, options.duration)
    else:
        movie = load_movie(options.movie or BUNDLED, options.duration)
    cells = None
    if options.interneurons:
        cells = load_interneurons(options.interneurons, net, options.interneuron_part, options.spot)
    frames = stimulus_of(movie).sizes.get(v.TIME, 0)
    source = options.recording or options.movie or BUNDLED
    say(f"model {net.name}, movie {source} with {frames} frames{FURTHER * options.pictures}")
    analysis = analyse(
        movie,
        layers=options.layers,
        target=options.target,
        method=method,
        expansion=options.expansion,
        seed=options.seed,
        device=options.device,
        interneurons=cells,
        moments=options.moments,
        mode_seeds=options.mode_seeds,
        pictures=options.pictures,
        scores=_scores(options.model),
        out=options.out,
        progress=not options.quiet,
    )
    page = write_report(
        analysis, options.out, settings={"command": command_line(options, "retina", add_retina)}
    )
    say(farewell(page, analysis.files, time.monotonic() - start))


def _analysis_of(net: Any, options: argparse.Namespace) -> Callable[..., Any]:
    """Analysis of a model, or of it and those of other seeds that stand in its folder."""
    from neurocodec.analyses.retina.analyse import analyse_retina  # noqa: PLC0415 - torch only where it is needed
    from neurocodec.analyses.retina.ensemble import analyse_ensemble  # noqa: PLC0415
    from neurocodec.zoo import load_model  # noqa: PLC0415

    if not options.ensemble:
        return partial(analyse_retina, net)
    places = sorted(p for p in Path(options.model).glob("seed-*") if p.is_dir())
    if not places:
        raise InputError(
            came=f"--ensemble for {options.model!r}, without models of other seeds",
            expected="a folder with seed-1, ..., as several seeds of a fit leave it",
            hint='nc.fit_retina(recording, seeds=3, out="fit")',
        )
    others = (load_model(str(place)).on(net.device) for place in places)
    return partial(analyse_ensemble, [net, *others])


def _scores(model: str) -> Any:
    """Scores of a model that `neurocodec fit-retina` left beside it."""
    from neurocodec import storage  # noqa: PLC0415 - xarray only where it is needed

    place = Path(model) / FIT
    return storage.open(place)["scores"].to_dataset().load() if place.is_file() else None


def _require_files(options: argparse.Namespace) -> None:
    for option, needed in (("part", "recording"), ("interneuron_part", "interneurons")):
        if getattr(options, option) and not getattr(options, needed):
            name = option.replace("_", "-")
            raise InputError(came=f"--{name} without --{needed}", expected=f"--{needed} FILE")
