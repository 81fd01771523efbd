"""How many modes rows have: those that both halves agree on, where these explain what more do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurocodec.kernels import scores
from neurocodec.kernels.matching import distinct_modes, match_modes
from neurocodec.nn.settings import usual
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.fit import fit
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.schedule import passes
from neurocodec.nn.sparse.source import Resident
from neurocodec.nn.sparse.threads import threads_for

_ENOUGH: Final = 0.02
"""R2 that more modes would have to add. Of 20 planted modes of 64 channels, with noise of 0.2, 20
explain 0.911; combinations of two, which come back as well, bring 32 to 0.928."""
_LEFT: Final = 0.1
"""R2 of the channels that modes which come back may leave to further ones. A fit of exactly as many
modes as were planted may miss some: of 20 of 64 channels it leaves less than that."""
_BEYOND: Final = 2
"""Numbers that are tried beyond the one that is enough, as R2 may rest on the way."""
_COSINE: Final = 0.9
"""Modes of both halves count as the same from here on."""
_COPIES: Final = 0.95
"""Modes of one half count as one from here on."""
_SHORT: Final = 3
"""Part of the passes of a whole fit that those to the halves have."""
_SCORED: Final = 1000
"""Rows of the other half, at most, that R2 is taken on."""
_ACCIDENTS: Final = 20
"""Permutations of the channels that say how many modes are alike by accident."""


@dataclass(frozen=True)
class Tried:
    """What so many modes of either half reach on the other half, means over both."""

    modes: int
    r2: float  # of all entries against their grand mean
    r2_channels: float  # of each channel, averaged; 0 for one that its mean explains better
    l0: float  # active modes of a row
    replicated: int  # modes that differ and that both halves have
    accidental: float  # the same where the channels of one half are permuted


@dataclass(frozen=True)
class Count:
    """How many modes rows have, and how that was found."""

    modes: int  # at least 1
    replicated: int  # modes that both halves have
    most: int  # that could be tried
    settled: bool  # whether more would have explained no more; else `most` was the end
    tried: tuple[Tried, ...]


def count_modes(halves: Tensor, config: SparseConfig, most: int) -> Count:
    """Count the modes of rows from their halves (2, rows, channels), trying up to `most`."""
    # Fits of too few modes explain less of the other half; of too many they split, or follow the
    # noise: what is new then explains little and is another in every half. So the numbers go up by
    # factors of 1.4 until two more bring less than 0.02, and what both halves have up to there is
    # counted. The ladder need not hold the number itself: of 23 modes those come back that exist.
    # In networks many channels are weak, and their modes do not come back, as little is known of
    # them: there are further modes until each channel is explained as well as more would, but no
    # more than channels, which one mode each explains. Beyond that R2 rises by following noise.
    if most == 1:
        return Count(1, 0, most, settled=False, tried=())
    tried = list[Tried]()
    for modes in _ladder(most):
        tried.append(_tried(halves, config, modes))
        last = enough([one.r2 for one in tried])
        if len(tried) - last > _BEYOND:
            break
    settled = len(tried) > last + 1
    replicated = max(one.replicated for one in tried[: last + 1])
    modes = max(1, replicated)
    explaining = tried[enough([one.r2_channels for one in tried])]
    further = min(explaining.modes, halves.shape[2])
    if 0 < replicated < further:
        if all(one.modes != replicated for one in tried):
            tried.append(_tried(halves, config, replicated))
        reached = next(one.r2_channels for one in tried if one.modes == replicated)
        modes = further if reached < explaining.r2_channels - _LEFT else modes
    return Count(modes, replicated, most, settled, tuple(tried))


def enough(r2: Sequence[float]) -> int:
    """Place of the first number that explains as much as the best one, but for 0.02."""
    return next(i for i, one in enumerate(r2) if one >= max(r2) - _ENOUGH)


def _ladder(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 11, 16, ... and `most` at the end."""
    step, modes = 2, 1
    while modes < most:
        yield modes
        modes, step = round(2 ** (step / 2)), step + 1
    yield most


@torch.no_grad()
def _tried(halves: Tensor, config: SparseConfig, modes: int) -> Tried:
    channels = halves.shape[2]
    wanted = dataclasses.replace(config, expansion=modes / channels)
    short = max(1, passes(wanted, Resident(halves)) // _SHORT)
    wanted = dataclasses.replace(wanted, epochs=short)
    found = fit(Resident(halves), Resident(halves[:, :0]), [wanted] * 2, progress=False)
    sides = [_Side.of(one.model, rows) for one, rows in zip(found, halves.flip(0), strict=True)]
    a, b = (side.atoms for side in sides)
    random = np.random.default_rng(config.seed)
    turned = [_alike(a, b[:, random.permutation(channels)]) for _ in range(_ACCIDENTS)]
    return Tried(
        modes,
        float(np.mean([side.r2 for side in sides])),
        float(np.mean([side.r2_channels for side in sides])),
        float(np.mean([side.l0 for side in sides])),
        _alike(a, b),
        float(np.mean(turned)),
    )


@dataclass(frozen=True)
class _Side:
    """Modes of one half, and what they make of rows of the other."""

    atoms: NDArray[np.float32]  # that are active there and differ, (modes, channels)
    r2: float
    r2_channels: float
    l0: float

    @classmethod
    def of(cls, model: SparseModel, rows: Tensor) -> _Side:
        some = rows[:: -(-len(rows) // _SCORED)]
        with usual(rows.device), threads_for(model.dictionary.numel()):
            codes = model.encode(some)
            made = model.decode(codes)
        atoms = model.dictionary[(codes != 0).any(dim=0)].cpu().numpy()
        known = scores.ReconstructionScores(some.shape[1])
        known.add(some.cpu().numpy(), made.cpu().numpy())
        r2 = known.r2_pooled if math.isfinite(known.r2_pooled) else -math.inf  # of silent rows
        channels = np.nan_to_num(known.r2_features).clip(min=0.0)
        l0 = float((codes != 0).sum()) / len(some)
        return cls(atoms[distinct_modes(atoms, _COPIES)], r2, float(channels.mean()), l0)


def _alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """Modes that both have."""
    return int((match_modes(a, b)[1] >= _COSINE).sum()) if len(a) and len(b) else 0
