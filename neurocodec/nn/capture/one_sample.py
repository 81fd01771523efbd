"""Right gradients of normalisation for a sample that is alone.

With one sample, torch's backward pass of batch norm (which instance norm calls, all samples of it
as channels of one) reads a gradient whose strides are not those of its input in the wrong order
(torch 2.14, CPU: wrong by as much as the gradient itself behind ``flatten(2).transpose(1, 2)``).
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

NORMS: Final = {
    torch.batch_norm,
    torch.instance_norm,
    torch.native_batch_norm,
    functional.batch_norm,
    functional.instance_norm,
}


class RightForOne(TorchFunctionMode):
    """Give normalisation of one sample, and its backward pass, tensors in the plain layout."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        kwargs = kwargs or {}
        if func not in NORMS:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs.pop("input")
        if len(given) != 1:
            return func(given, *args[1:], **kwargs)
        result = func(plain_layout(given), *args[1:], **kwargs)
        if isinstance(result, Tensor) and result.requires_grad:
            result.register_hook(plain_layout)  # type: ignore[no-untyped-call]
        return result


def plain_layout(tensor: Tensor) -> Tensor:
    """Lay numbers out in the order of their axes, also along axes of one."""
    strides, size = list[int](), 1
    for length in reversed(tensor.shape):
        strides.append(size)
        size *= max(length, 1)
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - not a question of the network
        now = tensor.stride()
    if now == tuple(reversed(strides)):
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
