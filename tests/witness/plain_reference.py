"""What the toolkit should find, the long way: sample by sample, step by step, in float64.

Written from the formulas (docs/concepts.md, docs/maps.md, CODEC eq. 2-23) with hooks of its own,
plain loops and torch's autograd; nothing of `neurocodec` is imported. Norms and torch's attention
are replaced by arithmetic, as torch's own backward passes of norms are wrong for some strides of a
batch of one.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Value = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""Outputs (output,) and activations by alias, of one sample, to the number that is explained."""


@dataclass(frozen=True)
class Place:
    """Where an activation is read, and what its axes are."""

    module: str
    at: str = "output"
    occurrence: int = 0
    item: int | str | None = None
    kind: str = "maps"  # "vector" or "maps": channels second; "tokens": channels last
    token: int | None = None
    heads: int | None = None

    def units(self, h: Tensor) -> Tensor:
        """View one sample's activation (1, ...) as (channel, positions...)."""
        h = h[0]
        if self.kind != "tokens":
            return h
        if self.token is not None:
            h = h[self.token]
        if self.heads is not None:
            return h.unflatten(-1, (self.heads, h.shape[-1] // self.heads)).movedim(-2, 0)
        return h.movedim(-1, 0)


@dataclass(frozen=True)
class Mask:
    """Channels of a place that are replaced."""

    place: Place
    channels: tuple[int, ...]
    fill: float = 0.0
    kept: bool = False

    def __call__(self, h: Tensor) -> Tensor:
        keep = torch.ones_like(h)
        units = self.place.units(keep)
        for channel in range(len(units)):
            if (channel in self.channels) != self.kept:
                units[channel] = 0.0
        return h * keep + self.fill * (1 - keep)


@dataclass(frozen=True)
class Point:
    """The network at one input."""

    x: Tensor
    outputs: Tensor
    hidden: dict[str, Tensor]
    value: Tensor
    gradient: dict[str, Tensor]


class Reference:
    """A network, where it is looked at, and what is explained."""

    def __init__(
        self,
        module: nn.Module,
        places: Mapping[str, Place],
        select: Any = None,
        mask: Mask | None = None,
        *,
        written: bool = False,  # whether the module is a copy already
    ) -> None:
        self.module = module if written else written_out(module)
        self.places, self.select, self.mask = dict(places), select, mask

    def run(
        self, x: Tensor, replaced: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs and activations of one sample (1, ...), with the graph; some are replaced."""
        hidden: dict[str, Tensor] = {}
        with ExitStack() as stack, torch.enable_grad():
            if self.mask is not None:
                self._hook(stack, self.mask.place, self.mask)
            for alias, place in self.places.items():

                def visit(h: Tensor, alias: str = alias) -> Tensor:
                    h = (replaced or {}).get(alias, h)
                    h = h.clone() if h.requires_grad else h.detach().clone().requires_grad_()
                    hidden[alias] = h
                    return h.clone()  # what follows may work in place

                self._hook(stack, place, visit)
            found = self.module(x.clone())
        found = found if self.select is None else found[self.select]
        return found[0], hidden

    def _hook(self, stack: ExitStack, place: Place, visit: Callable[[Tensor], Tensor]) -> None:
        part, calls = self.module.get_submodule(place.module), itertools.count()

        def before(_part: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if next(calls) != place.occurrence:
                return None
            if args:
                return (visit(args[0]), *args[1:]), options
            name = next(iter(options))
            return args, {**options, name: visit(options[name])}

        def after(_part: nn.Module, _args: Any, found: Any) -> Any:
            if next(calls) != place.occurrence:
                return None
            if place.item is None:
                return visit(found)
            changed = visit(found[place.item])
            if isinstance(found, dict):
                return {**found, place.item: changed}
            return tuple(changed if i == place.item else part for i, part in enumerate(found))

        if place.at == "input":
            hook = part.register_forward_pre_hook(before, with_kwargs=True)
        else:
            hook = part.register_forward_hook(after)
        stack.callback(hook.remove)

    def point(self, x: Tensor, value: Value, replaced: Mapping[str, Tensor] | None = None) -> Point:
        """The value and its derivative in every place, where there is one."""
        outputs, hidden = self.run(x, replaced)
        y = value(outputs, hidden)
        found: Sequence[Tensor | None] = [None] * len(hidden)
        if y.requires_grad:
            found = torch.autograd.grad(y, [*hidden.values()], allow_unused=True)
        gradient = {a: g for a, g in zip(hidden, found, strict=True) if g is not None}
        plain = {a: h.detach() for a, h in hidden.items()}
        return Point(x, outputs.detach(), plain, y.detach(), gradient)

    def field(
        self, x: Tensor, value: Value, through: str | None = None, channel: int | None = None
    ) -> Tensor:
        """Derivative of the value with respect to the input, or what of it passes a channel."""
        x = x.detach().clone().requires_grad_()
        outputs, hidden = self.run(x)
        y = value(outputs, hidden)
        if through is None:
            return _gradient(y, x)
        h = hidden[through]
        keep = torch.zeros_like(h)
        self.places[through].units(keep)[channel] = 1.0
        return _gradient(h, x, _gradient(y, h) * keep)

    def rows(self, x: Tensor, alias: str, channel: int, factor: Tensor) -> Tensor:
        """Sum of factor dh/dx for each unit of a channel, (position, *input)."""
        x = x.detach().clone().requires_grad_()
        _, hidden = self.run(x)
        units = self.places[alias].units(hidden[alias])[channel].flatten()
        scale = self.places[alias].units(factor)[channel].flatten().tolist()
        found = [
            _gradient(unit, x)[0] * one if one else torch.zeros_like(x[0])
            for unit, one in zip(units, scale, strict=True)
        ]
        return torch.stack(found)

    def tangent(self, x: Tensor, alias: str, direction: Tensor) -> Tensor:
        """Derivative of an activation along a direction, by differentiating a gradient."""
        x = x.detach().clone().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            h = self.run(x)[1][alias]
        given = torch.zeros_like(h).requires_grad_()
        with torch.enable_grad():
            back = torch.autograd.grad(h, x, given, create_graph=True, allow_unused=True)[0]
        if back is None or not back.requires_grad:
            return torch.zeros_like(h)
        (found,) = torch.autograd.grad(back, given, direction, allow_unused=True)
        return torch.zeros_like(h) if found is None else found


def _gradient(y: Tensor, x: Tensor, given: Tensor | None = None) -> Tensor:
    if not y.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(y, x, given, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


@dataclass(frozen=True)
class Way:
    """A method, by its formula."""

    name: str
    steps: int = 1
    path: str = "input"
    rule: str = "trapezoid"

    def weights(self) -> list[float]:
        """Weight of the points 0, 1/M, ..., 1 in a mean along the path."""
        ends = (0.5, 0.5) if self.rule == "trapezoid" else (0.0, 1.0)
        return [w / self.steps for w in (ends[0], *[1.0] * (self.steps - 1), ends[1])]


@dataclass(frozen=True)
class Found:
    """Of one sample and place, in the shape of the activation (1, ...)."""

    values: Tensor
    activation: Tensor
    size: float  # of activation and gradient, which a difference of close numbers is rounded to
    y: float
    change: float | None  # y(x) - y(x'), where the contributions should sum to it


def contributions(
    reference: Reference,
    way: Way,
    value_at: Callable[[Tensor], Value],  # outputs at the sample -> what is explained
    x: Tensor,
    start: Tensor,
    *,
    given: bool,
) -> dict[str, Found]:
    """Contributions of every unit in every place, for one sample (1, ...)."""
    value = value_at(reference.run(x)[0].detach())
    end, first = reference.point(x, value), reference.point(start, value)
    change = float(end.value - first.value)
    promised = None if way.name in ("NormGrad", "Gradient", "Activation") else change
    found = {}
    for alias in end.gradient:
        values = _values(reference, way, alias, value, (first, end), given=given)
        h, g = end.hidden[alias], end.gradient[alias]
        size = float(h.abs().max() * g.abs().max())
        found[alias] = Found(values, h, size, float(end.value), promised)
    return found


def _values(  # noqa: PLR0911
    reference: Reference,
    way: Way,
    alias: str,
    value: Value,
    ends: tuple[Point, Point],
    *,
    given: bool,
) -> Tensor:
    first, end = ends
    h, g = end.hidden[alias], end.gradient[alias]
    above = h - first.hidden[alias] if given else h
    match way.name:
        case "ActGrad" | "SmoothGrad":
            return (h if way.name == "SmoothGrad" else above) * g
        case "NormGrad":
            norm = float(g.square().sum().sqrt())
            return above * (g / (norm or 1.0))
        case "Gradient":
            return g
        case "Activation":
            return h
        case "InputGrad":
            return reference.tangent(end.x, alias, end.x - first.x) * g
    if way.path == "hidden":
        h0 = first.hidden[alias]
        total = torch.zeros_like(h)
        for k, weight in enumerate(way.weights()):
            between = h0 + k / way.steps * (h - h0)
            total += weight * reference.point(end.x, value, {alias: between}).gradient[alias]
        return total * (h - h0)
    points = _path(reference, way, value, first.x, end.x)
    return _line_integral(points, way, alias)


def _path(reference: Reference, way: Way, value: Value, start: Tensor, x: Tensor) -> list[Point]:
    steps = way.steps
    return [reference.point(start + k / steps * (x - start), value) for k in range(steps + 1)]


def _line_integral(points: list[Point], way: Way, alias: str) -> Tensor:
    total = torch.zeros_like(points[0].hidden[alias])
    for a, b in itertools.pairwise(points):
        g = b.gradient[alias]
        g = 0.5 * (a.gradient[alias] + g) if way.rule == "trapezoid" else g
        total += g * (b.hidden[alias] - a.hidden[alias])
    return total


def channel_map(  # noqa: PLR0917
    reference: Reference,
    way: Way,
    value_at: Callable[[Tensor], Value],
    alias: str,
    channel: int,
    x: Tensor,
    start: Tensor,
) -> tuple[Tensor, Tensor]:
    """Map (sign, *input) of a channel, and its contribution (sign), for one sample (1, ...)."""
    place = reference.places[alias]
    value = value_at(reference.run(x)[0].detach())
    first, end = reference.point(start, value), reference.point(x, value)
    values = _values(reference, way, alias, value, (first, end), given=True)
    h, g = end.hidden[alias], end.gradient[alias]
    if way.name == "InputGrad":
        weighted = [(1.0, x, g)]
    else:
        at = [start + k / way.steps * (x - start) for k in range(way.steps + 1)]
        if way.name == "IntegratedGradients" and way.path == "input":
            factors = [reference.point(one, value).gradient[alias] for one in at]
        elif way.name == "IntegratedGradients":
            h0 = first.hidden[alias]
            lines = [h0 + k / way.steps * (h - h0) for k in range(way.steps + 1)]
            each = [reference.point(x, value, {alias: one}).gradient[alias] for one in lines]
            mean = sum(w * one for w, one in zip(way.weights(), each, strict=True))
            factors = [mean] * len(at)
        else:
            factors = [g] * len(at)
        weighted = [*zip(way.weights(), at, factors, strict=True)]
    own = place.units(values)[channel].flatten()
    total = torch.zeros(len(own), *x.shape[1:], dtype=x.dtype)
    for weight, one, factor in weighted:
        if weight:
            total += weight * reference.rows(one, alias, channel, factor)
    total = total * (x - start)[0]
    maps = torch.stack([total[own > 0].sum(0), total[own <= 0].sum(0)])
    return maps, torch.stack([own.clamp(min=0).sum(), own.clamp(max=0).sum()])


# modules whose backward passes are not torch's own


def written_out(module: nn.Module) -> nn.Module:
    """Copy a module in float64, with norms and attention by plain arithmetic."""
    copied = copy.deepcopy(module).double().eval().requires_grad_(requires_grad=False)
    for part in copied.modules():
        for kind, forward in _FORWARD.items():
            if isinstance(part, kind):
                part.forward = forward.__get__(part)
    return copied


def _per_channel(values: Tensor | None, like: Tensor, default: float) -> Tensor | float:
    return default if values is None else values.reshape(1, -1, *[1] * (like.ndim - 2))


def _standardised(z: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    mean = z.mean(dims, keepdim=True)
    return (z - mean) / ((z - mean).square().mean(dims, keepdim=True) + eps).sqrt()


def _scaled(part: Any, z: Tensor) -> Tensor:
    return z * _per_channel(part.weight, z, 1.0) + _per_channel(part.bias, z, 0.0)


def _batch_norm(part: Any, input: Tensor) -> Tensor:  # noqa: A002
    mean, variance = (_per_channel(s, input, 0.0) for s in (part.running_mean, part.running_var))
    return _scaled(part, (input - mean) / (variance + part.eps) ** 0.5)


def _instance_norm(part: Any, input: Tensor) -> Tensor:  # noqa: A002
    if part.running_mean is not None:
        return _batch_norm(part, input)
    return _scaled(part, _standardised(input, tuple(range(2, input.ndim)), part.eps))


def _group_norm(part: Any, input: Tensor) -> Tensor:  # noqa: A002
    grouped = input.reshape(len(input), part.num_groups, -1)
    return _scaled(part, _standardised(grouped, (2,), part.eps).reshape(input.shape))


def _layer_norm(part: Any, input: Tensor) -> Tensor:  # noqa: A002
    dims = tuple(range(input.ndim - len(part.normalized_shape), input.ndim))
    return _standardised(input, dims, part.eps) * part.weight + part.bias


def _attention(
    part: Any, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool = True
) -> tuple[Tensor, Tensor | None]:
    first = part.batch_first
    given = [z if first else z.transpose(0, 1) for z in (query, key, value)]
    size = part.embed_dim // part.num_heads
    q, k, v = (
        z @ weight.T + bias
        for z, weight, bias in zip(
            given, part.in_proj_weight.chunk(3), part.in_proj_bias.chunk(3), strict=True
        )
    )
    heads, seen = [], []
    for n in range(part.num_heads):
        own = slice(n * size, (n + 1) * size)
        scores = torch.einsum("bqd,bkd->bqk", q[..., own], k[..., own]) / math.sqrt(size)
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        weights = weights / weights.sum(-1, keepdim=True)
        seen.append(weights)
        heads.append(torch.einsum("bqk,bkd->bqd", weights, v[..., own]))
    found = torch.cat(heads, -1) @ part.out_proj.weight.T + part.out_proj.bias
    told = torch.stack(seen).mean(0) if need_weights else None
    return (found if first else found.transpose(0, 1)), told


_FORWARD: dict[Any, Callable[..., Any]] = {
    nn.modules.batchnorm._BatchNorm: _batch_norm,
    nn.modules.instancenorm._InstanceNorm: _instance_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.MultiheadAttention: _attention,
}
