"""Right gradients of normalisation.

Where an axis has a length of one (a sample alone, maps of height or width 1), the strides along it
say nothing, and torch's backward pass of batch norm takes a gradient whose strides are not those of
its input for one in another order of axes (torch 2.14, CPU: wrong by as much as the gradient
itself, behind ``flatten(2).transpose(1, 2)``). Instance norm calls batch norm with all samples as
channels of one, and so is wrong for any number.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

INSTANCE_NORMS: Final = {torch.instance_norm, functional.instance_norm}
NORMS: Final = {
    *INSTANCE_NORMS,
    torch.batch_norm,
    torch.native_batch_norm,
    functional.batch_norm,
}


class RightNormalisation(TorchFunctionMode):
    """Give normalisation, and its backward pass, tensors in the plain layout where it matters."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        kwargs = kwargs or {}
        if func not in NORMS:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs.pop("input")
        if func not in INSTANCE_NORMS and 1 not in given.shape:
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
