"""The tensors of a torch-deep-retina model, sorted into layers and read as convolutions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neurocodec.errors import StorageError
from neurocodec.nn.retina.stacked import Convolution, dense_weight

PART: Final = re.compile(r"sequential\.(\d+)\.(.+)")
"""How they name tensors."""

LINEAR: Final = ("convolution", "stack", "one-to-one", "dense")
"""Kinds of parts with which a layer starts."""

INNER_EPSILON: Final = 1e-5
"""Added to the variance by the batch norms inside of a stack of convolutions."""


@dataclass(frozen=True)
class Part:
    """One module of their `sequential`."""

    place: int  # its number
    kind: str  # "noise", "norm", or one of `LINEAR`
    tensors: dict[str, Tensor]  # by name, without "sequential.<place>."

    def take(self, name: str) -> Tensor:
        """Return a tensor in double precision; refuse one that is missing or not finite."""
        if name not in self.tensors:
            raise StorageError(
                came=f"a checkpoint without the tensor 'sequential.{self.place}.{name}'",
                expected=f"all tensors of this {self.kind}, not only {sorted(self.tensors)}",
            )
        found = self.tensors[name].detach().double()
        if not bool(found.isfinite().all()):
            raise StorageError(
                came=f"NaN or infinity in the tensor 'sequential.{self.place}.{name}'",
                expected="finite weights; this training diverged",
            )
        return found

    def affine(self, prefix: str = "") -> tuple[Tensor, Tensor]:
        """Weight and bias of a batch norm; one that has a `scale` uses its absolute value."""
        if f"{prefix}scale" in self.tensors:
            return self.take(f"{prefix}scale").abs(), self.take(f"{prefix}shift")
        return self.take(f"{prefix}weight"), self.take(f"{prefix}bias")

    def stack(self, channels: int, padding: int = 0) -> list[Convolution]:
        """Read a convolution as the linear convolutions that it is made of, the first one first."""
        if self.kind == "stack":
            return self._plain_stack(channels, padding)
        if self.kind == "one-to-one":
            return self._one_to_one_stack(channels, padding)
        return [self._convolution("", channels, padding)]

    def _convolution(self, prefix: str, channels: int, padding: int) -> Convolution:
        weight = dense_weight(self.take(f"{prefix}weight"), channels)
        bias = self.take(f"{prefix}bias") if f"{prefix}bias" in self.tensors else None
        return Convolution(weight, bias, padding)

    def _plain_stack(self, channels: int, padding: int) -> list[Convolution]:
        """Convolutions "convs.<n>", and batch norms among them: scales and shifts of outputs."""
        # the padding is spread: half a kernel each, and the last takes what is left
        places = sorted({int(name.split(".")[1]) for name in self.tensors})
        last = max(n for n in places if self._convolves(n))
        stack: list[Convolution] = []
        for n in places:
            if not self._convolves(n):
                stack[-1] = stack[-1].scaled(*self._scale_and_shift(f"convs.{n}."))
                continue
            half = self.tensors[f"convs.{n}.weight"].shape[-1] // 2
            here = padding if n == last else min(padding, half)
            padding -= here
            stack.append(self._convolution(f"convs.{n}.", channels, here))
            channels = len(stack[-1].weight)
        return stack

    def _convolves(self, n: int) -> bool:
        weight = self.tensors.get(f"convs.{n}.weight")
        return weight is not None and weight.ndim == 4

    def _scale_and_shift(self, prefix: str) -> tuple[Tensor, Tensor]:
        weight, bias = self.affine(prefix)
        scale = weight / torch.sqrt(self.take(f"{prefix}running_var") + INNER_EPSILON)
        return scale, bias - scale * self.take(f"{prefix}running_mean")

    def _one_to_one_stack(self, channels: int, padding: int) -> list[Convolution]:
        """One convolution over all channels, then some within each channel of its own."""
        stack = [self._convolution("first_conv.", channels, padding)]
        outputs = len(stack[0].weight)
        levels = {int(name.split(".")[2]) for name in self.tensors if name.startswith("seqs.")}
        for level in sorted(levels):
            names = [f"seqs.{channel}.{level}" for channel in range(outputs)]
            weight = torch.cat([self.take(f"{name}.weight") for name in names])
            biases = [self.take(f"{n}.bias") for n in names if f"{n}.bias" in self.tensors]
            bias = torch.cat(biases) if biases else None
            stack.append(Convolution(dense_weight(weight, outputs), bias))
        return stack


def layers_of(state: Mapping[str, Tensor]) -> list[list[Part]]:
    """Sort their `model_state_dict` into hidden layers and the readout, each led by weights."""
    layers: list[list[Part]] = []
    for part in _parts(state):
        if part.kind in LINEAR:
            layers.append([])
        if not layers:
            raise _unlike(f"sequential.{part.place} is a {part.kind}", "a convolution at the start")
        layers[-1].append(part)
    if not layers:
        raise _unlike("there are no tensors at all", "tensors called 'sequential.0.weight' etc.")
    for layer in layers:  # a convolution, a batch norm and a noise; the readout has no noise
        _check_layer(layer, ["norm"] if layer is layers[-1] else ["noise", "norm"])
    return layers


def _check_layer(layer: list[Part], wanted: list[str]) -> None:
    found = sorted(part.kind for part in layer[1:])
    if found != wanted:
        raise _unlike(
            f"after the {layer[0].kind} sequential.{layer[0].place} comes {found or 'nothing'}",
            f"{' and '.join(wanted)} after it",
        )


def _parts(state: Mapping[str, Tensor]) -> list[Part]:
    grouped: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        match = PART.fullmatch(name) if isinstance(name, str) else None
        if match is None or not isinstance(tensor, Tensor):
            raise _unlike(f"there is {name!r}", "tensors with names like 'sequential.0.weight'")
        grouped.setdefault(int(match[1]), {})[match[2]] = tensor
    return [Part(place, _kind(place, grouped[place]), grouped[place]) for place in sorted(grouped)]


def _kind(place: int, tensors: Mapping[str, Tensor]) -> str:
    names = set(tensors)
    dims = tensors["weight"].ndim if "weight" in names else 0
    if names == {"sigma"}:
        return "noise"
    if names & {"running_mean", "running_var", "scale"}:
        return "norm"
    if all(re.fullmatch(r"convs\.\d+\..+", name) for name in names) and _any_convolves(tensors):
        return "stack"
    if all(re.fullmatch(r"first_conv\..+|seqs\.\d+\.\d+\..+", name) for name in names):
        return "one-to-one"
    if names <= {"weight", "bias"} and dims in (2, 4):
        return "convolution" if dims == 4 else "dense"
    raise _unlike(
        f"sequential.{place} has the tensors {sorted(names)}",
        "convolutions, batch norms, noise and dense layers (no attention, no recurrence)",
    )


def _any_convolves(tensors: Mapping[str, Tensor]) -> bool:
    first = tensors.get("convs.0.weight")
    return first is not None and first.ndim == 4


def _unlike(came: str, expected: str) -> StorageError:
    return StorageError(
        came=f"weights that are not of a torch-deep-retina CNN: {came}", expected=expected
    )
