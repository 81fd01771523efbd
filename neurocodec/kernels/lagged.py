"""Traces against thousands of units at several lags: sums over blocks of time, best unit, chance.

A recorded trace is compared with every unit of a model. The largest of thousands of correlations
is large by chance, so that the unit is chosen on one half of the time and judged on the other:
times are cut into halves (`interleaved_halves`), sums of every column (`HalfSums`) and of products
(`LaggedSums`) are taken block by block, also for shifted traces (`circular_shifts`), and from them
come the best unit of a trace (`Choice`) and how often chance is as good (`exceedance`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import sgemm

from neurocodec.errors import InputError
from neurocodec.kernels.scores import CONSTANT

HALVES: Final = (0, 1)
GAP: Final = -1
"""Label of the times that belong to neither half."""

Combine = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def interleaved_halves(
    size: int,  # times
    block: int,  # times in a block, gap included
    gap: int,  # left out between two blocks: as many as one response looks back
    margin: int = 0,  # left out at either end
) -> NDArray[np.int8]:
    """Half (0 or 1; -1 for gaps) of each time: blocks belong to the two halves in turn."""
    if block <= gap or size < 2 * block or size <= 2 * margin:
        raise InputError(
            came=f"{size} responses for blocks of {block}, of which {gap} are left out",
            expected="at least two blocks, each longer than what is left out between two",
            hint="a longer recording, or shorter blocks (block=..., in seconds)",
        )
    at = np.arange(size)
    half = ((at // block) % 2).astype(np.int8)
    # Neighbouring times are nearly copies of each other: halves of single frames would not be
    # independent.
    half[(at >= block) & (at % block < gap)] = GAP
    half[:margin] = half[size - margin :] = GAP
    return half


def circular_shifts(
    size: int,  # times
    count: int,
    margin: int,  # smallest shift, in either direction
    seed: int,  # of the place of the first shift
) -> NDArray[np.intp]:
    """Shifts of a recording for its chance level, spread evenly over its length."""
    span = size - 2 * margin
    if count > max(span, 0):
        raise InputError(
            came=f"{count} circular shifts of {size} responses, none shorter than {margin}",
            expected=f"at most {max(span, 0)} for a recording of this length",
            hint=f"a longer recording, or chance={max(span, 0)}",
        )
    first = np.random.default_rng(seed).random()
    return np.asarray(margin + (np.arange(count) + first) * span / max(count, 1), dtype=np.intp)


class HalfSums:
    """Sum and sum of squares of every column in each half."""

    def __init__(self, columns: int, offset: ArrayLike | None = None) -> None:
        self.columns = columns
        # near the means, so that no digits are lost; that of the first rows where None
        self.offset = None if offset is None else np.asarray(offset, dtype=np.float32)
        self.count = np.zeros(2)
        self.total, self.squares = np.zeros((2, 2, columns))

    def centred(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Return rows (time, column) without the offset."""
        x = np.asarray(rows, dtype=np.float32)
        if self.offset is None:
            self.offset = x.mean(axis=0)
        return np.asarray(x - self.offset)

    def add(self, half: int, rows: NDArray[np.floating]) -> None:
        """Take rows of one half, without the offset."""
        self.count[half] += len(rows)
        self.total[half] += rows.sum(axis=0, dtype=np.float64)
        self.squares[half] += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)

    def mean(self, halves: list[int]) -> NDArray[np.float64]:
        """Mean of every column in some halves, without the offset."""
        return np.asarray(self.total[halves].sum(axis=0) / max(self.count[halves].sum(), 1))

    def spread(self, halves: list[int]) -> NDArray[np.float64]:
        """Root of the sum of squared deviations in some halves; 0 where it is rounding noise."""
        count, total = max(self.count[halves].sum(), 1), self.total[halves].sum(axis=0)
        energy = self.squares[halves].sum(axis=0)
        rest = energy - total**2 / count
        offset = 0.0 if self.offset is None else self.offset.astype(np.float64)
        size = energy + 2 * offset * total + count * offset**2
        # beside large columns, a Fourier transform leaves noise where there is nothing
        floor = CONSTANT * np.maximum(size, rest.max(initial=0.0))
        return np.asarray(np.sqrt(np.where(rest > floor, rest, 0.0)))


