"""The part of a network between a layer and what a target reads, run from that layer on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.features import at_place
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.window import Window, at
from neurocodec.nn.capture.flow import Flow
from neurocodec.nn.capture.hooks import Capture, gradients
from neurocodec.nn.capture.shortcuts import Skipped, skippable, zeroed
from neurocodec.nn.capture.tracing import close, same_slopes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """What comes between a layer and a later one, or the answer."""

    capture: Capture
    start: str
    end: str | None = None  # the answer where None
    skipped: Skipped = ()  # modules that serve the layer alone
    alone: bool = False  # inputs do not count, and one stands for all
    window: Window | None = None  # all of the layer that reaches where the target reads

    @classmethod
    def of(cls, capture: Capture, flow: Flow, start: str, end: str | None, x: Tensor) -> Part:
        """Find what may be left out; proved by the flow of a plain pass, checked by its numbers."""
        whole = cls(capture, start, end)
        seen = flow.end(end) if end is None or end in flow.layers else None
        if not flow.proves or seen is None or start == end:
            return whole
        skipped = skippable(flow, capture.module, {start}, [seen])
        alone = end is not None and not flow.passes_by(start, end)
        part = replace(whole, skipped=skipped, alone=alone)
        if not part.skipped or part.agrees(x):
            return part
        logger.info("a replay from layer %r differs from the whole network", start)
        return whole

    def within(self, window: Window | None, x: Tensor) -> Part:
        """Run it on a part of the layer's maps alone, if its numbers are those of the whole."""
        if window is None:
            return self
        small = replace(self, window=window)
        with torch.no_grad():
            hidden = self.capture.reach(x, [self.start])[self.start]
        try:
            with torch.enable_grad():
                value, slope = _differentiated(*small.run(x, window.cut(hidden)))
                read, start = self.run(x, hidden)
                expected, slope_expected = _differentiated(at(read, window.position), start)
        except Exception:  # noqa: BLE001 - of whatever kind: then all of it is computed
            return self
        slopes = {"": window.laid(slope, hidden)}, {"": slope_expected}
        return small if close(value, expected) and same_slopes(*slopes) else self

    def agrees(self, x: Tensor) -> bool:
        """Whether values and gradients of samples are those of the whole network."""
        whole = replace(self, skipped=(), alone=False)
        with torch.no_grad():
            hidden = self.capture.reach(x, [self.start])[self.start]
        try:
            with torch.enable_grad():
                found = [_differentiated(*part.run(x, hidden)) for part in (self, whole)]
        except Exception:  # noqa: BLE001 - of whatever kind: then all of it is computed
            return False
        (value, slope), (expected, slope_expected) = found
        return close(value, expected) and same_slopes({"": slope}, {"": slope_expected})

    def run(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The end for an activation of the start, and the activation to differentiate it by.

        The inputs count where something goes around the layer, or nothing is proved.
        """
        given = {self.start: hidden}
        x = x[:1] if self.alone else x  # what is left out makes zeros for it
        with zeroed(self.skipped):
            if self.end is None:
                done = self.capture.run(x, given)
                return done.outputs, done.hidden.get(self.start, hidden)
            found = self.capture.reach(x, [self.start, self.end], given)
        read = self.capture.layers[self.end].channels_first(found[self.end])
        return (read if self.window is None else self.window.read(read)), found[self.start]

    def cut(self, maps: Tensor) -> Tensor:
        """What of the layer's maps the part is run on."""
        return maps if self.window is None else self.window.cut(maps)

    def target(self, target: Target) -> Target:
        """A target for what the part returns."""
        return target if self.window is None else at_place(target)


def _differentiated(value: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.arange(1, 1 + value[0].numel(), device=value.device).to(value).cos()
    total = (value.flatten(1) * weights).sum()
    (slope,) = torch.autograd.grad(total, hidden)
    return value.detach(), slope


def slopes(values: Tensor, ends: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Gradients of each column of (sample, feature), one after the other, by the name of the end.

    A layer that a feature does not depend on is refused.
    """
    known = {alias: h for alias, h in ends.items() if h.requires_grad}
    for more, column in enumerate(values.unbind(1), 1 - values.shape[1]):
        found: tuple[Tensor | None, ...] = (None,) * len(known)
        if column.requires_grad and known:
            found = gradients(column.sum(), [*known.values()], retain_graph=more < 0)
        by_alias = dict(zip(known, found, strict=True))
        for alias in ends:
            if by_alias.get(alias) is None:
                raise independent(alias)
        yield {alias: g for alias, g in by_alias.items() if g is not None}


def independent(alias: str) -> CaptureError:
    """Build the error for a layer that a target does not depend on."""
    return CaptureError(
        came=f"the target does not depend on layer {alias!r}",
        expected="layers between the input and what the target reads, that run with"
        " gradients (not in torch.no_grad or quantised)",
        hint="layers=[...] without it",
    )
