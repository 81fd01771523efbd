"""The one way to hook a network, see how it runs, and prepare it for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from torch import Tensor

from neurocodec.network import Network
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Prefix
from neurocodec.nn.capture.tracing import Trace, quickened, trace
from neurocodec.nn.perturbation.replay import START

BY_NUMBER_OF_AXES: Final = {2: "vector", 3: "tokens", 4: "maps"}
"""Layouts that go without saying in what identifies a run."""


@dataclass(frozen=True)
class Session:
    """A network that is hooked, and that a few samples were seen to run through."""

    net: Network
    capture: Capture
    few: Tensor  # the samples that were traced
    traced: Trace
    prefixes: list[Prefix | None] = field(default_factory=list)  # found once, if it was asked for

    @property
    def outputs(self) -> list[str]:
        """Names of the network's outputs; numbers where it has none."""
        return self.net.output_names(self.traced.done.outputs.shape[1])

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts of the network, which stays as it is while it is borrowed."""
        return self.net.facts

    @property
    def bytes_per_sample(self) -> int:
        """What one sample's pass keeps."""
        return self.traced.bytes_per_sample

    def channels(self, alias: str) -> int:
        """Number of channels of a captured layer."""
        return self.capture.layers[alias].channels_first(self.traced.done.hidden[alias]).shape[1]

    def told(self, layers: Mapping[str, Layer]) -> dict[str, Layer]:
        """Layers as a run is identified by: with a layout that the number of axes does not say."""
        seen = {alias: self.capture.layers[alias] for alias in layers}
        axes = {alias: self.traced.done.hidden[alias].ndim for alias in layers}
        usual = {a for a in layers if seen[a].layout == BY_NUMBER_OF_AXES.get(axes[a])}
        return {a: layer if a in usual else seen[a] for a, layer in layers.items()}

    @contextmanager
    def quickened(self) -> Iterator[None]:
        """Compute the convolutions in their faster form, where that agrees with what was traced."""
        with quickened(self.capture, self.traced, self.few):
            yield


@contextmanager
def hooked(net: Network, layers: Mapping[str, Layer], few: Tensor) -> Iterator[Session]:
    """Borrow a network, hook its layers, and see how a few samples run; give everything back."""
    with Capture(net.module, layers, net.select).attached() as capture:
        session = Session(net, capture, few, trace(capture, few))
        for alias in layers.keys() - {START}:
            session.channels(alias)  # or it is refused here, before anything long
        yield session


@contextmanager
def opened(net: Network, layers: Mapping[str, Layer], few: Tensor) -> Iterator[Session]:
    """Hook a network as `hooked` does, and let it compute in its faster form."""
    with hooked(net, layers, few) as session, session.quickened():
        yield session