class LaggedSums:
    """Sums that give the correlation of every unit with every trace, lag, shift and half."""

    def __init__(
        self,
        traces: ArrayLike,  # (time, trace)
        halves: NDArray[np.int8],  # of every time, as `interleaved_halves` gives them
        lags: NDArray[np.intp],  # in frames: the unit at t goes with the trace at t + lag + shift
        shifts: NDArray[np.intp],  # circular, in frames
        units: int | HalfSums,  # how many, or their sums where an earlier pass has them
    ) -> None:
        y = np.asarray(traces, dtype=np.float64)
        centred = y - y.mean(axis=0)
        size = np.abs(centred).max(axis=0)
        self.traces = np.asarray(centred / np.where(size > 0, size, 1), dtype=np.float32)
        self.halves, self.lags, self.shifts = halves, np.asarray(lags), np.asarray(shifts)
        self._known = isinstance(units, HalfSums)
        self.units = units if isinstance(units, HalfSums) else HalfSums(units)
        count = self.units.columns
        self.shape = (len(self.shifts), self.traces.shape[1], len(self.lags), count)
        columns = math.prod(self.shape[:3])
        self._traces = HalfSums(columns, np.zeros(columns))
        # all memory that is taken, however long the recording is;
        # Fortran order, and units first, so that BLAS adds each product in place
        self._cross = [np.zeros((count, columns), np.float32, order="F") for _ in HALVES]

    def add(self, start: int, rows: ArrayLike) -> NDArray[np.float32]:
        """Take activations (time, unit) from `start` on; return them less the units' offsets."""
        x = self.units.centred(rows)
        half = self.halves[start : start + len(x)]
        for h in HALVES:
            at = np.flatnonzero(half == h)
            if at.size:
                self._add(h, x[at], self._columns(start + at))
        return x

    def _columns(self, times: NDArray[np.intp]) -> NDArray[np.float32]:
        """Traces at (time, shift, trace, lag), the last three as one axis."""
        at = times[:, None, None] + self.shifts[:, None] + self.lags
        found = self.traces[at % len(self.traces)]
        return np.ascontiguousarray(found.swapaxes(2, 3)).reshape(len(times), -1)

    def _add(self, half: int, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        self._cross[half] = sgemm(
            1.0, x.T, y.T, trans_b=True, beta=1.0, c=self._cross[half], overwrite_c=True
        )
        self._traces.add(half, y)
        if not self._known:
            self.units.add(half, x)

    def combined(
        self,
        combine: Combine,  # (row, unit) to (row, new unit)
        units: HalfSums,  # of what `combine` makes of what `add` returned
    ) -> LaggedSums:
        """Sums of linear combinations of these units, without another pass."""
        made = copy(self)
        made.units, made.shape = units, (*self.shape[:3], units.columns)
        made._cross = [np.ascontiguousarray(combine(cross.T)).T for cross in self._cross]  # noqa: SLF001
        return made

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether a unit varies, in either half."""
        return np.asarray((np.stack([self.units.spread([h]) for h in HALVES]) > 0).any(axis=0))

    def correlation(self, half: int) -> NDArray[np.float32]:
        """Pearson correlation (shift, trace, lag, unit) in one half; 0 where either is constant."""
        return self._normalised(self._cross[half].copy("F"), [half]).reshape(self.shape)

    def pooled(self) -> NDArray[np.float32]:
        """Pearson correlation (trace, lag, unit) in both halves together, for the first shift."""
        columns = math.prod(self.shape[1:3])
        cross = np.asfortranarray(sum(cross[:, :columns] for cross in self._cross))
        return self._normalised(cross, list(HALVES)).reshape(self.shape[1:])

    def _normalised(self, cross: NDArray[np.float32], halves: list[int]) -> NDArray[np.float32]:
        """Correlations (column, unit) from sums of products (unit, column), in their place."""
        found = cross.T
        totals = self.units.total[halves].sum(axis=0).astype(np.float32)
        means = self._traces.mean(halves)[: len(found)]
        for i, mean in enumerate(means.astype(np.float32)):  # no second array of this size
            found[i] -= mean * totals
        found *= _inverse(self._traces.spread(halves))[: len(found), None]
        found *= _inverse(self.units.spread(halves))
        return np.clip(found, -1.0, 1.0, out=found)

    def at(
        self, half: int, column: NDArray[np.intp], unit: NDArray[np.intp]
    ) -> NDArray[np.floating]:
        """Correlations in one half at single columns (shift, trace and lag as one) and units."""
        total = self.units.total[half][unit] * self._traces.mean([half])[column]
        units, traces = (_inverse(sums.spread([half])) for sums in (self.units, self._traces))
        scale = units[unit] * traces[column]
        found: NDArray[np.floating] = np.clip(
            (self._cross[half][unit, column] - total) * scale, -1.0, 1.0
        )
        return found


def _inverse(spread: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0).astype(np.float32)


@dataclass
class Choice:
    """Best unit and lag of every trace, chosen on one half and judged on the other."""

    # all of shape (half, shift, trace), by the half on which was chosen
    selected: NDArray[np.floating]  # correlation there; its size if not `signed`
    held_out: NDArray[np.floating]  # correlation on the other half, times the sign that it had here
    lag: NDArray[np.intp]  # positions of the lag and of the unit
    unit: NDArray[np.intp]
    view: NDArray[np.intp]  # from which of several sets of units; 0 until several are compared

    @classmethod
    def of(cls, sums: LaggedSums, *, signed: bool = True) -> Choice:
        """Choose from all units and lags: the largest correlation, or size if not `signed`."""
        parts = [_best(sums, half, signed=signed) for half in HALVES]
        selected, held_out, lag, unit = (np.stack(p) for p in zip(*parts, strict=True))
        return cls(selected, held_out, lag, unit, np.zeros_like(unit))

    def better(self, other: Choice) -> Choice:
        """Whichever of two has the larger correlation where it was chosen, one by one."""
        new = other.selected > self.selected
        pairs = {name: (vars(other)[name], vars(self)[name]) for name in vars(self)}
        return Choice(**{name: np.where(new, *pair) for name, pair in pairs.items()})

    def joined(self, other: Choice) -> Choice:
        """Both, one after the other along the axis of the shifts."""
        return Choice(
            **{n: np.concatenate([vars(self)[n], vars(other)[n]], axis=1) for n in vars(self)}
        )


def _best(
    sums: LaggedSums, half: int, *, signed: bool
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.intp], NDArray[np.intp]]:
    shifts, traces, lags, units = sums.shape
    found = sums.correlation(half).reshape(shifts, traces, lags * units)
    size = found if signed else np.abs(found)
    best = size.argmax(axis=2)
    selected = np.take_along_axis(found, best[..., None], axis=2)[..., 0].astype(np.float64)
    lag, unit = np.divmod(best, units)
    column = np.arange(shifts * traces).reshape(shifts, traces) * lags + lag
    polarity = np.where(selected < 0, -1.0, 1.0) if not signed else 1.0
    return polarity * selected, polarity * sums.at(1 - half, column, unit), lag, unit


def exceedance(
    observed: NDArray[np.floating],  # (trace,)
    null: NDArray[np.floating],  # (shift, trace)
) -> NDArray[np.float64]:
    """p-values of permutation tests: (1 + number of null >= observed) / (1 + number of null)."""
    return np.asarray((1 + (null >= observed).sum(axis=0)) / (1 + len(null)))
