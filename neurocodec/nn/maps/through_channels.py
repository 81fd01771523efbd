"""Maps in input space: which parts of an input act through chosen hidden channels.

The map of a channel is the part of its contribution that comes from each pixel (CODEC sec. 6 and
definition 1 of sec. 9.1). Written out it is one Jacobian product per position of the channel, and
the authors compute it that way; summed over positions it is one backward pass from the layer to
the input, which starts from the gradient at the layer, zero outside of the channel. Only the split
by sign needs the contribution of each position, and one forward-mode pass gives all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from neurocodec.errors import InputError
from neurocodec.nn.attribution.integration import (
    FIRST_STEPS,
    IntegratedGradients,
    Rule,
    fixed_target,
    incomplete,
    nodes,
)
from neurocodec.nn.attribution.method import Attribution, Method
from neurocodec.nn.attribution.methods import ActGrad, InputGrad
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.tangents import differentiable_attention, tangents
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.device import widest
from neurocodec.nn.maps.ways_back import Front, Parts, WaysBack

Decomposed = InputGrad | ActGrad | IntegratedGradients
"""Methods whose contributions have a complete decomposition in input space."""


class Mapped(NamedTuple):
    """Maps of one batch, and what they should sum to."""

    maps: Tensor  # (sample, part, sign, *input)
    contribution: Tensor  # (sample, part, sign), what the maps should sum to
    target: Tensor  # (sample,)
    steps: Tensor | None = None  # of every sample, where they are adaptive
    converged: Tensor | None = None

    @property
    def error(self) -> Tensor:
        """Sum of each map over the input, minus the contribution; in double precision."""
        parts = self.maps.flatten(3).unbind(1)  # one by one: the sum makes a copy of its input
        sums = torch.stack([part.sum(2, dtype=widest(part.device)) for part in parts], 1)
        return sums - self.contribution

    def misses(self, tolerance: float) -> Tensor:
        """Samples with an error above a tolerance, relative to their largest contribution."""
        largest = self.contribution.abs().flatten(1).amax(1)
        rounding = torch.finfo(self.maps.dtype).eps * 10 * self.maps.abs().flatten(1).sum(1)
        return self.error.abs().flatten(1).amax(1) > tolerance * largest + rounding


Trial = tuple[Mapped, Tensor]
"""Maps made with some number of steps, and which samples need more."""


@dataclass(frozen=True)
class MapPasses:
    """Passes from the target through chosen channels to the input."""

    passes: Passes
    parts: Parts
    steps: int = 20  # along the path from baseline to input, for `ActGrad`
    together: int | None = None  # maps in one backward pass; None chooses by the device

    @property
    def alias(self) -> str:
        """The layer."""
        return self.parts.alias

    @property
    def ways(self) -> WaysBack:
        """The ways back to the input."""
        return WaysBack(self.passes, self.parts, self.together)

    def mapped(self, method: Method, batch: Batch) -> Mapped:
        """Maps by `InputGrad` (CODEC eq. 3-6), `ActGrad` (19-23), `IntegratedGradients` (10-12)."""
        with differentiable_attention():
            match method:
                case InputGrad():
                    return self._exact(batch)
                case ActGrad():
                    return self._at_end(batch)
                case IntegratedGradients(path="hidden"):
                    return refined(method, batch, self, MapPasses._along_hidden)
                case IntegratedGradients():
                    return refined(method, batch, self, MapPasses._along_input)
        raise not_decomposed(method)

    def _exact(self, batch: Batch) -> Mapped:
        """Gradient and Jacobian both at the input."""
        direction = batch.x - self.passes.baseline
        aliases = [self.alias, *(gate.alias for gate in self.parts.gates if not gate.whole)]
        found = tangents(self.passes.capture, aliases, batch.x, direction)
        point = self.ways.point(batch.x, self.passes.target, found)
        contribution = found[self.alias] * point.gradient
        maps = self.ways.back(point.front, point.gradient, contribution).mul_(_spread(direction))
        return Mapped(maps, self.ways.sums(contribution), point.target)

    def _at_end(self, batch: Batch) -> Mapped:
        """Gradient at the input, Jacobian along the path to it."""
        point = self.passes.point(batch.x)
        change = point.hidden[self.alias] - self.passes.start_pass.hidden[self.alias]
        gradient = point.gradient[self.alias]
        contribution = change * gradient
        maps = self._jacobian(batch, gradient, contribution, self.steps, "trapezoid")
        return Mapped(maps, self.ways.sums(contribution), point.target)

    def _along_hidden(self, method: IntegratedGradients, batch: Batch) -> Trial:
        """Mean gradient along the line in the layer, Jacobian along that in input space."""
        found, steps = method.attribute(self.passes, batch), int(method.steps)
        start, end = self.passes.start_pass.hidden[self.alias], found.activation[self.alias]
        target, gradient = fixed_target(self.passes, batch), torch.zeros_like(end)
        for weight, alpha in nodes(steps, method.rule):
            hidden = {self.alias: torch.lerp(start.expand_as(end), end, alpha)}
            point = self.passes.point(batch.x, target, hidden)
            gradient.add_(point.gradient[self.alias], alpha=weight)
        contribution = (end - start) * gradient
        maps = self._jacobian(batch, gradient, contribution, steps, method.rule)
        return self._trial(method, found, Mapped(maps, self.ways.sums(contribution), found.target))

    def _along_input(self, method: IntegratedGradients, batch: Batch) -> Trial:
        """Gradient and Jacobian both along the path, walked once before for the contributions."""
        found = method.attribute(self.passes, batch)
        contribution = found.values[self.alias]
        target = fixed_target(self.passes, batch)
        xs = line(self.passes, batch, int(method.steps), method.rule)
        points = ((w, self.ways.point(x, target)) for w, x in xs)
        maps = self._summed(batch, ((w, p.front, p.gradient) for w, p in points), contribution)
        return self._trial(method, found, Mapped(maps, self.ways.sums(contribution), found.target))

    def _trial(self, method: IntegratedGradients, found: Attribution, maps: Mapped) -> Trial:
        """Samples miss whose contributions do not sum to the target, or maps to contributions."""
        contributions = incomplete(found, method.tolerance)[self.alias]
        return maps, contributions | maps.misses(method.tolerance)

    def _jacobian(
        self, batch: Batch, gradient: Tensor, contribution: Tensor, steps: int, rule: Rule
    ) -> Tensor:
        """Integral of the Jacobian along the path, for one gradient at the layer."""
        xs = line(self.passes, batch, steps, rule)
        points = ((w, self.ways.front(x), gradient) for w, x in xs)
        return self._summed(batch, points, contribution)

    def _summed(
        self, batch: Batch, points: Iterator[tuple[float, Front, Tensor]], contribution: Tensor
    ) -> Tensor:
        """Weighted sum over the points of a path, times x - x'."""
        total = None
        for weight, front, gradient in points:
            found = self.ways.back(front, gradient, contribution).mul_(weight)
            total = found if total is None else total.add_(found)
        if total is None:
            raise InputError(came="a path without points", expected="at least one step")
        return total.mul_(_spread(batch.x - self.passes.baseline))


