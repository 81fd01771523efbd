"""Integrated gradients in hidden layers: line integrals of dy/dh dh (CODEC eq. 9-18)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, get_args

import torch
from torch import Tensor

from neurocodec.arguments import one_of, whole
from neurocodec.errors import InputError
from neurocodec.nn.attribution.method import Attribution, Method, only
from neurocodec.nn.attribution.passes import Passes, Point
from neurocodec.nn.attribution.reduction import slices
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.prefix import Batch

Rule = Literal["trapezoid", "right"]
Along = Literal["input", "hidden"]

FIRST_STEPS = 8
"""Steps that ``steps="auto"`` starts with."""


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Line integral of dy/dh dh from the baseline to the sample.

    Contributions of a layer sum to y(x) - y(x'); what is missing from that is reported as
    `completeness_error`.

    Parameters
    ----------
    steps
        Steps M along the path, which is evaluated at M + 1 points; ``"auto"`` doubles the steps
        of those samples that miss the tolerance.
    path
        ``"input"``: along h(x' + a (x - x')), a straight line in input space (CODEC eq. 10-18).
        ``"hidden"``: along h' + a (h - h'), a straight line in the layer itself (eq. 9).
    rule
        ``"trapezoid"``, or ``"right"``, the sum of CODEC eq. 18.
    tolerance
        With ``steps="auto"``, largest completeness error relative to y(x) - y(x').
    max_steps
        With ``steps="auto"``, where doubling ends; samples that still miss are flagged.

    Examples
    --------
    >>> IntegratedGradients(steps=20).rule
    'trapezoid'
    """

    steps: int | Literal["auto"] = 20
    path: Along = "input"
    rule: Rule = "trapezoid"
    tolerance: float = 1e-3
    max_steps: int = 256

    def __post_init__(self) -> None:
        one_of("path", self.path, get_args(Along))
        one_of("rule", self.rule, get_args(Rule))
        if self.steps != "auto":
            object.__setattr__(self, "steps", whole("steps", self.steps, hint="steps='auto'"))
        object.__setattr__(self, "max_steps", whole("max_steps", self.max_steps))
        if not self.tolerance > 0:
            raise InputError(came=f"tolerance={self.tolerance!r}", expected="a number above 0")

    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """One backward pass and at most one forward pass per point of the path."""
        if self.steps == "auto":
            return self._refine(passes, batch)
        return self._integrate(passes, batch, self.steps)

    def _integrate(self, passes: Passes, batch: Batch, steps: int) -> Attribution:
        along = _along_input if self.path == "input" else _along_hidden
        return along(passes, batch, fixed_target(passes, batch), steps, self.rule)

    def _refine(self, passes: Passes, batch: Batch) -> Attribution:
        steps = min(FIRST_STEPS, self.max_steps)
        found = self._integrate(passes, batch, steps)
        taken = torch.full_like(found.target, steps, dtype=torch.int64)
        missing = incomplete(found, self.tolerance)
        while bool(_any(missing).any()) and steps < self.max_steps:
            steps = min(2 * steps, self.max_steps)
            index = _any(missing).nonzero().flatten()
            better = self._integrate(passes, batch.take(index), steps)
            still = incomplete(better, self.tolerance)
            for alias, absent in missing.items():
                _overwrite(found, better, alias, index, absent[index])
                absent[index] &= still[alias]
            taken[index] = steps
        return replace(found, steps=taken, converged=~_any(missing))


def fixed_target(passes: Passes, batch: Batch) -> Target:
    """Target with what it holds along the path, such as the class found at the sample."""
    if not getattr(passes.target, "hold", False):
        return passes.target
    return passes.target.fixed_at(passes.look(batch.x).outputs)


def incomplete(found: Attribution, tolerance: float) -> dict[str, Tensor]:
    """Alias -> samples whose contributions miss y(x) - y(x') by more than `tolerance` of it."""
    return {
        alias: _misses(found, alias, values.flatten(1), tolerance)
        for alias, values in found.values.items()
    }


