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
from neurocodec.nn.attribution.between_layers import slopes
from neurocodec.nn.attribution.features import count
from neurocodec.nn.attribution.method import Attribution, Method, only
from neurocodec.nn.attribution.passes import Passes, Point, columns
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
        return self._found(passes, batch, slice(None))[0]

    def attribute_each(self, passes: Passes, batch: Batch) -> Iterator[Attribution]:
        """One forward pass per point of the line, and one backward pass for each feature."""
        if self.path == "input":
            for some in passes.blocks():
                yield from self._found(some, batch, slice(None))
            return
        for start in range(0, count(passes.target), passes.block):
            yield from self._found(passes, batch, slice(start, start + passes.block))

    def _found(self, passes: Passes, batch: Batch, some: slice) -> list[Attribution]:
        if self.steps == "auto":
            return self._refine(passes, batch, some)
        return self._integrate(passes, batch, some, self.steps)

    def _integrate(
        self, passes: Passes, batch: Batch, some: slice, steps: int
    ) -> list[Attribution]:
        if self.path == "hidden":
            return _along_hidden(passes, batch, some, steps, self.rule)
        target = fixed_target(passes, batch)
        return _along_input(passes, batch, target, steps, self.rule)

    def _refine(self, passes: Passes, batch: Batch, some: slice) -> list[Attribution]:
        steps = min(FIRST_STEPS, self.max_steps)
        found = self._integrate(passes, batch, some, steps)
        taken = [torch.full_like(one.target, steps, dtype=torch.int64) for one in found]
        missing = [incomplete(one, self.tolerance) for one in found]
        while steps < self.max_steps:
            index = torch.stack([_any(absent) for absent in missing]).any(0).nonzero().flatten()
            if not len(index):
                break
            steps = min(2 * steps, self.max_steps)
            better = self._integrate(passes.taking(index), batch.take(index), some, steps)
            for place, (one, new) in enumerate(zip(found, better, strict=True)):
                taken[place][index[_any(missing[place])[index]]] = steps
                still = incomplete(new, self.tolerance)
                for alias, absent in missing[place].items():
                    _overwrite(one, new, alias, index, absent[index])
                    absent[index] &= still[alias]
        done = zip(found, taken, missing, strict=True)
        return [replace(one, steps=n, converged=~_any(absent)) for one, n, absent in done]


def fixed_target(passes: Passes, batch: Batch) -> Target:
    """Target with what it holds along the path, such as the class found at the sample."""
    if not getattr(passes.target, "hold", False):
        return passes.target
    return passes.fixed(passes.seen(batch))


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
) -> list[Attribution]:
    """Integral of the target, or integrals of each of its features, along the line."""
    path = passes.path(batch, target)
    sums = dict[str, Tensor]()
    sizes = (len(batch.x), count(passes.target)) if passes.apart else (len(batch.x),)
    around = {alias: batch.x.new_zeros(sizes) for alias in passes.bypassed}

    def points() -> Iterator[Point]:
        for weight, alpha in nodes(steps, rule):
            point = path.at(alpha)
            for alias, total in around.items():
                total.add_(path.around(alias, alpha, point), alpha=weight)
            yield point

    start = [path.at(0.0)] if rule == "right" else []
    first, last = _walk(chain(start, points()), passes.aliases, sums, rule)
    hidden, values = only(passes, last.hidden), columns(last.target)
    difference = values - columns(first.target)
    return [
        Attribution(
            {alias: total[place] if passes.apart else total for alias, total in sums.items()},
            hidden,
            values[:, place],
            {alias: difference[:, place].clone() for alias in passes.aliases},
            {alias: columns(total)[:, place] for alias, total in around.items()},
            outputs=last.outputs,
        )
        for place in range(values.shape[1])
    ]


def _along_hidden(
    passes: Passes, batch: Batch, some: slice, steps: int, rule: Rule
) -> list[Attribution]:
    """Integrals for some of the target's features along the straight line in each layer."""
    with torch.no_grad():
        end = passes.end(batch)
        target = passes.fixed(end)
        values = columns(passes.value(end, target))[:, some]
    line = _Line(passes, batch.x, target, some, steps, rule)
    found = [Attribution({}, only(passes, end.hidden), value, {}) for value in values.unbind(1)]
    for alias in passes.aliases:
        part = passes.part(alias)
        sums, first = line.integrals(alias, part.cut(end.hidden[alias]))
        before = first if passes.from_zero else line.baseline
        for place, one in enumerate(found):
            one.values[alias] = sums[place]
            if part.window is not None:
                one.windows[alias] = part.window
            one.change[alias] = one.target - before[:, place]
            if alias in passes.bypassed and not passes.from_zero:
                # the sample, but for the layer, which is as at the baseline
                one.bypass[alias] = first[:, place] - before[:, place]
    return found


@dataclass(frozen=True)
class _Line:
    """Straight lines in layers from the baseline, or from 0, to some samples."""

    passes: Passes
    x: Tensor
    target: Target
    some: slice  # of the features
    steps: int
    rule: Rule

    @property
    def baseline(self) -> Tensor:
        """Target (sample, feature) at the baseline."""
        start = self.passes.start_pass.repeated(len(self.x))
        with torch.no_grad():
            return columns(self.passes.value(start, self.target))[:, self.some]

    def integrals(self, alias: str, end: Tensor) -> tuple[list[Tensor], Tensor]:
        """Sums of g dh of each feature, and the target (sample, feature) where the line starts."""
        start = torch.zeros_like(end)
        if not self.passes.from_zero:
            start = self.passes.part(alias).cut(self.passes.start_pass.hidden[alias])
            start = start.expand_as(end)
        sums, first = list[Tensor](), None
        for weight, alpha in nodes(self.steps, self.rule):
            with torch.enable_grad():
                values, hidden = self._values(alias, torch.lerp(start, end, alpha))
            first = values.detach() if alpha == 0 else first
            for place, slope in enumerate(slopes(values, {alias: hidden})):
                if place == len(sums):
                    sums.append(torch.zeros_like(end))
                sums[place].add_(slope[alias], alpha=weight)
        if first is None:  # a rule that leaves out the start, where there may be no gradient
            with torch.no_grad():
                first = self._values(alias, start)[0]
        return [total.mul_(end - start) for total in sums], first

    def _values(self, alias: str, hidden: Tensor) -> tuple[Tensor, Tensor]:
        part = self.passes.part(alias)
        read, at = part.run(self.x, hidden)
        return columns(part.target(self.target)(read))[:, self.some], at


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
                sums[alias] = torch.zeros_like(point.gradient[alias])
            _add_step(sums[alias], before, point, alias, rule)
        before = point
    return first, before


def _add_step(total: Tensor, before: Point, point: Point, alias: str, rule: Rule) -> None:
    # with a dim of features before the samples, where there are many
    h0, h1 = (p.hidden[alias].expand_as(total) for p in (before, point))
    g0, g1 = before.gradient[alias].expand_as(total), point.gradient[alias]
    for s in slices(total):
        if rule == "right":
            total[s].addcmul_(g1[s], h1[s] - h0[s])
        else:
            total[s].addcmul_(g0[s] + g1[s], h1[s] - h0[s], value=0.5)