def line(passes: Passes, batch: Batch, steps: int, rule: Rule) -> Iterator[tuple[float, Tensor]]:
    """Weights and inputs along the straight path from the baseline to the samples; see `nodes`."""
    start = passes.baseline.expand_as(batch.x)
    for weight, alpha in nodes(steps, rule):
        yield weight, batch.x if alpha == 1 else torch.lerp(start, batch.x, alpha)


class Place(Protocol):
    """What has passes."""

    @property
    def passes(self) -> Passes:
        """Passes through the network."""
        ...


At = TypeVar("At", bound=Place)


def refined(
    method: IntegratedGradients,
    batch: Batch,
    place: At,
    attempt: Callable[[At, IntegratedGradients, Batch], Trial],
) -> Mapped:
    """Integrate maps; with ``steps="auto"``, again with more steps the samples that miss."""
    if method.steps != "auto":
        return attempt(place, method, batch)[0]
    steps = min(FIRST_STEPS, method.max_steps)
    found, missing = attempt(place, replace(method, steps=steps), batch)
    used = torch.full(found.target.shape, steps, dtype=torch.int64, device=found.target.device)
    while bool(missing.any()) and steps < method.max_steps:
        steps = min(2 * steps, method.max_steps)
        index = missing.nonzero().flatten()
        some = replace(place, passes=place.passes.taking(index))  # type: ignore[type-var]
        again = replace(method, steps=steps)
        better, missing[index] = attempt(some, again, batch.take(index))
        found.maps[index], found.contribution[index] = better.maps, better.contribution
        used[index] = steps
    return found._replace(steps=used, converged=~missing)


def not_decomposed(method: Method) -> InputError:
    """Build the error for a method whose contributions are no sums over the input."""
    return InputError(
        came=f"method={method!r}",
        expected="one whose contributions are sums over pixels: InputGrad, ActGrad or"
        " IntegratedGradients",
        hint="method=nc.methods.InputGrad()",
    )


def _spread(direction: Tensor) -> Tensor:
    return direction[:, None, None]