def _misses(found: Attribution, alias: str, values: Tensor, tolerance: float) -> Tensor:
    change = found.change[alias]
    through = change - found.bypass.get(alias, torch.zeros_like(change)).nan_to_num()
    # of the sum, and of y(x) - y(x'), which may be much less than y
    size = values.abs().sum(1) + found.target.abs() + (found.target - change).abs()
    rounding = torch.finfo(values.dtype).eps * 10 * size
    # not `>`, which NaN is not
    return ~((values.sum(1) - through).abs() <= tolerance * through.abs() + rounding)


def _any(missing: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(missing.values())).any(0)


def _overwrite(
    found: Attribution, better: Attribution, alias: str, index: Tensor, wanted: Tensor
) -> None:
    """Replace what missed in this layer alone, so that a layer does not depend on the others."""
    found.values[alias][index[wanted]] = better.values[alias][wanted]
    found.change[alias][index[wanted]] = better.change[alias][wanted]
    if alias in found.bypass:
        found.bypass[alias][index[wanted]] = better.bypass[alias][wanted]


def _along_input(
    passes: Passes, batch: Batch, target: Target, steps: int, rule: Rule
) -> Attribution:
    path = passes.path(batch, target)
    sums = dict[str, Tensor]()
    around = {alias: batch.x.new_zeros(len(batch.x)) for alias in passes.bypassed}

    def points() -> Iterator[Point]:
        for weight, alpha in nodes(steps, rule):
            point = path.at(alpha)
            for alias, total in around.items():
                total.add_(path.around(alias, alpha, point), alpha=weight)
            yield point

    start = [path.at(0.0)] if rule == "right" else []
    first, last = _walk(chain(start, points()), passes.aliases, sums, rule)
    difference = last.target - first.target
    change = {alias: difference.clone() for alias in passes.aliases}
    return Attribution(sums, only(passes, last.hidden), last.target, change, around)


def _along_hidden(
    passes: Passes, batch: Batch, target: Target, steps: int, rule: Rule
) -> Attribution:
    start, end = passes.start_pass, passes.look(batch.x)
    sums, change, around = dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()
    for alias in passes.aliases:
        line = (
            torch.lerp(start.hidden[alias].expand_as(h), h, k / steps)
            for h in (end.hidden[alias],)
            for k in range(steps + 1)
        )
        points = (passes.point(batch.x, target, {alias: h}, [alias]) for h in line)
        first, last = _walk(points, (alias,), sums, rule)
        change[alias] = passes.change(last)
        if alias in passes.bypassed:  # the sample, but for the layer, which is as at the baseline
            around[alias] = change[alias] - (last.target - first.target)
    return Attribution(sums, only(passes, end.hidden), last.target, change, around)


def nodes(steps: int, rule: Rule) -> Iterator[tuple[float, float]]:
    """Weights and places of points from 0 to 1; "right" leaves out the start (CODEC eq. 13)."""
    for k in range(0 if rule == "trapezoid" else 1, steps + 1):
        inner = rule == "right" or 0 < k < steps
        yield (1 if inner else 0.5) / steps, k / steps


def _walk(
    points: Iterator[Point],
    aliases: tuple[str, ...],
    sums: dict[str, Tensor],
    rule: Rule,
) -> tuple[Point, Point]:
    """Add up g dh along the points; only the current and the previous one are kept."""
    first = before = next(points)
    for point in points:
        for alias in aliases:
            if alias not in sums:
                sums[alias] = torch.zeros_like(point.hidden[alias])
            _add_step(sums[alias], before, point, alias, rule)
        before = point
    return first, before


def _add_step(total: Tensor, before: Point, point: Point, alias: str, rule: Rule) -> None:
    h0, g0 = (p[alias].expand_as(total) for p in (before.hidden, before.gradient))
    h1, g1 = point.hidden[alias], point.gradient[alias]
    for s in slices(total):
        if rule == "right":
            total[s].addcmul_(g1[s], h1[s] - h0[s])
        else:
            total[s].addcmul_(g0[s] + g1[s], h1[s] - h0[s], value=0.5)
