"""The command line: ``neurocodec retina`` analyses a model, ``neurocodec info`` looks at a file."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import neurocodec
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, NeurocodecError, StorageError, unknown_name

DONE: Final = 0
FAILED: Final = 2
INTERRUPTED: Final = 130

METHODS: Final = ("integrated-gradients", "act-grad", "input-grad", "smooth-grad", "norm-grad")
STEPS: Final = 20
MOVIES: Final = (".nc", ".zarr")
WAIT_POLICY: Final = "OMP_WAIT_POLICY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        Arguments; those of the process where None.

    Returns
    -------
    int
        0 where all went well, 2 after an error, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["info", "missing.nc"])
    2
    """
    options = parser().parse_args(argv)
    try:
        with _short_warnings(), _patient_threads():
            options.run(options)
    except NeurocodecError as error:
        print(f"neurocodec: {error}", file=sys.stderr)
        if isinstance(error, StorageError) and "out" in options:
            print("  on the command line: --out ANOTHER-FOLDER", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nneurocodec: stopped. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="neurocodec",
        description="Which hidden units of a trained network made its answer, and how together.",
    )
    top.add_argument("--version", action="version", version=neurocodec.__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_retina(commands.add_parser("retina", help="analyse a retina model", description=_RETINA))
    info = commands.add_parser("info", help="say what a result file is")
    info.add_argument("file", type=Path, help="a .nc or .zarr file that neurocodec wrote")
    info.set_defaults(run=_info)
    return top


_RETINA = (
    "Analyse a retina model: responses, contributions of hidden channels, modes, clusters of "
    "cells. Without options it runs on the bundled model and movie, both simulated. Writes netCDF "
    "results, figures and report.html to a folder. A run that was interrupted goes on when the "
    "same command is given again."
)


def _add_retina(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", default="simulated-retina", help="name, or file or folder (%(default)s)")
    add("--movie", default="simulated-retina", help="name, or .nc or .zarr file (%(default)s)")
    add("--duration", type=float, metavar="SECONDS", help="only so much of the movie")
    add("--layers", nargs="+", metavar="LAYER", help="hidden layers (all of the model's)")
    add("--target", default="surprisal", help="surprisal, mahalanobis, sum or a cell (%(default)s)")
    add("--method", choices=METHODS, default=METHODS[0], help="(%(default)s)")
    add("--steps", type=_steps, help=f"of integrated-gradients: a number or auto ({STEPS})")
    add("--expansion", type=float, default=10, help="modes per channel (%(default)s)")
    add("--out", type=Path, default=Path("neurocodec-retina"), help="folder (%(default)s)")
    add("--device", help="cpu, cuda, cuda:1, ... (cpu)")
    add("--seed", type=int, default=0, help="of modes and clusters (%(default)s)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=_retina)


def _steps(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1, or auto")
    return int(text)


def _retina(options: argparse.Namespace) -> None:
    """Analyse a retina model and write everything to a folder."""
    from neurocodec.analysis import analyse_retina  # noqa: PLC0415 - torch only where it is needed
    from neurocodec.recording import stimulus_of  # noqa: PLC0415
    from neurocodec.report import write_report  # noqa: PLC0415
    from neurocodec.zoo import load_model  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    method = _method(options)
    net = load_model(options.model).on(_device(options.device))
    net.select_layers(options.layers)
    movie = load_movie(options.movie, options.duration)
    frames = stimulus_of(movie).sizes.get(v.TIME, 0)
    say(f"model {net.name}, movie {options.movie} with {frames} frames")
    analysis = analyse_retina(
        net,
        movie,
        layers=options.layers,
        target=options.target,
        method=method,
        expansion=options.expansion,
        seed=options.seed,
        device=options.device,
        out=options.out,
        progress=not options.quiet,
    )
    page = write_report(analysis, options.out, settings={"command": _command(options)})
    say(_farewell(page, analysis.files, time.monotonic() - start))


def _farewell(page: Path, results: Sequence[str], seconds: float) -> str:
    return (
        f"\ndone in {seconds:.0f} s; look at\n"
        f"  {page.resolve()}\n"
        f"results beside it: {', '.join(results)}\n"
        f'in Python: import neurocodec as nc; nc.open("{page.parent / results[0]}")'
    )


def _command(options: argparse.Namespace) -> str:
    """Write the options that differ from the defaults as a command line."""
    standard = vars(parser().parse_args(["retina"]))
    given = {k: x for k, x in vars(options).items() if x != standard[k] and k not in _SILENT}
    words = ["neurocodec", "retina"]
    for name, value in given.items():
        words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return shlex.join(words)


_SILENT: Final = {"quiet", "run", "out"}
"""Options that do not change what is computed."""


def _device(name: str | None) -> str | None:
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


def _method(options: argparse.Namespace) -> Any:
    from neurocodec.nn import methods  # noqa: PLC0415

    if options.method == METHODS[0]:
        return methods.IntegratedGradients(steps=options.steps or STEPS)
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


def load_movie(name: str, duration: float | None = None) -> Any:
    """Load a bundled movie, or one from a file.

    Parameters
    ----------
    name
        A name of `neurocodec.zoo.datasets_available`, or a `.nc` or `.zarr` file that `nc.save`
        wrote: a movie (time, y, x), or a Dataset with one as `stimulus`.
    duration
        Seconds; everything where None.

    Raises
    ------
    InputError
        Where there is no such movie, or it is shorter than `duration`.
    StorageError
        Where the file cannot be read.
    """
    from neurocodec import storage, zoo  # noqa: PLC0415

    if duration is not None and not duration > 0:
        raise InputError(came=f"--duration {duration:g}", expected="a number of seconds above 0")
    known = zoo.datasets_available()
    if name in known:
        return zoo.load_dataset(name, duration=duration)
    if Path(name).suffix not in MOVIES:
        error = unknown_name("movie", name, known)
        raise InputError(
            came=error.came,
            expected=f"{error.expected}, or a {' or '.join(MOVIES)} file written by nc.save",
            hint=f"--movie {known[0]}" if known else "",
        )
    return _cut(storage.open(name), name, duration)


def _cut(movie: Any, name: str, duration: float | None) -> Any:
    if duration is None:
        return movie
    if v.TIME not in getattr(movie, "coords", ()):
        raise InputError(came=f"--duration for {name!r}", expected="a movie with times")
    times = movie[v.TIME].values
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    if duration > times[-1] - times[0] + 1.5 * step:
        raise InputError(
            came=f"--duration {duration:g} of {name!r}",
            expected=f"at most {times[-1] - times[0] + step:g} seconds, the length of the movie",
        )
    return movie.sel({v.TIME: times < times[0] + duration - step / 2})


def _info(options: argparse.Namespace) -> None:
    """Print what a result file is."""
    from neurocodec import storage  # noqa: PLC0415
    from neurocodec.description import describe  # noqa: PLC0415

    print(f"{options.file}: {describe(storage.open(options.file))}")


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Let OpenMP threads sleep while they wait, as long as torch is not loaded yet.

    By default they spin: where other programs want the same cores, the analysis then takes eight
    times as long (measured: 10 s of movie on 2 cores at load 4, 20 s instead of 164 s).
    """
    before = os.environ.get(WAIT_POLICY)
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            del os.environ[WAIT_POLICY]


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show warnings as one line, without the line of code that they come from."""

    def show(message: Warning | str, *_where: object, **_more: object) -> None:
        print(f"neurocodec: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
