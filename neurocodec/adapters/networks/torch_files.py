"""Files of `torch.save`, read without running anything that they ask to run."""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy._core import multiarray

from neurocodec.errors import StorageError
from neurocodec.nn.settings import one_at_a_time

NUMPY: Final[list[Any]] = [
    np.ndarray,
    np.dtype,
    # Files written before numpy 2.0 name the package by its older name.
    *(
        (getattr(multiarray, name), f"{package}.multiarray.{name}")
        for package in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    ),
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"),
]
"""What rebuilds numpy's numbers, texts and arrays of them; arrays of objects are not among it."""

WANTED: Final = re.compile(r"GLOBAL (\S+)")
"""How torch names what a pickle wanted to import."""

DAMAGED: Final = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
    MemoryError,
    AssertionError,
    ImportError,
    OSError,
    struct.error,
    tarfile.TarError,
)
"""What torch raises, besides `pickle.UnpicklingError`, on a file that is cut off or garbled."""


def load_torch_file(path: Path, also: Sequence[Any] = ()) -> Any:
    """Read a file of `torch.save`: tensors (to the CPU), plain values, numpy arrays of numbers.

    `also` are further classes that may be in it, which hold values and run nothing.
    """
    # Of any version of torch but the oldest (tar) format. Nothing that it asks for is imported or
    # run.
    _check_opens(path)
    try:
        with (
            one_at_a_time,
            torch.serialization.safe_globals([*NUMPY, *also]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except DAMAGED as error:
        raise _not_whole(path, f"{type(error).__name__}: {error}") from error


def _check_opens(path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise StorageError(
            came=f"{path} cannot be opened: {error}",
            expected="a checkpoint file that was written by torch.save",
        ) from error


def _refusal(path: Path, message: str) -> StorageError:
    found = WANTED.search(message)
    wanted = [found.group(1)] if found else wanted_imports(path)
    if not wanted and "but got <class" not in message:
        return _not_whole(path, message.replace("\n", " ")[-200:])
    names = ", ".join(wanted) or message.partition("but got ")[2].partition("\n")[0]
    return StorageError(
        came=f"{path} is a pickle that wants to import {names}; nothing of it was run",
        expected="tensors, plain Python values and numpy arrays of numbers",
        hint="torch.save({**checkpoint}, path) with plain values, if you trust who wrote it",
    )


def _not_whole(path: Path, reason: str) -> StorageError:
    first = reason.partition(". ")[0].strip()
    return StorageError(
        came=f"{path} is cut off, damaged or not a checkpoint ({first[:200]})",
        expected="a whole file that was written by torch.save",
        hint="copy or download the file again",
    )


def wanted_imports(path: Path) -> list[str]:
    """Dotted names that a bare pickle file would import, in order, without loading it."""
    names: list[str] = []
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(path.read_bytes()):
            if code.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except (ValueError, IndexError, UnicodeDecodeError):
        return names
    return names
