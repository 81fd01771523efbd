"""What every target is: a scalar function of the network's outputs, sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor


class Target(ABC):
    """A scalar function of the network's outputs, sample by sample.

    A target is called with outputs of shape (..., output) and returns shape (...).
    """

    units: ClassVar[str] = ""
    per_sample: ClassVar[bool] = False
    """Whether the function differs from sample to sample, as after `fixed_at`."""

    @property
    def layer(self) -> str | None:
        """Alias of the layer that is read instead of the outputs."""
        return None

    @abstractmethod
    def __call__(self, outputs: Tensor) -> Tensor:
        """Target of each sample."""

    def bind(self, names: Sequence[str]) -> Target:
        """Resolve names of outputs to positions; refuse those that do not exist."""
        del names
        return self

    def fixed_at(self, outputs: Tensor) -> Target:
        """Fix what depends on the sample itself (the classes of `TopK`) at these outputs."""
        del outputs
        return self
