"""``neurocodec retina``: everything about a retina model, its recording and interneurons."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neurocodec import vocabulary as v
from neurocodec.errors import InputError

METHODS: Final = ("integrated-gradients", "act-grad", "input-grad", "smooth-grad", "norm-grad")
STEPS: Final = 20
BUNDLED: Final = "simulated-retina"
MOMENTS: Final = 120

DESCRIPTION: Final = (
    "Analyse a retina model: responses, contributions of hidden channels, modes, which part of "
    "the movie acts through them, clusters of cells, receptive fields from moment to moment, "
    "combinations of modes, interneurons. Without options it runs on the bundled model and movie, "
    "both simulated. Writes netCDF results, figures and report.html to a folder. A run that was "
    "interrupted goes on when the same command is given again."
)


def add_retina(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec retina` to its parser.

    Parameters
    ----------
    command
        The parser of the subcommand.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_retina(parser)
    >>> parser.parse_args(["--steps", "auto"]).steps
    'auto'
    """
    add = command.add_argument
    add("--model", default=BUNDLED, help="name, folder, .safetensors or .pt file (%(default)s)")
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
    add("--steps", type=steps, help=f"of integrated-gradients: a number or auto ({STEPS})")
    add("--expansion", type=float, default=10, help="modes per channel (%(default)s)")
    add("--moments", type=int, default=MOMENTS, help="times with fields, 0: none (%(default)s)")
    add("--out", type=Path, default=Path("neurocodec-retina"), help="folder (%(default)s)")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--seed", type=int, default=0, help="of modes and clusters (%(default)s)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_retina)


def steps(text: str) -> int | str:
    """Number of steps along a path, or ``"auto"``; an option's type.

    Parameters
    ----------
    text
        As it was typed.

    Examples
    --------
    >>> steps("20")
    20
    """
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1, or auto")
    return int(text)


def run_retina(options: argparse.Namespace) -> None:
    """Analyse a retina model and write everything to a folder.

    Parameters
    ----------
    options
        As the parser of `add_retina` makes them.

    Raises
    ------
    NeurocodecError
        Where an option does not fit, or a file cannot be read or written.
    """
    from neurocodec.analyses.retina.analyse import analyse_retina  # noqa: PLC0415 - torch only where it is needed
    from neurocodec.cells.recording import stimulus_of  # noqa: PLC0415
    from neurocodec.cli.movies import load_interneurons, load_movie, load_part  # noqa: PLC0415
    from neurocodec.reports.retina import write_report  # noqa: PLC0415
    from neurocodec.zoo import load_model  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    method = method_named(options, STEPS)
    net = load_model(options.model).on(device_named(options.device))
    net.select_layers(options.layers)
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
    say(f"model {net.name}, movie {source} with {frames} frames")
    analysis = analyse_retina(
        net,
        movie,
        layers=options.layers,
        target=options.target,
        method=method,
        expansion=options.expansion,
        seed=options.seed,
        device=options.device,
        interneurons=cells,
        moments=options.moments,
        out=options.out,
        progress=not options.quiet,
    )
    page = write_report(
        analysis, options.out, settings={"command": command_line(options, "retina", add_retina)}
    )
    say(farewell(page, analysis.files, time.monotonic() - start))


def _require_files(options: argparse.Namespace) -> None:
    for option, needed in (("part", "recording"), ("interneuron_part", "interneurons")):
        if getattr(options, option) and not getattr(options, needed):
            name = option.replace("_", "-")
            raise InputError(came=f"--{name} without --{needed}", expected=f"--{needed} FILE")


def farewell(page: Path, results: Sequence[str], seconds: float) -> str:
    """Say where everything is.

    Parameters
    ----------
    page
        The report.
    results
        Names of the files beside it.
    seconds
        That it took.
    """
    return (
        f"\ndone in {seconds:.0f} s; look at\n"
        f"  {page.resolve()}\n"
        f"results beside it: {', '.join(results)}\n"
        f'in Python: import neurocodec as nc; nc.open("{page.parent / results[0]}")'
    )


def command_line(
    options: argparse.Namespace, name: str, add: Callable[[argparse.ArgumentParser], None]
) -> str:
    """Write the options that differ from the defaults as a command line.

    Parameters
    ----------
    options
        As they were given.
    name
        Of the subcommand.
    add
        Adds its options to a parser.
    """
    blank = argparse.ArgumentParser()
    add(blank)
    words = ["neurocodec", name]
    for key, value in vars(options).items():
        if key not in _SILENT and value != blank.get_default(key):
            words += [
                f"--{key.replace('_', '-')}",
                *(map(str, value) if isinstance(value, list) else [str(value)]),
            ]
    return shlex.join(words)


_SILENT: Final = {"quiet", "run", "out"}
"""Options that do not change what is computed."""


def device_named(name: str | None) -> str | None:
    """Refuse what torch does not know as a device.

    Parameters
    ----------
    name
        As it was typed.
    """
    import torch  # noqa: PLC0415

    if name is None:
        return None
    try:
        torch.device(name)
    except RuntimeError as error:
        raise InputError(
            came=f"--device {name}", expected="cpu, cuda, cuda:1 or another device of torch"
        ) from error
    return name


def method_named(options: argparse.Namespace, steps: int) -> Any:
    """Make the method that the options ask for.

    Parameters
    ----------
    options
        With `method`, `steps` and `seed`.
    steps
        Of integrated gradients, where none were asked for.
    """
    from neurocodec.nn.attribution import methods  # noqa: PLC0415

    if options.method == METHODS[0]:
        return methods.IntegratedGradients(steps=options.steps or steps)
    if options.steps is not None:
        raise InputError(
            came=f"--steps {options.steps} with --method {options.method}",
            expected=f"--steps only with {METHODS[0]}, the one method with a path",
        )
    made: Mapping[str, Callable[[], Any]] = {
        "act-grad": methods.ActGrad,
        "input-grad": methods.InputGrad,
        "smooth-grad": lambda: methods.SmoothGrad(seed=options.seed),
        "norm-grad": methods.NormGrad,
    }
    return made[options.method]()
