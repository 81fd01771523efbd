"""What a method is, and what it finds for one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from neurocodec.nn.attribution.features import Features
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.window import Window
from neurocodec.nn.capture.prefix import Batch


@dataclass(frozen=True)
class Attribution:
    """What a method found for one batch.

    Parameters
    ----------
    values
        Alias -> contribution (or gradient) of every hidden unit, in the shape of the activation.
    activation
        Alias -> activation of every hidden unit.
    target
        Target of every sample.
    change
        Alias -> y(x) - y(x'), what the contributions of the layer should sum to; empty where the
        method makes no such promise.
    bypass
        Alias -> the part of that change which goes around the layer, so that its contributions
        cannot give it; for layers that something goes around.
    windows
        Alias -> the part of the layer's maps that `values` are of, where they are 0 elsewhere.
    outputs
        Outputs of the network at the samples (sample, output), where a pass came that far.
    steps, converged
        Steps taken by every sample and whether it met the tolerance, where steps are adaptive.

    Examples
    --------
    >>> import torch
    >>> ones = {"layer1": torch.ones(1, 2)}
    >>> Attribution(ones, ones, torch.ones(1), {}).whole("layer1").tolist()
    [[1.0, 1.0]]
    """

    values: dict[str, Tensor]
    activation: dict[str, Tensor]
    target: Tensor
    change: dict[str, Tensor]
    bypass: dict[str, Tensor] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    steps: Tensor | None = None
    converged: Tensor | None = None
    outputs: Tensor | None = None

    def whole(self, alias: str) -> Tensor:
        """Contributions of all units of a layer, those outside of its window too.

        Parameters
        ----------
        alias
            Of the layer.

        Returns
        -------
        torch.Tensor
            In the shape of the activation.
        """
        values, window = self.values[alias], self.windows.get(alias)
        return values if window is None else window.laid(values, self.activation[alias])


class Method(ABC):
    """A way to compute contributions, one batch at a time.

    One of your own inherits from this class; as a frozen dataclass its fields are part of the
    provenance.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class GradientSign(Method):
    ...     def attribute(self, passes, batch):
    ...         point = passes.point(batch.x)
    ...         signs = {alias: g.sign() for alias, g in point.gradient.items()}
    ...         return Attribution(signs, point.hidden, point.target, {})
    >>> GradientSign().variable
    'contribution'
    """

    variable: ClassVar[str] = "contribution"

    @abstractmethod
    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """Compute contributions of every hidden unit for one batch.

        Parameters
        ----------
        passes
            Passes through the network for the target: `passes.point(x)` has outputs, target,
            activations and gradients; `passes.baseline` is where paths start.
        batch
            Samples that are computed together; `batch.x` has the sample axis first.

        Returns
        -------
        Attribution
            By the layers `passes.aliases`.
        """

    def attribute_each(self, passes: Passes, batch: Batch) -> Iterator[Attribution]:
        """Compute contributions to each of the features of `passes.target`, one after the other.

        Parameters
        ----------
        passes, batch
            As for `attribute`. A method that goes through the network once for all features says
            so here; of any other each feature is a call of its own.

        Returns
        -------
        Iterator of Attribution
            In the order of the features.
        """
        for one in passes.each():
            yield self.attribute(one, batch)


def each(method: Method, passes: Passes, batch: Batch) -> Iterator[Attribution]:
    """Contributions to each of a target's features; a target of one number is one."""
    if not isinstance(passes.target, Features):
        yield method.attribute(passes, batch)
        return
    kinds = type(method).__mro__
    own, many = (
        next(i for i, kind in enumerate(kinds) if name in vars(kind))
        for name in ("attribute", "attribute_each")
    )
    # one of a user's own that says otherwise what it does, in a class derived from one of these
    every = Method.attribute_each if own < many else type(method).attribute_each
    yield from every(method, passes, batch)


def by_layer(function: Callable[..., Tensor], *parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Alias -> the function's value for the layer's tensors, one out of each part."""
    return {alias: function(*(p[alias] for p in parts)) for alias in parts[0]}


def only(passes: Passes, hidden: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep the layers that are wanted, without those that a target merely reads."""
    return {alias: hidden[alias] for alias in passes.aliases}
