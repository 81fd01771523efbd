"""``neurocodec superposition``: toy models whose features share hidden units."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

DESCRIPTION: Final = (
    "Train toy models of superposition from many seeds at once, and say how far the features of "
    "the best, and of all, are apart. Writes toys.nc and toys.png to a folder."
)


def add_superposition(command: argparse.ArgumentParser) -> None:
    """Add the options of `neurocodec superposition` to its parser."""
    add = command.add_argument
    add("--kind", choices=("absolute", "xor"), default="absolute", help="(%(default)s)")
    add(
        "--hidden",
        type=int,
        nargs="+",
        default=[12, 10, 8, 6],
        metavar="N",
        help="units (12 10 8 6)",
    )
    add("--seeds", type=int, default=1000, metavar="N", help="networks of each (%(default)s)")
    add("--steps", type=int, default=20_000, metavar="N", help="of training (%(default)s)")
    add("--out", type=Path, default=Path("neurocodec-superposition"), help="folder (%(default)s)")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_superposition)


def run_superposition(options: argparse.Namespace) -> None:
    """Train, write results and figure to a folder, and say how good they are."""
    from neurocodec.plotting import plot_toys  # noqa: PLC0415 - torch and matplotlib if needed
    from neurocodec.simulation import superposition  # noqa: PLC0415
    from neurocodec.storage.files import existing_folder  # noqa: PLC0415

    start = time.monotonic()
    say: Callable[[str], None] = (lambda _text: None) if options.quiet else print
    folder = existing_folder(options.out)
    trained = superposition.train(
        options.kind,
        hidden=options.hidden,
        seeds=options.seeds,
        steps=options.steps,
        out=folder / "toys.nc",
        progress=not options.quiet,
    )
    reference = superposition.reference(options.kind)
    plot_toys(trained, reference).savefig(folder / "toys.png", dpi=144)
    say("units, loss of the best (median of all), its error, its share off the diagonal")
    for size in options.hidden:
        one = trained.to_dataset().sel(hidden=size)
        best = int(np.argmin(one.expected_loss.values))
        few = one.isel(seed=best).sel(active=slice(0, 1))
        best_loss, median = float(one.expected_loss[best]), float(one.expected_loss.median())
        error, share = float(few.largest_error.max()), float(one.off_diagonal[best])
        say(f"{size:5}  {best_loss:.2g} ({median:.2g})  {error:.2g}  {share:.2f}")
    say(f"done in {time.monotonic() - start:.0f} s; {folder / 'toys.nc'}, {folder / 'toys.png'}")
