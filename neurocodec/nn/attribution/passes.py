"""Forward and backward passes for one target, and the straight path from baseline to input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.capture.tracing import Trace, agree
from neurocodec.nn.fast.convolution import replaced_forward
from neurocodec.nn.fast.movie import convolve_movie
from neurocodec.nn.standardisation import Standardisation

AFFINE = (
    nn.modules.conv._ConvNd,  # noqa: SLF001
    nn.modules.batchnorm._BatchNorm,  # noqa: SLF001
    nn.Linear,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool2d,
    nn.ZeroPad2d,
    nn.modules.dropout._DropoutNd,  # noqa: SLF001
    Standardisation,
)
"""Modules that are affine in evaluation mode."""


@dataclass(frozen=True)
class Batch:
    """Samples that are computed together.

    Parameters
    ----------
    x
        Inputs, sample axis first; windows of a movie are a strided view.
    frames
        The consecutive frames (time, y, x) that the windows `x` were cut from.
    first
        Position of the first sample in the whole stimulus.
    """

    x: Tensor
    frames: Tensor | None = None
    first: int = 0

    def take(self, index: Tensor) -> Batch:
        """Some of the samples, no longer consecutive."""
        return Batch(self.x[index], first=self.first)


@dataclass(frozen=True)
class Point:
    """The network at one input: outputs, target, hidden activations and their gradients."""

    outputs: Tensor
    target: Tensor
    hidden: dict[str, Tensor]
    gradient: dict[str, Tensor]


@dataclass
class Passes:
    """Passes through a captured module for one target.

    Parameters
    ----------
    capture
        Hooks on the module, attached.
    target
        What is differentiated, bound to the network's outputs.
    baseline
        Where paths start: one input, of shape (1, ...), that all samples share.
    given
        Whether the baseline was asked for, or is zeros because a path must start somewhere.
    prefix
        What comes before the first captured layer, where it is affine and may be skipped.
    aliases
        Layers whose gradients are wanted; others (a `Feature`'s own) are only read.
    """

    capture: Capture
    target: Target
    baseline: Tensor
    given: bool = False
    prefix: Prefix | None = None
    aliases: tuple[str, ...] = ()

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
        target = self.target.fixed_at(point.outputs)
        start = self.start_pass
        if target.per_sample:
            start = Pass(start.outputs.expand_as(point.outputs), start.hidden)
        with torch.no_grad():
            return point.target - self.value(start, target)

    def value(self, done: Pass, target: Target) -> Tensor:
        """Target of every sample, from the outputs or from the layer that it reads."""
        if target.layer is None:
            return target(done.outputs)
        layer = self.capture.layers[target.layer]
        return target(layer.channels_first(done.hidden[target.layer]))

    def look(self, x: Tensor) -> Pass:
        """Run one forward pass without gradients."""
        return self.capture.look(x)

    def point(
        self,
        x: Tensor,
        target: Target | None = None,
        replace: dict[str, Tensor] | None = None,
        wanted: Iterable[str] | None = None,
    ) -> Point:
        """Run one forward pass, and one backward pass that ends at the earliest wanted layer."""
        aliases = tuple(wanted or self.aliases)
        with torch.enable_grad():
            done = self.capture.run(x, replace)
            value = self.value(done, target or self.target)
            found = self._differentiate(value, [done.hidden[a] for a in aliases])
        for alias, gradient in zip(aliases, found, strict=True):
            if gradient is None:
                raise CaptureError(
                    came=f"the target does not depend on layer {alias!r}",
                    expected="layers between the input and what the target reads",
                    hint="layers=[...] without it",
                )
        gradients = {a: g for a, g in zip(aliases, found, strict=True) if g is not None}
        return Point(done.outputs.detach(), value.detach(), done.detached(), gradients)

    @staticmethod
    def _differentiate(value: Tensor, hidden: list[Tensor]) -> tuple[Tensor | None, ...]:
        if not value.requires_grad:
            return (None,) * len(hidden)
        return torch.autograd.grad(value.sum(), hidden, allow_unused=True)

    def path(self, batch: Batch, target: Target) -> Path:
        """Straight path from the baseline to the inputs of a batch."""
        if self.prefix is None:
            return Path(self, batch, target)
        return AffinePath(self, batch, target)


class Path:
    """The straight line x' + alpha (x - x') in input space, and what the network does along it."""

    def __init__(self, passes: Passes, batch: Batch, target: Target) -> None:
        self.passes, self.batch, self.target = passes, batch, target
        self.baseline = passes.baseline

    def at(self, alpha: float) -> Point:
        """Evaluate the network at `alpha`; at 0 it is one sample, where all samples share it."""
        if alpha == 0 and self.target.per_sample:
            return self.passes.point(self.baseline.expand_as(self.batch.x), self.target)
        if alpha == 0:
            return self.passes.start
        x = self.batch.x if alpha == 1 else torch.lerp(self.baseline, self.batch.x, alpha)
        return self.passes.point(x, self.target)


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
        end = self.prefix.convolve(batch)
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


@dataclass(frozen=True)
class Prefix:
    """Everything from the input to the first captured layer, where it is affine.

    Parameters
    ----------
    layer
        Alias of the first captured layer.
    modules
        Leaf modules that run up to it, with the shape of their output.
    convolution
        The convolution that alone makes the layer from windows of a movie, where it does.
    standardisation
        What the frames go through before the convolution, where there is such a thing.
    spectra
        Its kernels' transforms, kept from batch to batch.
    """

    layer: str
    modules: tuple[tuple[nn.Module, torch.Size], ...]
    convolution: nn.Conv2d | None = None
    standardisation: Standardisation | None = None
    spectra: dict[tuple[int, ...], Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, trace: Trace) -> Prefix | None:
        """Find the prefix in what a trace saw; None where a module in it is not affine."""
        modules = trace.prefix
        if not modules or not all(isinstance(m, AFFINE) for m, _ in modules):
            return None
        inner = [m for m, _ in modules]
        first = inner[0] if isinstance(inner[0], Standardisation) else None
        windowed = _window_convolution(inner if first is None else inner[1:])
        direct = windowed if windowed in trace.graph.direct else None
        return cls(trace.order[0], modules, direct, first)

    def convolve(self, batch: Batch) -> Tensor | None:
        """Make the layer's activation for consecutive windows of a movie, by FFT."""
        if batch.frames is None or self.convolution is None:
            return None
        weight, bias = self.convolution.weight, self.convolution.bias
        frames = (
            batch.frames if self.standardisation is None else self.standardisation(batch.frames)
        )
        return convolve_movie(frames, weight, bias, spectra=self.spectra)

    @contextmanager
    def skipped(self) -> Iterator[None]:
        """Let the modules of the prefix return zeros of the right shape instead of computing."""
        with ExitStack() as stack:
            for module, shape in self.modules:
                stack.enter_context(replaced_forward(module, partial(_zeros, shape[1:])))
            yield


def _zeros(shape: torch.Size, x: Tensor, *_args: object, **_options: object) -> Tensor:
    return torch.zeros((), dtype=x.dtype, device=x.device).expand(len(x), *shape)


def _window_convolution(modules: list[nn.Module]) -> nn.Conv2d | None:
    if len(modules) != 1 or type(modules[0]) is not nn.Conv2d:
        return None
    module = modules[0]
    unit = ((1, 1), (1, 1), 1)
    plain = (module.stride, module.dilation, module.groups) == unit
    return module if plain and not any(_padding(module)) else None


def _padding(module: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(module.padding, str):
        return (0,) if module.padding == "valid" else (1,)
    return tuple(module.padding)


def prefix_holds(passes: Passes, batch: Batch) -> bool:
    """Whether a replay equals a full pass, at an inner point of the path, for this batch.

    Parameters
    ----------
    passes
        Passes whose prefix is to be checked.
    batch
        The first batch.
    """
    alpha = 0.37
    try:
        path = AffinePath(passes, batch, passes.target)
        quick = path.replay(alpha)
    except RuntimeError:
        return False
    full = Path(passes, batch, passes.target).at(alpha)
    return agree(Pass(quick.outputs, quick.hidden), Pass(full.outputs, full.hidden))
