"""The search for the hidden unit that goes with each recorded trace, streamed over the movie."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from typing import Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec.engine.samples import Samples, bar
from neurocodec.interneurons.activations import activations
from neurocodec.interneurons.views import Shape, View, move_stimulus
from neurocodec.kernels.lagged import HALVES, Choice, HalfSums, LaggedSums
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer

MEMORY: Final = 3 * 2**29
"""Bytes that the sums of one pass over the movie may take: sets how many shifts go together."""

SINGLE: Final = -1
Key: TypeAlias = tuple[int, str]
"""Number of the view in which units are pooled, `SINGLE` for units as they are, and their name."""


@dataclass(frozen=True)
class Group:
    """What one pass over the movie takes the sums of."""

    shifts: NDArray[np.intp]  # of the recording, for the network
    others: range  # numbers of the networks beside, for the recording as it is


@dataclass(frozen=True)
class Search:
    """What is searched, and how."""

    traces: NDArray[np.float64]  # (time, trace) while the model responds
    halves: NDArray[np.int8]  # of every time, as `interleaved_halves` gives them
    lags: NDArray[np.intp]  # in frames
    shifts: NDArray[np.intp]  # circular, for the chance level, in frames
    views: list[View]  # ways to look at the units, the stimulus as it is first
    signed: bool  # whether only positive correlations count
    batch_size: int  # times that are computed together
    progress: bool

    @property
    def passes(self) -> list[list[int]]:
        """Numbers of the views that share a stimulus, and so a pass over the movie."""
        places = [(view.dy, view.dx) for view in self.views]
        return [[i for i, p in enumerate(places) if p == place] for place in dict.fromkeys(places)]

    def groups(
        self,
        units: int,  # number of all
        largest: int,  # number of those of the largest layer
        others: int = 0,  # networks that are searched beside, in the recording as it is
    ) -> list[Group]:
        """What goes together in a pass over the movie; first the recording as it is."""
        # two halves of every layer; of one layer at a time, the same pooled, and correlations
        one = 4 * (2 * units + 3 * largest) * self.traces.shape[1] * len(self.lags)
        every = np.concatenate([np.zeros(1, np.intp), self.shifts])
        some = max(1, MEMORY // max(one, 1))
        # shifts of one network and other networks are alike to the memory: one list, cut in order
        parts = [range(i, i + some) for i in range(0, len(every) + others, some)]
        return [
            Group(
                every[part.start : part.stop],
                range(max(0, part.start - len(every)), min(max(0, part.stop - len(every)), others)),
            )
            for part in parts
        ]


@dataclass
class UnitMap:
    """Correlation of every trace with every unit over all the time, at its best lag."""

    correlation: NDArray[np.float32]  # (trace, unit) at the lag and view of the best unit
    best: NDArray[np.float64]  # correlation with that unit; its size where no sign counts
    unit: NDArray[np.intp]  # which it is, and where it was best
    lag: NDArray[np.intp]
    view: NDArray[np.intp]

    @classmethod
    def of(cls, sums: LaggedSums, *, signed: bool) -> UnitMap:
        """Read it off the sums."""
        found = sums.pooled()
        traces, lags, units = found.shape
        size = found if signed else np.abs(found)
        lag, unit = np.divmod(size.reshape(traces, lags * units).argmax(axis=1), units)
        rows = np.arange(traces)
        best = size[rows, lag, unit].astype(np.float64)
        at_lag = np.where(sums.varies, found[rows, lag], np.nan).astype(np.float32)
        return cls(at_lag, best, unit, lag, np.zeros(traces, np.intp))

    def better(self, other: UnitMap) -> UnitMap:
        """Whichever of two has the better best unit, trace by trace."""
        new = other.best > self.best
        pairs = {name: (vars(other)[name], vars(self)[name]) for name in vars(self)}
        return UnitMap(
            **{
                n: np.where(new[:, None] if a.ndim == 2 else new, a, b)
                for n, (a, b) in pairs.items()
            }
        )


@dataclass
class Found:
    """What was found among the units of one layer, or among its modes."""

    choice: Choice  # on one half, judged on the other; of the recording, then of its shifts
    map: UnitMap  # over all the time, of the recording
    shape: Shape  # of the units: (channel, positions...) or (mode,)


@dataclass(frozen=True)
class Candidates:
    """All that is searched: layers of a network under a movie, and loadings of modes."""

    net: Network
    samples: Samples  # the movie
    layers: Mapping[str, Layer]
    loadings: Mapping[str, NDArray[np.float32]]  # (time, mode) by name; never of moved stimuli
    others: Sequence[Network] = ()  # of the same architecture, with the same layers

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of the units of every layer, and of the modes."""
        with activations(self.net, self.samples, self.layers) as read:
            rows = read(self.samples.batch(0, 1, self.net.device))
            shapes = {alias: x.shape[1:] for alias, x in rows.items()}
        others = range(len(self.others))
        beside = {beside_name(i, alias): x for i in others for alias, x in shapes.items()}
        modes = {name: x.shape[1:] for name, x in self.loadings.items()}
        return shapes | beside | modes

    def blocks(
        self, search: Search, numbers: list[int], group: Group
    ) -> Iterator[tuple[int, int, dict[str, NDArray[np.float32]]]]:
        """First and last time, and activations by name, block by block, in views of one kind."""
        first = search.views[numbers[0]]
        moved = move_stimulus(self.samples, first.dy, first.dx)
        with ExitStack() as stack:
            own = [(None, self.net)] if len(group.shifts) else []
            nets = [*own, *((i, self.others[i]) for i in group.others)]
            reads = [
                (i, stack.enter_context(activations(net, moved, self.layers))) for i, net in nets
            ]
            for start in range(0, len(moved), search.batch_size):
                stop = min(start + search.batch_size, len(moved))
                batch = moved.batch(start, stop, self.net.device)
                maps: dict[str, NDArray[np.float32]] = {}
                for i, read in reads:  # all are shown the same windows
                    rows = read(batch)
                    maps |= rows if i is None else {beside_name(i, k): x for k, x in rows.items()}
                if 0 in numbers and own:
                    maps |= {name: x[start:stop] for name, x in self.loadings.items()}
                yield start, stop, maps


