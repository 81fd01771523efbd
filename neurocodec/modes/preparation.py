"""From labelled rows to what a fit takes: which rows are held out, scale, checks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, warn
from neurocodec.kernels.scores import Moments
from neurocodec.kernels.splits import held_out
from neurocodec.rows.blocks import BLOCK, Fingerprint, Rows, block_size

_log = logging.getLogger(__name__)

_SAMPLE: Final = 2
"""Blocks' worth of held-out rows of a file, at most, that the fit itself is shown after every
epoch; the scores afterwards are of all of them."""
_SMALLEST: Final = 1e-30


@dataclass(frozen=True)
class Prepared:
    """Rows that can be fitted."""

    rows: Rows  # in memory where `resident`, else in a file
    origin: dict[str, Any]  # provenance of what they are part of
    held: NDArray[np.bool_]  # true where a row is held out
    scale: float  # standard deviation over all entries of the training rows, the divisor of rows
    fingerprint: str
    resident: bool  # whether rows and loadings fit into the memory that may be used
    block: int  # rows to read at a time
    reach: float = np.inf  # length of the longest training row, in lengths of the typical one

    def scaled(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows by features, divided by the scale, the inhibitory part turned positive."""
        return np.ascontiguousarray(self.rows.matrix(start, stop) / self.scale, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read rows as `neurocodec.nn.sparse.source.Reader` does."""
        return self.scaled(start, stop)

    def blocks(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """First row, end and scaled rows of each block."""
        for start, stop in self.rows.ranges(self.block):
            yield start, stop, self.scaled(start, stop)

    def select(self, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scaled rows at which `wanted` is true; blocks without any are not read."""
        parts = [
            self.scaled(start, stop)[wanted[start:stop]]
            for start, stop in self.rows.ranges(self.block)
            if wanted[start:stop].any()
        ]
        empty = np.zeros((0, self.rows.features), dtype=np.float32)
        return np.concatenate([empty, *parts])

    def held_sample(self) -> NDArray[np.float32]:
        """Held-out rows: all of them in memory, some at equal distances of a file."""
        if self.resident:
            return self.select(self.held)
        places = np.flatnonzero(self.held)
        wanted = np.zeros(len(self), dtype=bool)
        wanted[places[:: max(1, -(-len(places) // (_SAMPLE * self.block)))]] = True
        return self.select(wanted)


def prepare(
    rows: Rows,
    modes: Callable[[int], int],  # their number for a number of features
    *,
    validation: float,
    seed: int,
    nonnegative: str = "",  # where rows may not be negative: what to type instead
    memory: int | None = None,  # bytes that rows and loadings may take; None: whatever they do
    origin: dict[str, Any] | None = None,
) -> Prepared:
    """Choose the rows to hold out, and look through all rows once: scale, NaN, negative values."""
    count = modes(rows.features)
    width = rows.features + count
    resident = memory is None or 4 * width * len(rows) <= memory
    here = rows.loaded() if resident else rows
    held = held_out(len(here), validation, seed, series=here.dim == v.TIME)
    block = BLOCK if memory is None else block_size(memory, width)
    training, longest, low, text = _look_through(here, held, block)
    scale = _scale(training)
    if nonnegative and low < 0:
        raise InputError(
            came=f"rows down to {low:.3g} for a non-negative dictionary",
            expected="values of at least 0 (at most 0 for the inhibitory part)",
            hint=nonnegative,
        )
    _report(training, count)
    if resident:
        text = labels.fingerprint(here.array)
    energy = float((training.squares + training.count * training.mean**2).sum())
    reach = longest / np.sqrt(energy / training.count)
    return Prepared(here, origin or {}, held, scale, text, resident, block, reach)


def require_reached(prepared: Prepared, l1_loading: float) -> None:
    """Refuse a penalty that no row is long enough for, so that all solved loadings would be 0."""
    if l1_loading >= prepared.reach:
        raise InputError(
            came=f"l1_loading={l1_loading:g}, with which no mode is ever active: the longest row "
            f"to fit is {prepared.reach:.3g} times as long as the typical one",
            expected=f"below {prepared.reach:.3g}; far below 1 for modes that are parts of rows",
            hint="nc.SparseModes(l1_loading=0.045)",
        )


def _look_through(
    rows: Rows, held: NDArray[np.bool_], block: int
) -> tuple[Moments, float, float, str]:
    """Moments and greatest length of the training rows, least value and text of all rows."""
    training, longest, low, digest = Moments(rows.features), 0.0, np.inf, Fingerprint(rows)
    for start, stop in rows.ranges(block):
        matrix = rows.matrix(start, stop)
        kept = matrix[~held[start:stop]]
        training.add(kept)
        squares = np.einsum("ij,ij->i", kept, kept, dtype=np.float64)
        longest = max(longest, float(np.sqrt(squares.max(initial=0.0))))
        low = min(low, float(matrix.min(initial=np.inf)))
        digest.add(matrix)
    return training, longest, low, digest.text


def _scale(training: Moments) -> float:
    """One standard deviation over all entries."""
    if training.count < 2 or not training.mean.size:
        raise InputError(
            came=f"{training.count} rows of {training.mean.size} channels to fit",
            expected="at least 2 rows and 1 channel, besides the rows held out",
        )
    scale = training.pooled_deviation
    if scale == 0:
        raise InputError(
            came=f"rows that are all {training.low[0]:.3g}",
            expected="rows that vary",
            hint="another layer, sign or target; contributions of a silent network are all zero",
        )
    if not _SMALLEST <= scale <= 1 / _SMALLEST:
        raise InputError(
            came=f"rows with a standard deviation of {scale:.3g}",
            expected=f"{_SMALLEST:g} to {1 / _SMALLEST:g}, as results are float32",
            hint="modes.fit(rows / abs(rows).max())",
        )
    return scale


def _report(training: Moments, modes: int) -> None:
    constant = int((~training.varies).sum())
    if constant:
        _log.info("%d of %d channels are constant: no part of R2", constant, training.mean.size)
    if training.count < modes:
        warn(
            f"{training.count} rows to fit are fewer than {modes} modes, so that each mode can "
            "be a row; fit more rows, or a smaller expansion"
        )
