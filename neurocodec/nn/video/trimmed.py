"""Padding along time, left out: an answer that sees all of its frames does not need it.

A convolution that pads computes, for one answer, as many steps as its window has; without padding
only those that the answer depends on, which are the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn

Trims: TypeAlias = Mapping[str, tuple[int, int, int]]
"""Name of a convolution over (time, y, x) -> its padding without that along time."""


def trims_of(module: nn.Module) -> Trims:
    """Convolutions that pad along time."""
    found = {name: _without_time(part) for name, part in module.named_modules()}
    return {name: padding for name, padding in found.items() if padding is not None}


@contextmanager
def trimmed(module: nn.Module, trims: Trims) -> Iterator[None]:
    """Let convolutions pad in space alone, for the length of a ``with`` block."""
    if not trims:
        yield
        return
    parts = {name: module.get_submodule(name) for name in trims}
    before = {name: part.padding for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.padding = trims[name]  # type: ignore[assignment]
        yield
    finally:
        for name, part in parts.items():
            part.padding = before[name]


def _without_time(part: nn.Module) -> tuple[int, int, int] | None:
    """Padding in space of a convolution over (time, y, x) that pads along time; None of others."""
    padding, kernel = vars(part).get("padding"), _kernel(part)
    if kernel is None or getattr(part, "padding_mode", "zeros") != "zeros":
        return None
    if padding == "same":
        odd = all(size % 2 for size in kernel[1:])
        return (0, kernel[1] // 2, kernel[2] // 2) if odd and kernel[0] > 1 else None
    if isinstance(padding, int):
        padding = (padding,) * 3
    if not isinstance(padding, tuple) or len(padding) != 3 or not padding[0]:
        return None
    return (0, padding[1], padding[2])


def _kernel(part: Any) -> tuple[int, int, int] | None:
    """Size over (time, y, x): of torch's own, and of those that name theirs as open-retina does."""
    if isinstance(part, nn.Conv3d):
        size, height, width = part.kernel_size
        return (size, height, width) if set(part.dilation) == {1} else None
    size = vars(part).get("temporal_kernel_size")
    height = vars(part).get("spatial_kernel_size")
    width = vars(part).get("spatial_kernel_size2", height)
    if all(isinstance(n, int) for n in (size, height, width)):
        return (size, height, width)
    return None
