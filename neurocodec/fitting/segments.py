"""Segments of a recording: which ones a model is fitted to, and how they are cut into blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec.arguments import one_of

Segments = Literal["matching", "all"] | Sequence[int]
Stretch = tuple[int, int, Any]
"""First frame, frame after the last, and number of the segment: times without a jump."""

SEGMENTS: Final = ("matching", "all")
BLOCKS: Final = 10
"""Blocks into which a segment is cut, at most."""
HELD_OUT: Final = 0.2
"""Share of every segment, at its end, on which a model is judged where there is no test part."""
ALIKE: Final = 0.2
"""Largest difference of correlations, and of the logarithm of contrast, of stimuli that match."""


def stretches_of(part: xr.Dataset) -> list[Stretch]:
    """Stretches of one segment, and of times that follow each other without a jump."""
    numbers, found = clock.segment_of(part), clock.pieces(part, what="recording")
    if numbers is None:
        return [(a, b, None) for a, b in found]
    # frames that have no number (NaN) are of no segment
    return [(a, b, _number(numbers[a])) for a, b in found if not pd.isna(numbers[a])]


def _number(label: Any) -> Any:
    plain = label.item() if isinstance(label, np.generic) else label
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def hold_out_ends(stretches: list[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """Cut the end off every segment: what is kept, and the ends."""
    cuts = [round(b - HELD_OUT * (b - a)) for a, b, _ in stretches]
    kept = [(a, cut, n) for (a, _, n), cut in zip(stretches, cuts, strict=True)]
    return kept, [(cut, b, n) for (_, b, n), cut in zip(stretches, cuts, strict=True)]


def select_by_number(stretches: list[Stretch], segments: Sequence[int]) -> list[Stretch]:
    """Take the segments with these numbers."""
    known = sorted({n for _, _, n in stretches if n is not None})
    for number in segments:
        one_of("segment", number, known)
    return [stretch for stretch in stretches if stretch[2] in segments]


def select_matching(
    stretches: list[Stretch], frames: NDArray[Any], test: NDArray[Any], segments: Segments
) -> list[Stretch]:
    """Take the segments whose stimulus is like that of the test part; all if none is."""
    if isinstance(segments, str):
        one_of("choice of segments", segments, SEGMENTS)
    if segments != "matching":
        return stretches
    wanted = stimulus_statistics(test)
    found = [
        stretch
        for stretch in stretches
        if np.abs(stimulus_statistics(frames[stretch[0] : stretch[1]]) - wanted).max() < ALIKE
    ]
    return found or stretches


def stimulus_statistics(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Log of the standard deviation of a movie (time, y, x), and its correlations."""
    # Of pixels 1 and 2 apart along x, and 1, 2 and 4 frames apart; 0 for a distance that does not
    # fit.
    movie = frames.astype(np.float32)
    movie -= movie.mean()
    power = float((movie**2).mean())
    pairs = [(movie[:, :, :-d], movie[:, :, d:]) for d in (1, 2)]
    pairs += [(movie[:-d], movie[d:]) for d in (1, 2, 4)]
    shared = [float((a * b).mean()) / power if a.size and power else 0.0 for a, b in pairs]
    return np.array([0.5 * np.log(max(power, 1e-30)), *shared])


def cut_into_blocks(start: int, stop: int, history: int) -> list[tuple[int, int]]:
    """Cut frames into at most `BLOCKS` equal blocks of at least two histories each."""
    count = min(BLOCKS, (stop - start) // (2 * history))
    edges = np.linspace(start, stop, count + 1).round().astype(int).tolist() if count else []
    return list(itertools.pairwise(edges))
