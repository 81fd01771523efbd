"""Input maps the long way, in float64: one backward pass for every hidden unit.

Written from CODEC appendix 9.1 alone (eq. 2-5, 7-13, 17-23) with plain autograd. A map of unit j is
(x - x') times the sum over points k of the path of w_k G_kj dh_j/dx, where the algorithms differ in
the points and in G: one point at x and dy/dh there (InputGrad), dy/dh at x all along the path
(ActGrad), dy/dh of the same point (IntegratedGradients), or the mean of dy/dh along the straight
line in the layer (its hidden path). h' is the activation at x'.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Value = Callable[[Tensor], Tensor]
"""Outputs of one sample (1, output) to the number that is explained."""


@dataclass(frozen=True)
class Way:
    """An algorithm, and how its integrals are taken: M steps, trapezoid or right sums."""

    name: str = "InputGrad"
    steps: int = 1
    rule: str = "trapezoid"
    path: str = "input"

    def weights(self) -> list[float]:
        """Weight of the points 0, 1/M, ..., 1 of the path."""
        if self.name == "InputGrad":
            return [0.0] * self.steps + [1.0]
        ends = (0.5, 0.5) if self.rule == "trapezoid" else (0.0, 1.0)
        return [w / self.steps for w in (ends[0], *[1.0] * (self.steps - 1), ends[1])]


@dataclass(frozen=True)
class Part:
    """A module (a copy, in `dtype`), one of its submodules, and what is explained."""

    module: nn.Module
    layer: str
    value: Value
    tokens: bool = False
    dtype: torch.dtype = torch.float64

    @classmethod
    def of(cls, module: nn.Module, layer: str, value: Value, **options: Any) -> Part:
        made = cls(copy.deepcopy(module), layer, value, **options)
        made.module.to(made.dtype).eval().requires_grad_(requires_grad=False)
        return made

    def sample(self, x: Any) -> Tensor:
        """One sample as the module takes it."""
        return torch.as_tensor(x).to(self.dtype)[None]

    def run(self, x: Tensor, replacement: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value and activation at x, with the graph; the activation may be replaced."""
        seen: list[Tensor] = []

        def hook(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
            seen.append(output.clone() if replacement is None else replacement)
            return seen[-1].clone()  # what follows may work in place

        handle = self.module.get_submodule(self.layer).register_forward_hook(hook)
        try:
            value = self.value(self.module(x)).sum()
        finally:
            handle.remove()
        (h,) = seen
        return value, h

    def units(self, h: Tensor) -> Tensor:
        """(channel, position) of one sample."""
        h = h[0].movedim(-1, 0) if self.tokens else h[0]
        return h.reshape(len(h), -1)


@dataclass(frozen=True)
class Point:
    """A point of the path: input, units (channel, position) with their graph, and dy/dh."""

    x: Tensor
    h: Tensor
    gradient: Tensor

    def row(self, channel: int, position: int) -> Tensor:
        """dh_j/dx, one backward pass."""
        return torch.autograd.grad(self.h[channel, position], self.x, retain_graph=True)[0][0]


@dataclass(frozen=True)
class Maps:
    """Maps (channel, sign, *input) and contributions (channel, sign) of one sample."""

    map: np.ndarray
    contribution: np.ndarray
    value: float


def _point(part: Part, x: Tensor) -> Point:
    x = x.detach().requires_grad_()
    value, h = part.run(x)
    (gradient,) = torch.autograd.grad(value, h, retain_graph=True)
    return Point(x, part.units(h), part.units(gradient))


def _line_gradient(part: Part, x: Tensor, x0: Tensor, way: Way) -> Tensor:
    """Mean of dy/dh along the straight line in the layer (eq. 9)."""
    with torch.no_grad():
        start, end = part.run(x0)[1], part.run(x)[1]
    found = []
    for k in range(way.steps + 1):
        h = (start + k / way.steps * (end - start)).requires_grad_()
        found.append(torch.autograd.grad(part.run(x, h)[0], h)[0])
    return part.units(sum(w * g for w, g in zip(way.weights(), found, strict=True)))


def _contribution(points: list[Point], mean: Tensor | None, way: Way) -> Tensor:
    """(channel, position), of the path methods (eq. 2, 9, 18)."""
    first, last = points[0], points[-1]
    if way.name == "ActGrad":
        return last.gradient * (last.h - first.h)
    if mean is not None:
        return mean * (last.h - first.h)
    share = 0.5 if way.rule == "trapezoid" else 0.0
    return sum(
        (share * a.gradient + (1 - share) * b.gradient) * (b.h - a.h)
        for a, b in itertools.pairwise(points)
    )


class Units:
    """Maps and contributions of the units of one layer for one sample."""

    def __init__(self, part: Part, x: Tensor, way: Way, baseline: Any = None) -> None:
        x = part.sample(x)
        x0 = torch.zeros_like(x) if baseline is None else part.sample(baseline)
        single = way.name == "InputGrad"
        at = [1.0] if single else [k / way.steps for k in range(way.steps + 1)]
        self.difference = (x - x0)[0]
        self.points = [_point(part, x0 + a * (x - x0)) for a in at]
        self.weights = way.weights()[-len(at) :]
        straight = way.name == "IntegratedGradients" and way.path == "hidden"
        mean = _line_gradient(part, x, x0, way) if straight else None
        end = self.points[-1].gradient if way.name == "ActGrad" else mean
        self.factors = [point.gradient if end is None else end for point in self.points]
        self.shape = self.points[-1].h.shape
        self.sums = None
        if not single:
            with torch.no_grad():
                self.sums = _contribution(self.points, mean, way)

    def map(self, channel: int, position: int) -> Tensor:
        """One backward pass for each point of the path where the factor is not zero."""
        total = torch.zeros_like(self.difference)
        for weight, factor, point in zip(self.weights, self.factors, self.points, strict=True):
            if scale := weight * float(factor[channel, position]):
                total += scale * point.row(channel, position)
        return total * self.difference

    def positions(self, channel: int) -> list[int]:
        """Those whose gradient is not zero all along: the others have neither map nor share."""
        factors = sum(factor[channel].abs() for factor in self.factors)
        return factors.nonzero().flatten().tolist()

    def contribution(self, channel: int, position: int) -> float:
        """Of the path methods as eq. 2, 9 and 18 have it; of InputGrad the sum of the map."""
        if self.sums is None:
            return float(self.map(channel, position).sum())
        return float(self.sums[channel, position])


def maps(
    part: Part, x: Tensor, way: Way, channels: Iterable[int] | None = None, baseline: Any = None
) -> Maps:
    """Maps of channels, each unit in the sign of its own contribution."""
    units = Units(part, x, way, baseline)
    chosen = range(units.shape[0]) if channels is None else list(channels)
    found, sums = np.zeros((len(chosen), 2, *x.shape)), np.zeros((len(chosen), 2))
    for i, c in enumerate(chosen):
        for p in units.positions(c):
            row = units.map(c, p).numpy()
            own = row.sum() if units.sums is None else units.contribution(c, p)
            found[i, int(own <= 0)] += row
            sums[i, int(own <= 0)] += own
    with torch.no_grad():
        return Maps(found, sums, float(part.run(part.sample(x))[0]))


def whole(part: Part, x: Tensor, way: Way, baseline: Any = None) -> np.ndarray:
    """The map of the whole network: input times (mean) gradient (eq. 6, 7, 13)."""
    x = part.sample(x)
    x0 = torch.zeros_like(x) if baseline is None else part.sample(baseline)
    total = torch.zeros_like(x)
    for k, weight in enumerate(way.weights()):
        if weight:
            here = (x0 + k / way.steps * (x - x0)).requires_grad_()
            total += weight * torch.autograd.grad(part.run(here)[0], here)[0]
    return (total * (x - x0))[0].numpy()