def beside_name(number: int, alias: str) -> str:
    """Name under which the units of a layer of another network are found."""
    return f"/{number}/{alias}"  # no alias has a slash


def search_units(candidates: Candidates, search: Search) -> dict[str, Found]:
    """Search layers, and loadings of modes, for what goes with each trace; found by name."""
    # one pass over the movie, for the recording, its circular shifts and other networks, and more
    # where the sums of a pass would take more than `MEMORY` bytes, however long the movie is
    shapes = candidates.shapes.items()
    sizes = [math.prod(shape) for name, shape in shapes if not name.startswith("/")]
    groups = search.groups(sum(sizes), max(sizes, default=0), len(candidates.others))
    total = len(candidates.samples) * len(groups) * len(search.passes)
    best: dict[str, Found] = {}
    with bar(total, "interneurons", progress=search.progress) as shown:
        for numbers in search.passes:
            look, found = _Look(candidates, search, numbers), dict[str, Found]()
            for group in groups:
                new = look.found(group, shown)
                found |= {n: _joined(found[n], x) if n in found else x for n, x in new.items()}
            best |= {n: _better(best[n], x) if n in best else x for n, x in found.items()}
    return best


class _Look:
    """Passes over one movie, in the views that share its stimulus."""

    def __init__(self, candidates: Candidates, search: Search, numbers: list[int]) -> None:
        self.candidates, self.search, self.numbers = candidates, search, numbers
        self.known: dict[Key, HalfSums] = {}

    def found(self, group: Group, shown: tqdm[NoReturn]) -> dict[str, Found]:
        """Pass over the movie once."""
        sums: dict[str, LaggedSums] = {}
        known = {name for _, name in self.known}
        for start, stop, maps in self.candidates.blocks(self.search, self.numbers, group):
            for name, rows in maps.items():
                if name not in sums:
                    sums[name] = self._sums(name, group)
                centred = sums[name].add(start, rows.reshape(len(rows), -1))
                if name not in known:
                    self._pool(name, start, sums[name].units, centred)
            shown.update(stop - start)
        self.known |= {(SINGLE, name): total.units for name, total in sums.items()}
        return {name: reduce(_better, self._found(name, total)) for name, total in sums.items()}

    def _sums(self, name: str, group: Group) -> LaggedSums:
        search, shape = self.search, self.candidates.shapes[name]
        shifts = np.zeros(1, np.intp) if name.startswith("/") else group.shifts
        units = self.known.get((SINGLE, name), math.prod(shape))
        return LaggedSums(search.traces, search.halves, search.lags, shifts, units)

    def _views(self, name: str) -> Iterator[tuple[int, View | None]]:
        """Views in which these units differ, None for as they are: pooling needs positions."""
        positions = len(self.candidates.shapes[name]) == 3
        for number in self.numbers if positions else self.numbers[:1]:
            view = self.search.views[number]
            yield number, view if positions and view.pooling else None

    def _pool(self, name: str, start: int, units: HalfSums, centred: NDArray[np.float32]) -> None:
        """Take the pooled units of one block, whose spread does not follow from single ones."""
        half = self.search.halves[start : start + len(centred)]
        shape = self.candidates.shapes[name]
        for number, view in self._views(name):
            if view is None:
                continue
            rows = _pooled(view, shape, centred)
            if (number, name) not in self.known:
                mean = np.zeros(units.columns, np.float32) if units.offset is None else units.offset
                self.known[number, name] = HalfSums(rows.shape[1], _pooled(view, shape, mean)[0])
            for h in HALVES:
                self.known[number, name].add(h, rows[half == h])

    def _found(self, name: str, sums: LaggedSums) -> Iterator[Found]:
        """What was found in each view: pooling is linear, so that of sums is the pooled's sums."""
        shape = self.candidates.shapes[name]
        for number, view in self._views(name):
            if view is None:
                yield _found(sums, self.search, number, shape)
            else:
                combine = partial(_pooled, view, shape)
                one = sums.combined(combine, self.known[number, name])
                yield _found(one, self.search, number, shape)


def _pooled(view: View, shape: Shape, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pooled units of rows of units."""
    return view.pool(rows.reshape(-1, *shape))


def _found(sums: LaggedSums, search: Search, number: int, shape: Shape) -> Found:
    """Read what was found off the sums, with places in the whole map."""
    choice, units = Choice.of(sums, signed=search.signed), UnitMap.of(sums, signed=search.signed)
    view = search.views[number]
    kept = view.kept(shape)
    choice.unit, units.unit = kept[choice.unit], kept[units.unit]
    choice.view, units.view = choice.view + number, units.view + number
    units.correlation = units.correlation[:, view.nearest(shape)]
    return Found(choice, units, shape)


def _better(a: Found, b: Found) -> Found:
    return Found(a.choice.better(b.choice), a.map.better(b.map), a.shape)


def _joined(a: Found, b: Found) -> Found:
    """Choices of both; the map is that of the first, the recording as it is."""
    return Found(a.choice.joined(b.choice), a.map, a.shape)
