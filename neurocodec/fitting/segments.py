"""Segments of a recording: which ones a model is fitted to, and how they are cut into blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import unknown_name

Segments = Literal["matching", "all"] | Sequence[int]
Run = tuple[int, int, int | None]
"""First frame, frame after the last, and number of a segment."""

SEGMENTS: Final = ("matching", "all")
SEGMENT: Final = "segment"
BLOCKS: Final = 10
"""Blocks into which a segment is cut, at most."""
JUMP: Final = 0.5
"""Share of a frame's duration by which the next one must come early or late to count as a jump."""
HELD_OUT: Final = 0.2
"""Share of every segment, at its end, on which a model is judged where there is no test part."""
ALIKE: Final = 0.2
"""Largest difference of correlations, and of the logarithm of contrast, of stimuli that match."""


def runs_of(part: xr.Dataset, length: int) -> list[Run]:
    """Stretches of one segment, and of times that follow each other without a jump.

    Parameters
    ----------
    part
        Of a recording; `segment` (time) numbers its segments, if there are several.
    length
        Number of frames.

    Examples
    --------
    >>> numbers = ("time", np.array([0, 0, 1]))
    >>> runs_of(xr.Dataset(coords={"segment": numbers}), 3)
    [(0, 2, 0), (2, 3, 1)]
    """
    known = SEGMENT in part.variables
    numbers = np.asarray(part[SEGMENT].values) if known else np.zeros(length, int)
    new = np.diff(numbers) != 0
    if v.TIME in part.coords and length > 1:
        steps = np.diff(part[v.TIME].values.astype(float))
        new |= np.abs(steps / np.median(steps) - 1) > JUMP
    edges = [0, *(np.flatnonzero(new) + 1).tolist(), length]
    return [(a, b, int(numbers[a]) if known else None) for a, b in itertools.pairwise(edges)]


def hold_out_ends(runs: list[Run]) -> tuple[list[Run], list[Run]]:
    """Cut the end off every segment: what is kept, and the ends.

    Examples
    --------
    >>> hold_out_ends([(0, 100, None)])
    ([(0, 80, None)], [(80, 100, None)])
    """
    cuts = [round(b - HELD_OUT * (b - a)) for a, b, _ in runs]
    kept = [(a, cut, n) for (a, _, n), cut in zip(runs, cuts, strict=True)]
    return kept, [(cut, b, n) for (_, b, n), cut in zip(runs, cuts, strict=True)]


def select_by_number(runs: list[Run], segments: Sequence[int]) -> list[Run]:
    """Take the segments with these numbers.

    Raises
    ------
    UnknownNameError
        Where there is no such segment.

    Examples
    --------
    >>> select_by_number([(0, 50, 0), (50, 100, 1)], [1])
    [(50, 100, 1)]
    """
    known = sorted({n for _, _, n in runs if n is not None})
    for number in segments:
        if number not in known:
            raise unknown_name("segment", number, known)
    return [run for run in runs if run[2] in segments]


def select_matching(
    runs: list[Run], frames: NDArray[Any], test: NDArray[Any], segments: Segments
) -> list[Run]:
    """Take the segments whose stimulus is like another one, or all.

    Where none is alike, all are taken.

    Raises
    ------
    UnknownNameError
        Where `segments` is some other word.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((200, 9, 9))
    >>> frames = np.concatenate([noise, 3 * noise])
    >>> select_matching([(0, 200, 0), (200, 400, 1)], frames, noise[:100], "matching")
    [(0, 200, 0)]
    """
    if isinstance(segments, str) and segments not in SEGMENTS:
        raise unknown_name("choice of segments", segments, SEGMENTS)
    if segments != "matching":
        return runs
    wanted = stimulus_statistics(test)
    found = [
        run
        for run in runs
        if np.abs(stimulus_statistics(frames[run[0] : run[1]]) - wanted).max() < ALIKE
    ]
    return found or runs


def stimulus_statistics(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Contrast and short-range correlations of a movie.

    Parameters
    ----------
    frames
        (time, y, x).

    Returns
    -------
    numpy.ndarray
        Logarithm of the standard deviation, and the correlation of pixels that are 1 and 2 apart
        along x, and 1, 2 and 4 frames apart in time; 0 for a distance that does not fit.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((500, 9, 9))
    >>> bool(np.abs(stimulus_statistics(noise)).max() < 0.02)
    True
    """
    movie = frames.astype(np.float32)
    movie -= movie.mean()
    power = float((movie**2).mean())
    pairs = [(movie[:, :, :-d], movie[:, :, d:]) for d in (1, 2)]
    pairs += [(movie[:-d], movie[d:]) for d in (1, 2, 4)]
    shared = [float((a * b).mean()) / power if a.size and power else 0.0 for a, b in pairs]
    return np.array([0.5 * np.log(max(power, 1e-30)), *shared])


def cut_into_blocks(start: int, stop: int, history: int) -> list[tuple[int, int]]:
    """Cut frames into at most `BLOCKS` equal blocks of at least two histories each.

    Examples
    --------
    >>> cut_into_blocks(0, 100, history=20)
    [(0, 50), (50, 100)]
    """
    count = min(BLOCKS, (stop - start) // (2 * history))
    edges = np.linspace(start, stop, count + 1).round().astype(int).tolist() if count else []
    return list(itertools.pairwise(edges))
