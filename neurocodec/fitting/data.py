"""What a ganglion-cell model is fitted to and judged on, cut out of a recording."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.arguments import number, one_of
from neurocodec.cells.explained import names_of
from neurocodec.errors import InputError, warn
from neurocodec.fitting.parts import (
    frame_rate_of,
    frames_of,
    has_responses,
    is_counted,
    require_alike,
    responses_of,
)
from neurocodec.fitting.segments import (
    SEGMENTS,
    Segments,
    Stretch,
    cut_into_blocks,
    hold_out_ends,
    select_by_number,
    select_matching,
    stretches_of,
)
from neurocodec.fitting.trials import Trials, trials_of
from neurocodec.labels import require_free_names
from neurocodec.storage.encoding import storable_coords

RELIABLE: Final = "reliable"
SCORES: Final = (
    "correlation",
    "correlation_ln",
    "ceiling",
    "normalized_correlation",
    "normalized_correlation_ln",
)
"""What a fit says of each cell."""
CEILING_INTERVAL: Final = "ceiling_interval"
OF_GLM: Final = ("correlation_glm", "normalized_correlation_glm")
"""What it says beside where the recording has spikes of single trials."""
OWN: Final = (*SCORES, *OF_GLM, CEILING_INTERVAL, *names_of(("", "_ln", "_glm")), v.BOUND, v.SEED)
"""Names that coordinates of cells cannot have."""


@dataclass(frozen=True)
class FittingData:
    """Movies and responses of one set of cells."""

    frames: NDArray[Any]  # movie (time, y, x) in the units of the recording
    rates: NDArray[np.float32]  # firing rates (time, cell) in Hz
    blocks: tuple[tuple[int, int], ...]  # to fit to: first frame, and frame after the last
    test_frames: NDArray[Any]  # movie to be judged on
    test_responses: NDArray[np.float64]  # (repeat, time, cell) in Hz; one repeat of known means
    frame_rate: float  # in Hz
    coords: dict[str, list[Any]]  # of the cells, by name, `cell` among them
    segments: tuple[Any, ...]  # that are used; empty where the recording has none
    test_stretches: tuple[tuple[int, int], ...] = ()  # as `stretches`; empty where all is one
    borders: tuple[int, ...] = ()  # first frames of stretches to fit to
    smoothing: float = 0.0  # of the responses to be judged on, s.d. in seconds; 0 as they came
    test_spikes: NDArray[np.float64] | None = None  # (time, cell) in Hz; where others are smoothed
    trials: Trials | str = "no trials"  # spikes of single ones, or why there are none

    @property
    def cells(self) -> list[str]:
        """Names of the cells."""
        return [str(name) for name in self.coords[v.CELL]]

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """Parts of the test movie between which time jumps."""
        return self.test_stretches or ((0, len(self.test_frames)),)

    def predicted(self, predict: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """Rates (time, cell) for the test movie: no window reaches over a jump of time."""
        return np.concatenate([predict(self.test_frames[a:b]) for a, b in self.stretches])

    def measured(self, history: int) -> NDArray[np.float64]:
        """Test responses (repeat, time, cell) to the windows that `predicted` answers."""
        return self._answers(self.test_responses, history)

    def spikes(self, history: int) -> NDArray[np.float64]:
        """Mean over repeats (time, cell) of the same responses, never smoothed."""
        known = self.test_responses if self.test_spikes is None else self.test_spikes[None]
        return np.asarray(self._answers(known, history).mean(axis=0))

    def _answers(self, responses: NDArray[np.float64], history: int) -> NDArray[np.float64]:
        parts = [responses[:, a + history - 1 : b] for a, b in self.stretches]
        return np.concatenate(parts, axis=1)


def default_history(frame_rate: float) -> int:
    """Frames of 0.4 s; of slow movies ten, as long as they span no more than 1.2 s."""
    # a frame of a slow movie is seen for as long as it is shown: responses to it last beyond 0.4 s
    return max(1, round(0.4 * frame_rate), min(10, round(1.2 * frame_rate)))


def fitting_data(
    recording: xr.DataTree | xr.Dataset,
    *,
    cells: str | Iterable[str] | None = None,
    segments: Segments = "matching",
    history: int | None = None,
    smoothing: float = 0.01,
) -> FittingData:
    """Cut out of a recording what a model is fitted to and judged on."""
    # Arguments as those of `nc.fit_retina`. The part `train` is fitted to and `test` judged on;
    # where there is one part only, the end of every segment is judged on. Responses play no part in
    # the choice of segments, but the test part's stimulus does, unless all or numbered ones are
    # taken.
    _check(segments, smoothing)
    training, test = _in_seconds(*_parts(recording))
    frames, frame_rate = frames_of(training), frame_rate_of(training)
    history = history or default_history(frame_rate)
    stretches, ends = stretches_of(training), list[Stretch]()
    if test is None:
        stretches, ends = hold_out_ends(stretches)
    answers = responses_of(training, smoothing, [*stretches, *ends])
    names = _chosen(answers, cells)
    rates = answers.sel({v.CELL: names}).mean(v.REPEAT)
    if test is None:
        held_out, test_frames, used = answers, frames, stretches
    else:
        require_alike(training, test)
        test_frames, ends = frames_of(test), stretches_of(test)
        held_out = _same_cells(responses_of(test, smoothing, ends), names)
        used = select_matching(stretches, frames, test_frames, segments)
    if not isinstance(segments, str):
        used = select_by_number(stretches, segments)
    blocks = tuple(b for a, stop, _ in used for b in cut_into_blocks(a, stop, history))
    ends = [stretch for stretch in ends if stretch[1] - stretch[0] > history]
    _require_long(used, blocks, ends, history)
    rates = _without_silent(rates, blocks)
    judged = training if test is None else test
    smooth = smoothing if is_counted(judged) else 0.0
    responses = held_out.sel({v.CELL: rates[v.CELL].values}).values.astype(np.float64)
    edges = np.cumsum([0, *(b - a for a, b, _ in ends)]).tolist()
    return FittingData(
        frames=frames,
        rates=rates.values.astype(np.float32),
        blocks=blocks,
        test_frames=np.concatenate([test_frames[a:b] for a, b, _ in ends]),
        test_responses=np.concatenate([responses[:, a:b] for a, b, _ in ends], axis=1),
        frame_rate=frame_rate,
        coords=_cell_coords(rates),
        segments=tuple(sorted({n for _, _, n in used if n is not None}, key=_by_number)),
        test_stretches=tuple(itertools.pairwise(edges)),
        borders=tuple(a for a, _, _ in used),
        smoothing=smooth,
        test_spikes=_spikes(judged, rates[v.CELL].values, ends) if smooth else None,
        trials=trials_of(training, judged, rates[v.CELL].values, ends),
    )


def _require_long(
    used: list[Stretch], blocks: tuple[tuple[int, int], ...], ends: list[Stretch], history: int
) -> None:
    if len(blocks) < 2 or not ends:
        raise InputError(
            came=f"{sum(b - a for a, b, _ in used)} frames to fit to and"
            f" {sum(b - a for a, b, _ in ends)} to be judged on, in parts longer than the history"
            f" of {history} frames",
            expected=f"at least {4 * history} and {history + 1}",
            hint="history=10, or a longer recording",
        )


def _in_seconds(training: xr.Dataset, test: xr.Dataset | None) -> tuple[Any, Any]:
    return clock.in_seconds(training), None if test is None else clock.in_seconds(test)


def _by_number(label: Any) -> tuple[bool, Any]:
    """Order of labels of segments: numbers, then names."""
    return isinstance(label, str), label


def _check(segments: Segments, smoothing: float) -> None:
    if isinstance(segments, str):
        one_of("choice of segments", segments, SEGMENTS)
    expected, hint = "seconds, at least 0", "smoothing=0.01"
    if number("smoothing", smoothing, expected, hint=hint) < 0:
        raise InputError(came=f"smoothing={smoothing}", expected=expected, hint=hint)


def _parts(recording: object) -> tuple[xr.Dataset, xr.Dataset | None]:
    if isinstance(recording, xr.Dataset):
        return recording, None
    came = f"a recording of type {type(recording).__name__}"
    if isinstance(recording, xr.DataTree):
        nodes = {str(n): x.to_dataset() for n, x in recording.children.items()}
        if v.STIMULUS in recording.data_vars:
            nodes = {"train": recording.to_dataset(), **nodes}
        whole = [n for n, x in nodes.items() if v.STIMULUS in x and has_responses(x)]
        if "train" in whole:
            return nodes["train"], nodes["test"] if "test" in whole else None
        if len(whole) == 1:
            return nodes[whole[0]], None
        came = f"a recording with the parts {sorted(nodes)}"
    raise InputError(
        came=came,
        expected="a part called 'train' with 'stimulus' (time, y, x) and 'firing_rate' (time, cell)"
        " or 'spike_count' (repeat, time, cell)",
        hint="nc.fit_retina(nc.read_recording(path)), or one part: recording['boxes'].to_dataset()",
    )


def _chosen(rates: xr.DataArray, cells: str | Iterable[str] | None) -> list[str]:
    known = [str(name) for name in rates[v.CELL].values]
    if cells is None or (cells == "all" and "all" not in known):
        return known
    if cells == RELIABLE and RELIABLE not in known:
        if RELIABLE not in rates.coords:
            raise InputError(
                came="cells='reliable' for a recording that does not say which cells are",
                expected="a coordinate 'reliable' (cell)",
                hint=f"cells={known[:2]}",
            )
        wanted = [n for n, good in zip(known, rates[RELIABLE].values, strict=True) if good]
    else:
        wanted = [cells] if isinstance(cells, str) else [str(name) for name in cells]
    if not wanted or len({*wanted}) < len(wanted):
        raise InputError(
            came=f"cells={cells!r}, which is {wanted[:5]}",
            expected="at least one cell, and none twice",
            hint=f"cells={known[:2]}",
        )
    for name in wanted:
        one_of("cell", name, known)
    return wanted


def _same_cells(responses: xr.DataArray, names: list[str]) -> xr.DataArray:
    known = set(responses[v.CELL].values.tolist()) if v.CELL in responses.coords else set()
    for name in names:
        one_of("cell of the test part", name, sorted(known))
    return responses.sel({v.CELL: names})


def _spikes(part: xr.Dataset, cells: NDArray[Any], ends: list[Stretch]) -> NDArray[np.float64]:
    """Mean over repeats (time, cell) in Hz of what is judged on, not smoothed."""
    found = responses_of(part, 0.0, ends).sel({v.CELL: cells}).mean(v.REPEAT).values
    return np.concatenate([found[a:b] for a, b, _ in ends])


def _without_silent(rates: xr.DataArray, blocks: Sequence[tuple[int, int]]) -> xr.DataArray:
    inside = np.concatenate([np.arange(a, b) for a, b in blocks])
    fires = np.ptp(rates.values[inside], axis=0) > 0
    silent = [str(name) for name in rates[v.CELL].values[~fires]]
    if not fires.any():
        raise InputError(
            came=f"no spikes of the cells {', '.join(silent)}, or always as many, in what is fitted"
            " to",
            expected="at least one cell whose response varies",
            hint="segments='all', or other cells=[...]",
        )
    if silent:
        warn(
            f"left out, without spikes (or with always as many) in what is fitted to:"
            f" {', '.join(silent)}"
        )
    return rates.isel({v.CELL: np.flatnonzero(fires)})


def _cell_coords(rates: xr.DataArray) -> dict[str, list[Any]]:
    coords = storable_coords(rates, (v.CELL,))
    require_free_names(coords, OWN, "the cells")
    return {name: c.values.tolist() for name, c in coords.items()}
