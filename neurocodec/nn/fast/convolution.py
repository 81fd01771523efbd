"""The same convolutional network, computed faster on the CPU for the length of a run.

Three rewritings, none of which changes a parameter of the module, all checked against the plain
network on the first samples and dropped where the check fails (figures: benchmarks/convolution.py,
2 cores, torch 2.15):

- Batch norm in evaluation mode is an affine map and is folded into the convolution before it.
- Kernels are laid out channels last, and so are the activations that they make (with the folding:
  ResNet-50, forward and backward pass for 8 images, 0.31 s in place of 0.46 s).
- The gradient of a convolution of stride 1 with respect to its input is a convolution with the
  mirrored kernels. For large kernels torch's general backward routine takes twice as long as its
  forward routine for the same work (8 to 8 channels, 11x11, 16 samples: 1.57 ms and 0.72 ms; by
  the forward routine 0.82 ms), so that is called both ways. On a processor with AVX-512 the layout
  makes no difference to these; on one without it, the plain one takes 2 to 4 times as long (128
  samples, one thread: 45 and 158 ms, channels last 24 and 46 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurocodec.nn.device import widest

LARGE_KERNEL = 5
"""From this side on, the gradient is computed by a mirrored convolution."""


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module compute something else for the length of a ``with`` block; hooks still run."""
    before = module.__dict__.get("forward")
    try:
        module.forward = forward
        yield
    finally:
        module.__dict__.pop("forward", None)
        if before is not None:
            module.forward = before


@contextmanager
def rewritten(
    module: nn.Module, normalised: Mapping[nn.Module, nn.Module], safe: Set[nn.Module]
) -> Iterator[None]:
    """Compute `safe` convolutions in faster form, each with its norm of `normalised` folded in."""
    with ExitStack() as stack:
        for part in module.modules():
            if part in safe and is_rewritable(part):
                norm = normalised.get(part)
                forward = partial(_forward, _kernels(part, norm))
                stack.enter_context(replaced_forward(part, forward))
                if norm is not None:
                    stack.enter_context(replaced_forward(norm, _identity))
        yield


def is_rewritable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a plain convolution on the CPU."""
    return (
        type(module) is nn.Conv2d
        and module.weight.device.type == "cpu"
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and "forward" not in module.__dict__
    )


def _identity(input: Tensor) -> Tensor:  # noqa: A002 - a module may be called by keyword
    return input


@dataclass(frozen=True)
class _Kernels:
    """A convolution's numbers, prepared once; `mirrored` only where it is the faster way back."""

    weight: Tensor
    bias: Tensor | None
    options: tuple[Any, ...]
    mirrored: Tensor | None
    way_back: tuple[int, int]


def _kernels(module: nn.Conv2d, norm: nn.Module | None) -> _Kernels:
    weight, bias = module.weight.detach(), module.bias
    if isinstance(norm, nn.BatchNorm2d):
        weight, bias = _folded(weight, bias, norm)
    options = (module.stride, module.padding, module.dilation, module.groups)
    padding = cast("tuple[int, int]", module.padding)
    height, width = (k - 1 - p for k, p in zip(module.kernel_size, padding, strict=True))
    plain = (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
    last = weight.to(memory_format=torch.channels_last)
    mirrored = None
    if plain and min(module.kernel_size) >= LARGE_KERNEL and min(height, width) >= 0:
        mirrored = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return _Kernels(last, bias, options, mirrored, (height, width))


def _folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Fold in double precision, so that only the result is rounded."""
    known = [cast("Tensor", s) for s in (norm.running_mean, norm.running_var)]
    kind = widest(known[0].device)
    mean, variance = (s.to(kind) for s in known)
    scale = (variance + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach().to(kind)
    before = 0.0 if bias is None else bias.detach().to(kind)
    shift = 0.0 if norm.bias is None else norm.bias.detach().to(kind)
    # written in the wanted type and layout at once: no copy of the kernels in double precision
    new = torch.empty_like(weight, memory_format=torch.channels_last)
    torch.mul(weight, scale.reshape(-1, 1, 1, 1), out=new)
    return new, ((before - mean) * scale + shift).to(weight.dtype)


def _forward(kernels: _Kernels, input: Tensor) -> Tensor:  # noqa: A002
    x = input
    # without gradients too, where forward-mode tangents may be on their way
    if kernels.mirrored is None or not (torch.is_grad_enabled() and x.requires_grad):
        return functional.conv2d(x, kernels.weight, kernels.bias, *kernels.options)
    result: Tensor = _Convolution.apply(x, kernels)
    return result


class _Convolution(torch.autograd.Function):
    """Convolution of stride 1 whose backward pass is a convolution too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: _Kernels) -> Tensor:
        """Convolve."""
        ctx.kernels = kernels
        return functional.conv2d(x, kernels.weight, kernels.bias, *kernels.options)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """Convolve the gradient with the mirrored kernels."""
        kernels = ctx.kernels
        return functional.conv2d(gradients[0], kernels.mirrored, padding=kernels.way_back), None
