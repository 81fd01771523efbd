"""What the benchmark of modes reports of a decomposition: the same figures for every competitor."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import neurocodec as nc
from neurocodec.kernels.matching import match_modes
from neurocodec.kernels.scores import r2, r2_pooled

Matrix = NDArray[Any]
Model = TypeVar("Model")
Row = dict[str, str | float]
"""One line of a table: heading -> figure."""

REPLICATED = 0.9
"""Least cosine at which a mode counts as found again."""


class Decomposition(Protocol):
    """What is scored: modes, and loadings of any rows, with rows ~ loadings @ dictionary."""

    @property
    def dictionary(self) -> Matrix:
        """Modes (mode, channel)."""

    def loadings(self, rows: Matrix, /) -> Matrix:
        """Loadings (rows, modes)."""


class Ours:
    """Fitted `nc.SparseModes` in the form that is scored.

    Parameters
    ----------
    rows
        (rows, channels).
    dim
        "time" or "stimulus": whether blocks of rows or single rows are held out inside the fit.
    settings
        Of `nc.SparseModes`; its defaults for all others.
    """

    def __init__(self, rows: Matrix, dim: str, **settings: Any) -> None:
        self._dim = dim
        self.modes = nc.SparseModes(progress=False, **settings).fit(self._array(rows))

    @property
    def dictionary(self) -> Matrix:
        """Modes (mode, channel)."""
        return np.asarray(self.modes.dictionary.values)

    def loadings(self, rows: Matrix) -> Matrix:
        """Loadings (rows, modes)."""
        return np.asarray(self.modes.transform(self._array(rows)).values)

    def _array(self, rows: Matrix) -> xr.DataArray:
        return xr.DataArray(rows.astype("float32"), dims=(self._dim, "channel"))


def rebuilt(found: Decomposition, rows: Matrix) -> Matrix:
    """Reconstruction of rows, shape (rows, channels)."""
    return np.asarray(found.loadings(rows) @ found.dictionary)


def alive_modes(found: Decomposition, rows: Matrix) -> NDArray[np.bool_]:
    """Whether each mode is active on some of the rows."""
    return np.asarray((found.loadings(rows) != 0).any(axis=0))


def quality(found: Decomposition, fitted: Matrix, held: Matrix) -> Row:
    """R2, number of active modes and part of the modes alive.

    R2 and L0 are of the rows `held`, which no fit has seen; a mode is alive that is active on
    some row of either part.
    """
    loadings = found.loadings(held)
    made = loadings @ found.dictionary
    alive = alive_modes(found, np.concatenate([fitted, held]))
    l0 = float((loadings != 0).sum(axis=1).mean())
    return {
        "R2": r2(held, made),
        "R2 pooled": r2_pooled(held, made),
        "L0": l0,
        "L0 / modes": l0 / len(alive),
        "modes": len(alive),
        "alive": float(alive.mean()),
    }


def replication(dictionaries: Sequence[Matrix]) -> Row:
    """How many modes of a fit another fit has too, as the mean over all ordered pairs of fits.

    Parameters
    ----------
    dictionaries
        Alive modes (mode, channel) of fits with different seeds. Modes are matched one to one by
        the Hungarian method; a mode without partner counts as not found. NaN where a fit has no
        mode that is alive.
    """
    if min(map(len, dictionaries)) == 0:
        return {"replicated": float("nan"), "median cosine": float("nan")}
    matched = [match_modes(a, b)[1] for a, b in permutations(dictionaries, 2)]
    return {
        "replicated": float(np.mean([(m >= REPLICATED).mean() for m in matched])),
        "median cosine": float(np.mean([np.median(m) for m in matched])),
    }


def class_correlation(loadings: Matrix, classes: NDArray[np.integer]) -> float:
    """Median over modes of the largest correlation with a class indicator (CODEC eq. 35).

    Parameters
    ----------
    loadings
        (rows, modes); a mode that is constant on these rows has the correlation 0.
    classes
        Class of each row.
    """
    indicators = (classes[:, None] == np.unique(classes)).astype(float)
    return float(np.median((_unit(loadings).T @ _unit(indicators)).max(axis=1)))


def _unit(columns: Matrix) -> Matrix:
    centred = columns - columns.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12))


def averaged(rows: Sequence[Row]) -> Row:
    """Mean of each figure over the rows that have it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in keys}


def table(rows: Sequence[Row]) -> str:
    """Rows as a markdown table; a row without a figure has an empty cell."""
    headings = list(dict.fromkeys(key for row in rows for key in row))
    lines = [headings, ["---"] * len(headings)]
    lines += [[as_text(row.get(key, "")) for key in headings] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_text(value: str | float) -> str:
    """Figure with three digits."""
    return value if isinstance(value, str) else f"{value:.3g}"


def machine(device: str) -> Row:
    """What the figures were measured on and with."""
    cuda = device.startswith("cuda")
    return {
        "processor": torch.cuda.get_device_name(device) if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "neurocodec": nc.__version__,
    }


def _processor() -> str:
    """Name of the processor; `platform.processor` does not know it on Linux."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text("utf-8").splitlines() if described.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def timed(make: Callable[[], Model]) -> tuple[Model, float]:
    """Make something, and the seconds it took."""
    start = time.perf_counter()
    made = make()
    return made, time.perf_counter() - start


def say(row: Row) -> None:
    """Show a line as soon as it is measured; the table is printed at the end."""
    print("  ".join(f"{k} {as_text(x)}" for k, x in row.items()), file=sys.stderr, flush=True)
