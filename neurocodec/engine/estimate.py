"""What a run will take, from the batches it has computed: time, memory, size of its file."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray

BUFFERED_BYTES: Final = 2**27
"""Rows that wait to be written and that are being written, at most."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Parameters
    ----------
    samples
        Samples of the whole run.
    layers
        Layers of the result.
    batch_size
        Samples computed together.
    sample_bytes
        Size of the result of one sample, in bytes.
    output_bytes
        Size of the whole result, in bytes; its labels, some kB, are not counted.
    memory_bytes
        Largest memory of this process, in bytes; it does not grow with the number of samples.
    device_bytes
        Largest memory on the accelerator, in bytes; 0 without one.
    seconds
        For the samples that are still to be computed.

    Examples
    --------
    >>> print(Estimate(50_000, 16, 32, 181_000, 9_050_000_000, 2**30, 0, 7200.0))
    50000 samples, 16 layers, 32 at once; 181 kB a sample, 9.05 GB in all; 1.07 GB of memory; 2 h
    """

    samples: int
    layers: int
    batch_size: int
    sample_bytes: int
    output_bytes: int
    memory_bytes: int
    device_bytes: int
    seconds: float

    @classmethod
    def of(
        cls,
        rows: Mapping[str, NDArray[Any]],
        *,
        samples: int,
        layers: int,
        batch_size: int,
        seconds: float,
        device: torch.device,
    ) -> Estimate:
        """Estimate a run from the rows of a batch, which lie in the file as in memory.

        Parameters
        ----------
        rows
            Path of each variable -> some rows.
        samples, layers, batch_size, seconds
            See the class.
        device
            Where the network computes.
        """
        size = sum(r.dtype.itemsize * math.prod(r.shape[1:]) for r in rows.values())
        buffered = min(BUFFERED_BYTES, size * samples)
        accelerator = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        return cls(
            samples=samples,
            layers=layers,
            batch_size=batch_size,
            sample_bytes=size,
            output_bytes=size * samples,
            memory_bytes=peak_memory() + buffered,
            device_bytes=accelerator,
            seconds=seconds,
        )

    def __str__(self) -> str:
        where = f" and {_size(self.device_bytes)} on the accelerator" if self.device_bytes else ""
        layers = f"{self.layers} layers, " if self.layers else ""
        return (
            f"{self.samples} samples, {layers}{self.batch_size} at once; "
            f"{_size(self.sample_bytes)} a sample, {_size(self.output_bytes)} in all; "
            f"{_size(self.memory_bytes)} of memory{where}; {_duration(self.seconds)}"
        )


def peak_memory() -> int:
    """Largest memory that this process has held so far, in bytes; 0 on Windows."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - not on Windows

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
