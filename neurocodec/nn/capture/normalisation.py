"""Right gradients of batch and instance norm.

torch's backward pass of batch norm, which instance norm calls too, reads a gradient whose strides
are not those of its input in a wrong order of axes, where an axis of one (a sample alone, maps of
height or width 1) makes it ambiguous which order is meant (torch 2.14, CPU: wrong by as much as the
gradient itself, such as behind ``flatten(2).transpose(1, 2)``). It is right where both are laid out
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def lay_out_gradients(results: Iterable[Tensor]) -> None:
    """Let the gradient of each batch norm behind some results be laid out as its input is."""
    waiting, seen = [h.grad_fn for h in results], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [before for before, _ in node.next_functions]
        if "BatchNorm" in node.name():
            node.register_prehook(_alike(node))


def _alike(node: Any) -> Callable[..., tuple[Tensor | None, ...]]:
    strides = _strides(node._saved_input)  # noqa: SLF001 - kept for the backward pass

    def hook(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        first, *others = gradients
        return (None if first is None else laid_out(first, strides), *others)

    return hook


def laid_out(tensor: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Copy numbers to where strides say, also those along axes of one."""
    if _strides(tensor) == strides:
        return tensor
    return tensor.new_empty_strided(tensor.shape, strides).copy_(tensor)


def _strides(tensor: Tensor) -> tuple[int, ...]:
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - not a question of the network
        return tensor.stride()
