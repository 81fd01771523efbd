"""A batch of samples, and what is affine between the input and the first captured layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from neurocodec.nn.capture.tracing import Trace
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
    """Samples that are computed together."""

    x: Tensor  # sample axis first; windows of a movie are a strided view
    frames: Tensor | None = None  # (time, y, x) that the windows were cut from
    first: int = 0  # position of the first sample in the whole stimulus

    def take(self, index: Tensor) -> Batch:
        """Some of the samples, no longer consecutive."""
        return Batch(self.x[index], first=self.first)


@dataclass(frozen=True)
class Prefix:
    """Everything from the input to the first captured layer, where it is affine."""

    layer: str  # alias of the first captured layer
    modules: tuple[tuple[nn.Module, torch.Size], ...]  # leaves, with the shape of their output
    convolution: nn.Conv2d | None = None  # that alone makes the layer from windows
    standardisation: Standardisation | None = None  # of frames, before the convolution
    spectra: dict[tuple[int, ...], Tensor] = field(
        default_factory=dict, repr=False
    )  # of its kernels

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
