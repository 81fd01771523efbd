"""Stacks of linear convolutions, and the one convolution that each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurocodec.errors import InputError


@dataclass(frozen=True)
class Convolution:
    """One convolution of stride 1, or a stack of them: weight, bias and zero padding."""

    weight: Tensor  # (out, in, height, width), in double precision
    bias: Tensor | None = None
    padding: int = 0  # zeros added on every side of the input, in pixels

    def scaled(self, scale: Tensor, shift: Tensor) -> Convolution:
        """Return the convolution whose output is `scale * output + shift`, per channel."""
        bias = shift if self.bias is None else shift + scale * self.bias
        return replace(self, weight=scale[:, None, None, None] * self.weight, bias=bias)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the output for an input of `size`."""
        height, width = (
            n + 2 * self.padding - k + 1 for n, k in zip(size, self.weight.shape[2:], strict=True)
        )
        return height, width

    def module(self) -> nn.Conv2d:
        """Return the same convolution as a module in single precision."""
        numbers = {"weight": self.weight, "bias": self.bias}
        outputs, inputs, height, width = self.weight.shape
        module = nn.Conv2d(
            inputs,
            outputs,
            (height, width),
            padding=self.padding,
            bias=self.bias is not None,
            device="meta",  # without numbers of its own, which would be drawn at random
        ).to_empty(device="cpu")
        module.load_state_dict({name: t for name, t in numbers.items() if t is not None})
        return module


def dense_weight(weight: Tensor, inputs: int) -> Tensor:
    """Weight (out, inputs, height, width), in double precision, of a convolution in groups."""
    outputs, each = weight.shape[:2]
    groups, rest = divmod(inputs, each)
    if rest or not groups or outputs % groups:
        raise InputError(
            came=f"a convolution of weight {tuple(weight.shape)} for {inputs} channels",
            expected=f"a weight of shape ({outputs}, {inputs}, height, width)",
        )
    result = weight.new_zeros(outputs, inputs, *weight.shape[2:], dtype=torch.float64)
    for group, rows in enumerate(torch.arange(outputs).chunk(groups)):
        result[rows, group * each : (group + 1) * each] = weight[rows].double()
    return result


def composed(first: Convolution, second: Convolution) -> Convolution:
    """One convolution that equals two, one after the other."""
    # the kernels are convolved: (k2 * (k1 * x)) = (k2 * k1) * x, of side k1 + k2 - 1; zeros put
    # between the two are not zeros before them
    if second.padding:
        raise InputError(
            came=f"a second convolution that pads by {second.padding}",
            expected="padding before the first convolution only",
        )
    height, width = second.weight.shape[2:]
    weight = functional.conv2d(
        first.weight.transpose(0, 1), second.weight.flip(2, 3), padding=(height - 1, width - 1)
    ).transpose(0, 1)
    if first.bias is None:
        return Convolution(weight, second.bias, first.padding)
    bias = second.weight.sum((2, 3)) @ first.bias
    return Convolution(weight, bias if second.bias is None else bias + second.bias, first.padding)


def collapsed(stack: Sequence[Convolution]) -> list[Convolution]:
    """Compose what can be composed exactly: everything, unless a later convolution pads."""
    found = [stack[0]]
    for convolution in stack[1:]:
        if convolution.padding:
            found.append(convolution)
        else:
            found[-1] = composed(found[-1], convolution)
    return found


def as_module(stack: Sequence[Convolution]) -> nn.Conv2d | nn.Sequential:
    """Make a stack one `nn.Conv2d`, or a sequence of them where padding stands between."""
    modules = [convolution.module() for convolution in collapsed(stack)]
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)
