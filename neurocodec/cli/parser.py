"""The command line: ``neurocodec retina`` and ``images`` analyse, ``info`` looks at a file."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import neurocodec
from neurocodec.cli.concepts import DESCRIPTION as CONCEPTS
from neurocodec.cli.concepts import add_concepts
from neurocodec.cli.fit_retina import DESCRIPTION as FIT_RETINA
from neurocodec.cli.fit_retina import add_fit_retina
from neurocodec.cli.images import DESCRIPTION as IMAGES
from neurocodec.cli.images import add_images
from neurocodec.cli.retina import DESCRIPTION as RETINA
from neurocodec.cli.retina import add_retina
from neurocodec.cli.superposition import DESCRIPTION as SUPERPOSITION
from neurocodec.cli.superposition import add_superposition
from neurocodec.cli.tension import DESCRIPTION as TENSION
from neurocodec.cli.tension import add_tension
from neurocodec.errors import NeurocodecError, StorageError

DONE: Final = 0
FAILED: Final = 2
INTERRUPTED: Final = 130

WAIT_POLICY: Final = "OMP_WAIT_POLICY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command: 0 where all went well, 2 after an error, 130 after Ctrl-C."""
    options = parser().parse_args(argv)
    try:
        with _short_warnings(), _patient_threads():
            options.run(options)
            sys.stdout.flush()
    except BrokenPipeError:  # what reads the output, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except NeurocodecError as error:
        print(f"neurocodec: {error}", file=sys.stderr)
        if isinstance(error, StorageError) and str(vars(options).get("out")) in str(error):
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
    retina = commands.add_parser("retina", help="analyse a retina model", description=RETINA)
    add_retina(retina)
    images = commands.add_parser(
        "images", help="analyse a network that classifies images", description=IMAGES
    )
    add_images(images)
    tense = commands.add_parser(
        "tension", help="find images that excite and inhibit at once", description=TENSION
    )
    add_tension(tense)
    concepts = commands.add_parser(
        "concepts", help="find concept vectors and what they make", description=CONCEPTS
    )
    add_concepts(concepts)
    toys = commands.add_parser(
        "superposition", help="train toy models of superposition", description=SUPERPOSITION
    )
    add_superposition(toys)
    fit = commands.add_parser(
        "fit-retina", help="fit a retina model to a recording", description=FIT_RETINA
    )
    add_fit_retina(fit)
    info = commands.add_parser("info", help="say what a result file is")
    info.add_argument("file", type=Path, help="a .nc or .zarr file that neurocodec wrote")
    info.set_defaults(run=_info)
    return top


def _info(options: argparse.Namespace) -> None:
    """Print what a result file is."""
    from neurocodec import storage  # noqa: PLC0415
    from neurocodec.reports.description import describe  # noqa: PLC0415

    print(f"{options.file}: {describe(storage.open(options.file))}")


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Let OpenMP threads sleep while they wait, as long as torch is not loaded yet."""
    # By default they spin: where other programs want the same cores, the analysis then takes eight
    # times as long (measured: 10 s of movie on 2 cores at load 4, 20 s instead of 164 s).
    before = os.environ.get(WAIT_POLICY)
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(WAIT_POLICY, None)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show warnings as one line, without the line of code that they come from."""

    def show(message: Warning | str, *_where: object, **_more: object) -> None:
        print(f"neurocodec: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
