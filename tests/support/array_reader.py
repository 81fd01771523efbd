"""Reads rows of an array, as a stand-in for a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ArrayReader:
    array: NDArray[Any]

    def __len__(self) -> int:
        return len(self.array)

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        return np.asarray(self.array[start:stop], dtype=np.float32)
