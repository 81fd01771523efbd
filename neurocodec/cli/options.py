"""What commands share: methods and their steps, the command written again, a farewell."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neurocodec.analyses.options import METHODS
from neurocodec.errors import InputError

_SILENT: Final = {"quiet", "run", "out"}
"""Options that do not change what is computed."""


def expansion(text: str) -> float | str:
    """Type of an option: modes per channel, or ``"auto"``."""
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, or auto") from None


def steps(text: str) -> int | str:
    """Type of an option: a number of steps along a path, or ``"auto"``."""
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1, or auto")
    return int(text)


def method_named(options: argparse.Namespace, steps: int) -> Any:
    """Make the method that `method`, `steps` and `seed` ask for; `steps` where none are given."""
    from neurocodec.nn.attribution import methods  # noqa: PLC0415 - torch only where it is needed

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


def command_line(
    options: argparse.Namespace, name: str, add: Callable[[argparse.ArgumentParser], None]
) -> str:
    """Write the options that differ from the defaults of a command as a command line."""
    blank = argparse.ArgumentParser()
    add(blank)
    words = ["neurocodec", name]
    for key, value in vars(options).items():
        if key not in _SILENT and value != blank.get_default(key):
            given = [] if value is True else value if isinstance(value, list) else [value]
            words += [f"--{key.replace('_', '-')}", *map(str, given)]
    return shlex.join(words)


def farewell(page: Path, results: Sequence[str], seconds: float) -> str:
    """Say where the report and the files beside it are."""
    return (
        f"\ndone in {seconds:.0f} s; look at\n"
        f"  {page.resolve()}\n"
        f"results beside it: {', '.join(results)}\n"
        f'in Python: import neurocodec as nc; nc.open("{page.parent / results[0]}")'
    )
