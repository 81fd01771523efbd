"""A batch of samples, and what is affine between the input and the first captured layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.shortcuts import direct_convolution, skippable
from neurocodec.nn.capture.tracing import Trace
from neurocodec.nn.fast.convolution import replaced_forward
from neurocodec.nn.fast.movie import convolve_movie, is_even
from neurocodec.nn.standardisation import Standardisation


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
    modules: tuple[tuple[nn.Module, tuple[int, ...]], ...]  # with the shape of their output
    convolution: nn.Conv2d | None = None  # that alone makes the layer from windows
    standardisation: Standardisation | None = None  # of frames, before the convolution
    movie: Callable[[str, Batch], Tensor | None] | None = None  # the layer for windows, by one pass
    spectra: dict[tuple[int, ...], Tensor] = field(
        default_factory=dict, repr=False
    )  # of its kernels

    @classmethod
    def of(cls, capture: Capture, trace: Trace) -> Prefix | None:
        """Find the prefix that the flow of data proves; None where there is none."""
        flow, first = trace.flow, next(iter(trace.order), None)
        if first is None or not flow.is_affine(first) or flow.goes_round(through=first):
            return None
        modules = skippable(flow, capture.module, {first})
        convolution, standardisation = direct_convolution(flow, capture.module, first)
        if convolution is not None and not _is_of_windows(convolution):
            convolution = standardisation = None
        return cls(first, modules, convolution, standardisation) if modules else None

    @classmethod
    def shared(
        cls, capture: Capture, trace: Trace, movie: Callable[[str, Batch], Tensor | None]
    ) -> Prefix | None:
        """What comes before the first layer, which one pass over a movie makes for all windows."""
        flow, first = trace.flow, next(iter(trace.order), None)
        if first is None or flow.goes_round(through=first):
            return None
        return cls(first, skippable(flow, capture.module, {first}), movie=movie)

    def convolve(self, batch: Batch) -> Tensor | None:
        """Make the layer's activation for consecutive windows: by one pass, or by FFT."""
        if batch.frames is not None and self.movie is not None:
            return self.movie(self.layer, batch)
        if batch.frames is None or self.convolution is None or batch.frames.ndim != 3:
            return None
        weight, bias = self.convolution.weight, self.convolution.bias
        frames = (
            batch.frames if self.standardisation is None else self.standardisation(batch.frames)
        )
        if not is_even(frames):
            return None
        return convolve_movie(frames, weight, bias, spectra=self.spectra)

    @contextmanager
    def skipped(self) -> Iterator[None]:
        """Let the modules of the prefix return zeros of the right shape instead of computing."""
        with ExitStack() as stack:
            for module, shape in self.modules:
                stack.enter_context(replaced_forward(module, partial(_zeros, shape[1:])))
            yield


def _zeros(shape: Sequence[int], *args: Tensor, **named: Tensor) -> Tensor:
    x = next(iter((*args, *named.values())))
    return torch.zeros((), dtype=x.dtype, device=x.device).expand(len(x), *shape)


def _is_of_windows(module: nn.Conv2d) -> bool:
    unit = ((1, 1), (1, 1), 1)
    plain = (module.stride, module.dilation, module.groups) == unit
    return plain and not any(_padding(module))


def _padding(module: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(module.padding, str):
        return (0,) if module.padding == "valid" else (1,)
    return tuple(module.padding)
