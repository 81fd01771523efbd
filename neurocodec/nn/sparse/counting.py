"""How many modes rows have: those that both halves agree on, where these explain what more do."""

from __future__ import annotations

import dataclasses
import math
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
_FIRST: Final = 4
_PER_CHANNEL: Final = 0.25
"""The first number tried, and of many channels for each. Where each of many modes explains little,
from 4 to 8 of them would bring too little to go on: of 256 modes as much as 0.02."""
_SLOWER: Final = 0.6
"""Where doubling brings less than this part of what it brought before, numbers between may do."""
_APART: Final = 1.5
"""Between numbers that are this factor apart another is tried."""
_COSINE: Final = 0.9
"""Modes of both halves count as the same from here on."""
_COPIES: Final = 0.95
"""Modes of one half count as one from here on."""
_COARSE: Final = 10
"""Part of the passes of a whole fit that numbers are compared at."""
_UNSURE: Final = 0.05
"""R2 of so few passes that may be missing where there are just as many modes as needed."""
_FINE: Final = 3
"""The same where modes are counted that come back, which takes longer. Only up to `_FEW` modes, as
the search would else take many times the fit."""
_FEW: Final = 128
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
    passes: int = 0  # over the rows of a half


@dataclass(frozen=True)
class Count:
    """How many modes rows have, and how that was found."""

    modes: int  # at least 1
    replicated: int  # modes that both halves have
    most: int  # that could be tried
    settled: bool  # whether twice as many would have explained no more; else `most` was the end
    tried: tuple[Tried, ...]  # by number; those that what comes back was counted on follow


def count_modes(halves: Tensor, config: SparseConfig, most: int) -> Count:
    """Count the modes of rows from their halves (2, rows, channels), trying up to `most`."""
    # Fits of too few modes explain less of the other half; of too many they split, or follow the
    # noise: what is new then explains little and is another in every half. So the numbers double
    # until twice as many bring less than 0.02, and what both halves have up to there is counted.
    # The numbers need not hold the one that is looked for: of 23 modes those come back that exist.
    # In networks many channels are weak, and their modes do not come back, as little is known of
    # them: there are further modes until each channel is explained as well as more would, but no
    # more than channels, which one mode each explains. Beyond that R2 rises by following noise.
    if most == 1:
        return Count(1, 0, most, settled=halves.shape[2] == 1, tried=())
    search = _Search(halves, config, most)
    search.double()
    last = search.narrow("r2").modes
    settled = search.tried[-1].modes >= 2 * last
    replicated = max(search.counted(modes).replicated for modes in search.below(last))
    modes, explaining = max(1, replicated), search.enough("r2_channels")
    if 0 < replicated < min(explaining.modes, halves.shape[2]):
        reached = search.counted(replicated)
        if reached.r2_channels < explaining.r2_channels - _LEFT:
            modes = max(modes, min(search.narrow("r2_channels").modes, halves.shape[2]))
    return Count(modes, replicated, most, settled, (*search.tried, *search.longer))


class _Search:
    """Numbers of modes that were tried, in ascending order."""

    def __init__(self, halves: Tensor, config: SparseConfig, most: int) -> None:
        self.halves, self.config, self.most = halves, config, most
        self.tried = list[Tried]()
        self.longer = list[Tried]()

    def at(self, modes: int) -> Tried:
        """What a number of modes reaches, tried now where it was not before."""
        return self._found(self.tried, modes, _COARSE)

    def counted(self, modes: int) -> Tried:
        """The same after as many passes as it takes to tell which modes come back."""
        return self.at(modes) if modes > _FEW else self._found(self.longer, modes, _FINE)

    def _found(self, known: list[Tried], modes: int, part: int) -> Tried:
        found = next((one for one in known if one.modes == modes), None)
        if found is None:
            found = _tried(self.halves, self.config, modes, part)
            known.append(found)
            known.sort(key=lambda one: one.modes)
        return found

    def double(self) -> None:
        """Try 4, 8, 16, ... until twice as many as are enough were tried, or no more may be."""
        first = max(_FIRST, round(_PER_CHANNEL * self.halves.shape[2]))
        last = self.at(min(first, self.most))
        before = _at_least_0(last)
        while True:
            modes = min(2 * self.enough("r2").modes, self.most)
            if modes <= self.tried[-1].modes:
                return
            here = self.at(modes)
            gain = _at_least_0(here) - _at_least_0(last)
            if gain < _SLOWER * before:
                self.narrow("r2")
            last, before = here, gain

    def enough(self, figure: str) -> Tried:
        """The first number that explains as much as the best one, but for 0.02."""
        best = max(getattr(one, figure) for one in self.tried)
        return next(one for one in self.tried if self._enough(one, figure, best))

    def _enough(self, one: Tried, figure: str, best: float) -> bool:
        if best - _UNSURE <= getattr(one, figure) < best - _ENOUGH:
            one = self.counted(one.modes)
        return bool(getattr(one, figure) >= best - _ENOUGH)

    def narrow(self, figure: str) -> Tried:
        """The same, once it is one more than the number before it, or less than 1.5 times that."""
        while True:
            found = self.enough(figure)
            low = self.below(found.modes)[0]
            low = 0 if low == found.modes else low
            if found.modes - low == 1 or found.modes < _APART * low:
                return found
            self.at(max(1, round(math.sqrt(low * found.modes))))

    def below(self, modes: int) -> list[int]:
        """A number that was tried and the one before it, if there is one."""
        return [one.modes for one in self.tried if one.modes <= modes][-2:]


def _at_least_0(one: Tried) -> float:
    return max(0.0, one.r2)


@torch.no_grad()
def _tried(halves: Tensor, config: SparseConfig, modes: int, part: int) -> Tried:
    channels = halves.shape[2]
    wanted = dataclasses.replace(config, expansion=modes / channels)
    short = max(1, passes(wanted, Resident(halves)) // part)
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
        short,
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
