"""Forward and backward passes for one target, and the straight path from baseline to input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.between_layers import Part, independent, slopes
from neurocodec.nn.attribution.features import Features, count
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.window import Window
from neurocodec.nn.capture.hooks import Capture, Pass, gradients
from neurocodec.nn.capture.prefix import Batch, Prefix
from neurocodec.nn.capture.tracing import agree, same_slopes
from neurocodec.nn.video.one_pass import OnePass
from neurocodec.nn.video.windowed import laid


@dataclass(frozen=True)
class Point:
    """The network at one input: outputs, target, hidden activations and their gradients."""

    outputs: Tensor  # (sample, 0) where the pass went no further than the layers
    target: Tensor
    hidden: dict[str, Tensor]
    gradient: dict[str, Tensor]
    at_zero: dict[str, Tensor] = field(default_factory=dict)  # the target, were a layer 0
    windows: dict[str, Window] = field(default_factory=dict)  # that gradients are of


@dataclass
class Passes:
    """Passes through a captured module for one target."""

    capture: Capture
    target: Target  # bound to the network's outputs
    baseline: Tensor  # one input (1, ...), that all samples share
    given: bool = False  # asked for, or zeros as a path must start somewhere
    prefix: Prefix | None = None  # affine, and may be skipped
    whole: OnePass | None = None  # over a movie in place of one for each window
    shared: Prefix | None = None  # what it makes for all windows before the first layer
    aliases: tuple[str, ...] = ()  # layers whose gradients are wanted; others are only read
    bypassed: frozenset[str] = frozenset()  # of these, those that something goes around
    parts: dict[str, Part] = field(default_factory=dict)  # from a layer on; whole passes without
    from_zero: bool = False  # lines in a layer start at 0, not at what it is at the baseline
    block: int = 1  # features whose sums along a line are held at once
    apart: bool = False  # gradients of every feature (feature, sample, ...), not of their sum

    def __post_init__(self) -> None:
        self.aliases = self.aliases or tuple(self.capture.layers)

    @cached_property
    def start(self) -> Point:
        """The network at the baseline, computed once."""
        return self.point(self.baseline)

    @cached_property
    def start_pass(self) -> Pass:
        """Outputs and activations at the baseline, without gradients, computed once."""
        return self.look(self.baseline)

    def change(self, point: Point) -> Tensor:
        """y(x) - y(x') of every sample."""
        target = self.fixed(point)
        start = self.start_pass
        if target.per_sample:
            start = start.repeated(len(point.target))
        with torch.no_grad():
            return point.target - self.value(start, target)

    def changes(self, point: Point, x: Tensor) -> dict[str, Tensor]:
        """Alias -> what the contributions of a layer should sum to."""
        if not self.from_zero:
            return dict.fromkeys(self.aliases, self.change(point))
        zero = point.at_zero or self._at_zero(x, point.hidden, self.fixed(point))
        return {alias: point.target - zero[alias] for alias in self.aliases}

    def _at_zero(self, x: Tensor, hidden: dict[str, Tensor], target: Target) -> dict[str, Tensor]:
        """Alias -> the target of samples, were the layer 0; of one, where nothing goes around."""
        found = dict[str, Tensor]()
        for alias in self.aliases:
            own = alias in self.bypassed or target.per_sample
            some = slice(None if own else 1)
            with torch.no_grad():
                part = self.part(alias)
                zero = torch.zeros_like(part.cut(hidden[alias][some]))
                value = part.target(target)(part.run(x[some], zero)[0])
            found[alias] = value.expand(len(x), *value.shape[1:])
        return found

    def fixed(self, done: Pass | Point) -> Target:
        """The target with what it keeps of these samples, such as the class found at them."""
        return self.target.fixed_at(self.read(done, self.target))

    def value(self, done: Pass, target: Target) -> Tensor:
        """Target of every sample, from the outputs or from the layer that it reads."""
        return target(self.read(done, target))

    def read(self, done: Pass | Point, target: Target) -> Tensor:
        """What a target is called with: the outputs, or the layer that it reads."""
        if target.layer is None:
            return done.outputs
        return self.capture.layers[target.layer].channels_first(done.hidden[target.layer])

    def look(self, x: Tensor) -> Pass:
        """Run one forward pass without gradients."""
        return self.capture.look(x)

    def seen(self, batch: Batch) -> Pass:
        """Outputs and layers of a batch, without gradients: by one pass over its movie, if so."""
        found = None if self.whole is None else self.whole.seen(batch)
        return self.look(batch.x) if found is None else found

    def end(self, batch: Batch) -> Pass:
        """The same as far as `reach` goes; of a movie in one pass, as far as there is."""
        found = None if self.whole is None else self.whole.seen(batch)
        with torch.no_grad():
            return self.reach(batch.x) if found is None else found

    def reach(self, x: Tensor, given: dict[str, Tensor] | None = None) -> Pass:
        """Run as far as the layers and what the target reads, and no further."""
        if self.target.layer is None:
            return self.capture.run(x, given)
        return Pass(x.new_empty(len(x), 0), self.capture.reach(x, self.capture.layers, given))

    def part(self, alias: str) -> Part:
        """What comes between a layer and what the target reads."""
        return self.parts.get(alias) or Part(self.capture, alias, self.target.layer)

    def toward(self, target: Target) -> Passes:
        """The same passes for another target; what no target changes is shared."""
        other = replace(self, target=target)
        vars(other)["start_pass"] = self.start_pass
        return other

    def of(self, batch: Batch) -> Passes:
        """The same passes for what the target is of the samples of a batch: their own labels."""
        return self.taking(torch.arange(batch.first, batch.first + len(batch.x)))

    def taking(self, index: Tensor) -> Passes:
        """The same passes for some of the samples, which a target of their labels must know."""
        target = self.target.at_samples(index)
        return self if target is self.target else self.toward(target)

    def blocks(self) -> Iterator[Passes]:
        """Passes for as many features as are held at once, with the gradients of each."""
        for start in range(0, count(self.target), self.block):
            some = self.target
            if isinstance(some, Features):
                some = some.some(slice(start, start + self.block))
            passes = self.toward(some)
            passes.apart = True
            yield passes

    def each(self) -> Iterator[Passes]:
        """Passes for each of the target's features."""
        if not isinstance(self.target, Features):
            yield self
            return
        for place in range(len(self.target)):
            yield self.toward(self.target.one(place))

    def points(self, batch: Batch) -> Iterator[tuple[Passes, Point]]:
        """The network at the samples for each of the target's features, after one forward pass.

        Gradients are of the windows alone, where the layers have them.
        """
        x, windows = batch.x, {a: w for a in self.aliases if (w := self.part(a).window) is not None}
        whole = [alias for alias in self.aliases if alias not in windows]
        with torch.set_grad_enabled(bool(whole)):
            done = self._reached(batch) if whole else self.end(batch)
            hidden, outputs = done.detached(), done.outputs.detach()
            target = self.fixed(Pass(outputs, hidden))
            values = columns(self.value(done, target))
        found = [slopes(values, {alias: done.hidden[alias] for alias in whole})] if whole else []
        found += [self._within(a, x, hidden[a], target) for a in windows]
        zero = self._at_zero(x, hidden, target) if self.from_zero else {}
        for place, (passes, *parts) in enumerate(zip(self.each(), *found, strict=True)):
            own = {alias: columns(value)[:, place] for alias, value in zero.items()}
            gradient = {alias: slope for part in parts for alias, slope in part.items()}
            value = values[:, place].detach()
            yield passes, Point(outputs, value, hidden, gradient, own, windows)

    def _within(
        self, alias: str, x: Tensor, hidden: Tensor, target: Target
    ) -> Iterator[dict[str, Tensor]]:
        """Gradients of each feature in the window of a layer."""
        part = self.part(alias)
        with torch.enable_grad():
            read, at = part.run(x, part.cut(hidden))
            values = columns(part.target(target)(read))
        return slopes(values, {alias: at})

    def point(
        self,
        x: Tensor,
        target: Target | None = None,
        replace: dict[str, Tensor] | None = None,
        wanted: Iterable[str] | None = None,
    ) -> Point:
        """Run one forward pass, and one backward pass that ends at the earliest wanted layer."""
        aliases = tuple(wanted or self.aliases)
        if self.apart:
            return self._point_of_each(x, target or self.target, replace, aliases)
        with torch.enable_grad():
            done = self.capture.run(x, replace)
            value = self.value(done, target or self.target)
            found = self._differentiate(value, [done.hidden[a] for a in aliases])
        for alias, gradient in zip(aliases, found, strict=True):
            if gradient is None:
                raise independent(alias)
        gradients = {a: g for a, g in zip(aliases, found, strict=True) if g is not None}
        return Point(done.outputs.detach(), value.detach(), done.detached(), gradients)

    def _point_of_each(
        self, x: Tensor, target: Target, replace: dict[str, Tensor] | None, aliases: tuple[str, ...]
    ) -> Point:
        """One forward pass as far as the target, and a backward pass for each of its features."""
        with torch.enable_grad():
            done = Pass(x.new_empty(len(x), 0), self.capture.reach(x, self.capture.layers, replace))
            values = columns(self.value(done, target))
            found = [*slopes(values, {alias: done.hidden[alias] for alias in aliases})]
        stacked = {alias: torch.stack([one.pop(alias) for one in found]) for alias in aliases}
        return Point(done.outputs, values.detach(), done.detached(), stacked)

    def at(self, batch: Batch, target: Target | None = None, alpha: float = 1) -> Point:
        """The network at samples, or at `alpha` between baseline and these, with what is shared."""
        first = self._first(batch, alpha)
        if self.shared is None or first is None:
            x = batch.x if alpha == 1 else torch.lerp(self.baseline, batch.x, alpha)
            return self.point(x, target)
        with self.shared.skipped():
            return self.point(batch.x, target, {self.shared.layer: first})

    def _reached(self, batch: Batch) -> Pass:
        """Run a batch as far as `reach` does, with what is shared."""
        first = self._first(batch)
        if self.shared is None or first is None:
            return self.reach(batch.x)
        with self.shared.skipped():
            return self.reach(batch.x, {self.shared.layer: first})

    def _first(self, batch: Batch, alpha: float = 1) -> Tensor | None:
        """Make the first layer of all windows by one pass over their movie, where it is shared."""
        frames = batch.frames
        if self.shared is None or frames is None or (alpha != 1 and not self.is_still):
            return None
        if alpha != 1:
            frames = torch.lerp(self.baseline[0, :1], frames, alpha)
        with torch.no_grad():
            return self.shared.convolve(replace(batch, frames=frames))

    @cached_property
    def is_still(self) -> bool:
        """Whether all frames of the baseline are one."""
        return bool((self.baseline == self.baseline[:, :1]).all())

    @staticmethod
    def _differentiate(value: Tensor, hidden: list[Tensor]) -> tuple[Tensor | None, ...]:
        if not value.requires_grad:
            return (None,) * len(hidden)
        known = [h for h in hidden if h.requires_grad]
        if not known:
            return (None,) * len(hidden)
        found = iter(gradients(value.sum(), known))
        return tuple(next(found) if h.requires_grad else None for h in hidden)

    def path(self, batch: Batch, target: Target) -> Path:
        """Straight path from the baseline to the inputs of a batch."""
        if self.prefix is None:
            return Path(self, batch, target)
        return AffinePath(self, batch, target)


def columns(values: Tensor) -> Tensor:
    """(sample, feature) of a target of one number, or of many."""
    return values if values.ndim > 1 else values[:, None]


class Path:
    """The straight line x' + alpha (x - x') in input space, and what the network does along it."""

    def __init__(self, passes: Passes, batch: Batch, target: Target) -> None:
        # several passes take them
        batch = replace(batch, x=laid(passes.capture.module, batch.x))
        self.passes, self.batch, self.target = passes, batch, target
        self.baseline = passes.baseline

    def at(self, alpha: float) -> Point:
        """Evaluate the network at `alpha`; at 0 it is one sample, where all samples share it."""
        if alpha == 0 and self.target.per_sample:
            return self.passes.point(self.baseline.expand_as(self.batch.x), self.target)
        if alpha == 0:
            return self.passes.start
        return self.passes.at(self.batch, self.target, alpha)

    def input(self, alpha: float) -> Tensor:
        """Input of every sample."""
        if alpha == 1:
            return self.batch.x
        return torch.lerp(self.baseline, self.batch.x, alpha)

    def around(self, alias: str, alpha: float, point: Point) -> Tensor:
        """Derivative along the line of the target of every sample, with one layer held.

        (sample) of a target of one number, else (sample, feature).
        NaN where a network that works in place has no gradients down to the input.
        """
        x = self.input(alpha)
        held = point.hidden[alias]
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            done = self.passes.capture.run(leaf, {alias: held.expand(len(x), *held.shape[1:])})
            value = self.passes.value(done, self.target)
        if not value.requires_grad:
            return x.new_zeros(value.shape)
        every, around = columns(value).unbind(1), list[Tensor]()
        try:
            for more, one in enumerate(every, 1 - len(every)):
                found = torch.autograd.grad(
                    one.sum(), leaf, allow_unused=True, retain_graph=more < 0
                )[0]
                slope = torch.zeros_like(x) if found is None else found
                around.append((slope * (self.batch.x - self.baseline)).flatten(1).sum(1))
        except RuntimeError:
            return x.new_full(value.shape, torch.nan)
        return torch.stack(around, 1).view_as(value)


class AffinePath(Path):
    """The same line where the first captured layer is an affine function of the input.

    The path in that layer is straight too, so its two ends are computed once and only what comes
    after is run at every step.
    """

    def __init__(self, passes: Passes, batch: Batch, target: Target) -> None:
        super().__init__(passes, batch, target)
        if passes.prefix is None:
            raise CaptureError(came="a network without an affine prefix")
        self.prefix = passes.prefix
        self.known = {0.0: super().at(0)}
        end = self.prefix.convolve(self.batch)
        if end is None:
            self.known[1.0] = super().at(1)
            end = self.known[1.0].hidden[self.prefix.layer]
        self.ends = self.known[0.0].hidden[self.prefix.layer], end

    def at(self, alpha: float) -> Point:
        """Evaluate the network at `alpha` by a replay from the first captured layer on."""
        return self.known.get(alpha) or self.replay(alpha)

    def replay(self, alpha: float) -> Point:
        """Run what comes after the first captured layer."""
        hidden = torch.lerp(*self.ends, alpha)
        with self.prefix.skipped():
            return self.passes.point(self.batch.x, self.target, {self.prefix.layer: hidden})


def shared_holds(passes: Passes, batch: Batch) -> bool:
    """Whether what one pass over a movie makes gives the same as windows, for this batch."""
    try:
        quick = passes.at(batch)
    except Exception:  # noqa: BLE001 - of whatever kind: then all of it is computed
        return False
    full = passes.point(batch.x)
    same = agree(Pass(quick.outputs, quick.hidden), Pass(full.outputs, full.hidden))
    return same and same_slopes(quick.gradient, full.gradient)


def prefix_holds(passes: Passes, batch: Batch) -> bool:
    """Whether a replay equals a full pass, at an inner point of the path, for this batch."""
    alpha = 0.37
    try:
        path = AffinePath(passes, batch, passes.target)
        quick = path.replay(alpha)
    except Exception:  # noqa: BLE001 - of whatever kind: then all of it is computed
        return False
    full = Path(passes, batch, passes.target).at(alpha)
    same = agree(Pass(quick.outputs, quick.hidden), Pass(full.outputs, full.hidden))
    return same and same_slopes(quick.gradient, full.gradient)
