"""Where the rows of a fit come from: memory, or a file that is read block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Source(Protocol):
    """Rows for fits side by side: as many rows and channels each, scaled, on the fit's device."""

    @property
    def fits(self) -> int:
        """Number of fits."""

    @property
    def count(self) -> int:
        """Number of rows of each fit."""

    @property
    def channels(self) -> int:
        """Length of a row."""

    @property
    def device(self) -> torch.device:
        """Where the rows are given out."""

    @property
    def resident(self) -> bool:
        """Whether all rows come as one block, always in the same order."""

    def blocks(self, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """Every row once, (fits, rows, channels); blocks in an order that the generator draws."""


@dataclass(frozen=True)
class Resident:
    """Rows in memory."""

    rows: Tensor  # (fits, rows, channels); may be an expanded view, the same for all fits

    @property
    def fits(self) -> int:
        """Number of fits."""
        return self.rows.shape[0]

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.rows.shape[1]

    @property
    def channels(self) -> int:
        """Length of a row."""
        return self.rows.shape[2]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.rows.device

    @property
    def resident(self) -> bool:
        """True."""
        return True

    def blocks(self, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """All rows."""
        del generator
        yield self.rows


def sample_rows(source: Source, most: int) -> Tensor:
    """Rows of a source at equal distances, (fits, rows, channels), at most so many."""
    step = max(1, math.ceil(source.count / most))
    parts, seen = (
        [torch.zeros(source.fits, 0, source.channels, dtype=torch.float32, device=source.device)],
        0,
    )
    for rows in source.blocks():
        # cloned, as a view would keep the whole block in memory
        parts.append(rows[:, (-seen) % step :: step].clone())
        seen += rows.shape[1]
    return torch.cat(parts, dim=1)


class Reader(Protocol):
    """Rows of a file."""

    def __len__(self) -> int:
        """Number of rows."""

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Rows from `start` to below `stop`, scaled, (rows, channels) of float32."""


@dataclass(frozen=True)
class Streamed:
    """Rows of one fit that are read block by block, some of them left out."""

    read: Reader
    channels: int
    wanted: NDArray[np.bool_]  # which rows of the file belong to this source
    block: int  # rows that are read at a time
    device: torch.device  # where rows are given out

    @property
    def fits(self) -> int:
        """One."""
        return 1

    @property
    def count(self) -> int:
        """Number of rows that belong to this source."""
        return int(self.wanted.sum())

    @property
    def resident(self) -> bool:
        """False."""
        return False

    def blocks(self, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """Every row once, in blocks that follow each other in random order."""
        # the next block is read while the present one is used
        starts = self._starts(generator)
        with ThreadPoolExecutor(1, "neurocodec-rows") as reader:
            coming = [reader.submit(self._wanted_of, start) for start in starts[:1]]
            for following in [*starts[1:], None]:
                rows = coming.pop().result()
                if following is not None:
                    coming.append(reader.submit(self._wanted_of, following))
                if len(rows):
                    yield torch.from_numpy(rows).float()[None].to(self.device)

    def _wanted_of(self, start: int) -> NDArray[Any]:
        """Rows of one block of the file that belong to this source."""
        stop = min(start + self.block, len(self.read))
        return np.ascontiguousarray(self.read(start, stop)[self.wanted[start:stop]])

    def _starts(self, generator: torch.Generator | None) -> Sequence[int]:
        starts = range(0, len(self.read), self.block)
        if generator is None:
            return starts
        order = torch.randperm(len(starts), generator=generator, device=generator.device)
        return [starts[i] for i in order.tolist()]
