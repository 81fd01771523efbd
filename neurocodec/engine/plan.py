"""What every call that runs over samples says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import xarray as xr
from numpy.typing import NDArray

from neurocodec.engine.samples import Samples
from neurocodec.network import Network
from neurocodec.nn.attribution.passes import Batch
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import Trace

Arrays = dict[str, NDArray[Any]]
"""Rows of every variable, by name."""


@dataclass(frozen=True)
class Plan(ABC):
    """One call, checked: everything that its numbers depend on, and nothing else."""

    what: ClassVar[str]

    net: Network
    samples: Samples
    layers: dict[str, Layer]

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""

    @abstractmethod
    def opened(self) -> AbstractContextManager[tuple[Any, Trace]]:
        """Hook the network; what computes a batch, and how the network runs."""

    @abstractmethod
    def batch_size(self, traced: Trace, device: str | None = None) -> int:
        """Samples whose passes fit a fixed size of memory."""

    @abstractmethod
    def rows(self, passes: Any, batch: Batch) -> Arrays:
        """Compute one batch."""

    @abstractmethod
    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Label the rows of a run."""
