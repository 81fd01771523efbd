"""What every target is: a scalar function of the network's outputs, sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor


class Target(ABC):
    """A scalar function of the network's outputs, sample by sample.

    A target is called with outputs of shape (..., output) and returns shape (...). One of your own
    inherits from this class; as a frozen dataclass its fields are part of the provenance.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import torch
    >>> @dataclass(frozen=True)
    ... class Power(Target):
    ...     exponent: float = 2.0
    ...
    ...     def __call__(self, outputs):
    ...         return (outputs**self.exponent).sum(-1)
    >>> Power()(torch.tensor([[1.0, 3.0]]))
    tensor([10.])
    """

    units: ClassVar[str] = ""
    per_sample: ClassVar[bool] = False
    """Whether the function differs from sample to sample, as after `fixed_at`."""

    @property
    def of_labels(self) -> bool:
        """Whether it asks for each sample's own label."""
        return False

    @property
    def layer(self) -> str | None:
        """Alias of the layer that is read instead of the outputs."""
        return None

    @abstractmethod
    def __call__(self, outputs: Tensor) -> Tensor:
        """Target of each sample.

        Parameters
        ----------
        outputs
            (..., output); or, where `layer` names one, its activation (sample, channel,
            positions...).

        Returns
        -------
        torch.Tensor
            (...), or (sample).
        """

    def bind(self, names: Sequence[str]) -> Target:
        """Resolve names of outputs to positions; refuse those that do not exist.

        Parameters
        ----------
        names
            Of the network's outputs, in their order.
        """
        del names
        return self

    def labelled(self, classes: Tensor) -> Target:
        """Know each sample's own label.

        Parameters
        ----------
        classes
            Position (sample) of the output that is the label of each sample, of all there are.
        """
        del classes
        return self

    def at_samples(self, index: Tensor) -> Target:
        """Keep what is known of some of the samples.

        Parameters
        ----------
        index
            Their positions among the samples that are known.
        """
        del index
        return self

    def fixed_at(self, outputs: Tensor) -> Target:
        """Fix what depends on the sample itself (the classes of `TopK`) at these outputs.

        Parameters
        ----------
        outputs
            At the samples, (sample, output); or the activation of the layer that is read.
        """
        del outputs
        return self
