"""Ganglion-cell models of torch-deep-retina, rebuilt from their weights for analysis.

Their three kinds of model differ in how weights are stored, not in what is computed: a stack of
linear convolutions is one convolution, a batch norm with an absolute scale is an ordinary one,
dropout and noise do nothing in evaluation. What a checkpoint's tensors say (layers, sizes, whether
the batch norm comes before or after the nonlinearity) is taken from them alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from neurocodec.arguments import one_of
from neurocodec.errors import InputError, warn
from neurocodec.nn.retina.deep_retina_state import Part, layers_of
from neurocodec.nn.retina.model import EPSILON
from neurocodec.nn.retina.readouts import Exponential, LocalReadout
from neurocodec.nn.retina.stacked import Convolution, as_module, collapsed
from neurocodec.nn.settings import building
from neurocodec.nn.standardisation import Standardisation

UnitRule = Literal["current", "first"]
"""Versions of torch-deep-retina's rule that picks the unit of a cell: "first" until 2020."""

ACTIVATIONS: Final = ("ReLU", "Tanh", "Sigmoid", "Softplus", "ELU", "SELU", "GELU", "LeakyReLU")
"""Names of `activ_fxn` that are taken: those of `torch.nn`, with their defaults."""


@dataclass(frozen=True)
class DeepRetinaConfig:
    """What a checkpoint's tensors do not say, and what they are checked against."""

    history: int = 40  # frames per window
    size: tuple[int, int] = (50, 50)  # height and width of a frame in pixels
    activation: str = "ReLU"  # of the hidden layers: a name of `ACTIVATIONS`
    softplus: bool = True  # output nonlinearity: softplus, or else the exponential
    exponential: bool = False  # whether one more exponential follows it (their `inference_exp`)
    paddings: tuple[int, ...] = ()  # of the input of each hidden convolution, in pixels
    kernels: tuple[int, ...] = ()  # sides of all kernels, checked against the tensors where given
    channels: tuple[int, ...] = ()  # of the hidden layers, checked likewise
    centers: tuple[tuple[int, int], ...] | None = None  # (row, column) of each cell, in pixels
    unit_rule: UnitRule | None = None  # None: "current", and a warning where "first" differs
    standardisation: tuple[float, float] | None = None  # mean, deviation; None: done already


@building()
def build_deep_retina(state: Mapping[str, Tensor], config: DeepRetinaConfig) -> nn.Sequential:
    """Build a model, in evaluation mode, from the tensors of a torch-deep-retina checkpoint."""
    # parts: `standardisation` where the config has one, `layer1`, `layer2`, ... (each with its
    # `convolution`), `readout`; windows (sample, history, height, width), the oldest frame first
    *hidden, readout = layers_of(state)
    if config.channels and len(config.channels) != len(hidden):
        raise InputError(
            came=f"tensors of {len(hidden)} hidden layers for chans={list(config.channels)}",
            expected="one entry of chans for each hidden layer",
        )
    modules = OrderedDict[str, nn.Module]()
    if config.standardisation is not None:
        modules["standardisation"] = Standardisation(*config.standardisation)
    builder = _Builder(config, config.history, config.size)
    for number, parts in enumerate(hidden):
        modules[f"layer{number + 1}"] = builder.hidden_layer(number, parts)
    modules["readout"] = builder.readout(*readout)
    return nn.Sequential(modules).eval()


def unit_positions(
    centers: Sequence[tuple[int, int]],  # row and column of each cell in pixels of a frame
    kernels: Sequence[int],  # sides of all kernels, the readout's last
    size: tuple[int, int],  # of a frame
    maps: tuple[int, int],  # height and width of the last feature map
    rule: UnitRule = "current",
) -> list[tuple[int, int]]:
    """Unit (row, column) of the last feature map that stands for each cell, from its centre."""
    one_of("rule for units", rule, get_args(UnitRule))
    find = _current_unit if rule == "current" else _first_unit
    return [
        (find(row, kernels, size[0], maps[0]), find(column, kernels, size[1], maps[1]))
        for row, column in centers
    ]


def _current_unit(center: int, kernels: Sequence[int], _size: int, count: int) -> int:
    # the centre less sum(k // 2) + 1, within the map. So do the released models load: their
    # 15-11-21b prints units that are centre - 18 for kernels 15, 11, 11.
    half = sum(k // 2 for k in kernels) + 1
    return min(max(0, center - half), count - 1)


def _first_unit(center: int, kernels: Sequence[int], size: int, count: int) -> int:
    if len(kernels) < 3:
        raise InputError(
            came=f"{len(kernels)} kernels", expected="three, for the first rule for units"
        )
    # for frames of 50 pixels and kernels 15, 11, 11: -6 for every centre, from the end of the map
    half = (kernels[0] - 1) + (kernels[1] - 1) + (kernels[2] // 2 - 1) + 1
    found = min(max(0, center - half), size - 2 * (half - 1))
    if not -count <= found < count:
        raise InputError(
            came=f"unit {found} of a map of {count} for a cell at {center}",
            expected="a unit in the map",
            hint="unit_rule='current'",
        )
    return found % count


@dataclass
class _Builder:
    """Builds layer after layer; knows the feature maps that come in, and the kernels so far."""

    config: DeepRetinaConfig
    channels: int
    size: tuple[int, int]
    kernels: list[int] = field(default_factory=list)

    @property
    def maps(self) -> tuple[int, int, int]:
        return (self.channels, *self.size)

    @property
    def units(self) -> int:
        return self.channels * self.size[0] * self.size[1]

    def hidden_layer(self, number: int, parts: list[Part]) -> nn.Sequential:
        paddings, channels = self.config.paddings, self.config.channels
        stack = self.convolve(parts[0], paddings[number] if number < len(paddings) else 0)
        if channels and channels[number] != self.channels:
            raise InputError(
                came=f"{self.channels} channels in sequential.{parts[0].place}",
                expected=f"{channels[number]}, as chans={list(channels)} says",
            )
        layer = OrderedDict[str, nn.Module](convolution=as_module(stack))
        for part in parts[1:]:
            # Noise is nothing in evaluation, but it stands where the nonlinearity does.
            layer |= self.nonlinearity() if part.kind == "noise" else self.normalisation(part)
        return nn.Sequential(layer)

    def convolve(self, part: Part, padding: int = 0) -> list[Convolution]:
        """Read the convolution of a part, and go on to the maps that it makes."""
        stack = collapsed(part.stack(self.channels, padding))
        side = 1 + sum(convolution.weight.shape[-1] - 1 for convolution in stack)
        wanted = self.config.kernels[len(self.kernels) : len(self.kernels) + 1]
        if wanted and wanted[0] != side:
            raise InputError(
                came=f"a kernel of side {side} in sequential.{part.place}",
                expected=f"{wanted[0]}, as ksizes={list(self.config.kernels)} says",
            )
        self.kernels.append(side)
        for convolution in stack:
            self.channels = len(convolution.weight)
            self.size = convolution.size_after(self.size)
        if min(self.size) < 1:
            raise InputError(
                came=f"frames of {self.config.size} pixels for kernels of {self.kernels}",
                expected="frames that are larger than the kernels together",
            )
        return stack

    def nonlinearity(self) -> OrderedDict[str, nn.Module]:
        name = one_of("activ_fxn", self.config.activation, ACTIVATIONS)
        return OrderedDict(nonlinearity=getattr(nn, name)())

    def normalisation(self, part: Part) -> OrderedDict[str, nn.Module]:
        """Batch norm of every channel, or of every unit, then between two reshapings."""
        count = len(part.take("running_mean"))
        if count == self.channels:
            return OrderedDict(normalisation=_batch_norm(part, nn.BatchNorm2d, count))
        modules = OrderedDict[str, nn.Module](flatten=nn.Flatten())
        modules["normalisation"] = _batch_norm(part, nn.BatchNorm1d, self.units)
        modules["unflatten"] = nn.Unflatten(1, self.maps)
        return modules

    def readout(self, linear: Part, norm: Part) -> nn.Sequential:
        modules = OrderedDict[str, nn.Module]()
        if linear.kind == "dense":
            modules["flatten"] = nn.Flatten()
        modules["linear"] = self.dense(linear) if linear.kind == "dense" else self.local(linear)
        modules["normalisation"] = _batch_norm(norm, nn.BatchNorm1d, self.channels)
        modules["nonlinearity"] = nn.Softplus() if self.config.softplus else Exponential()
        if self.config.exponential:
            modules["exponential"] = Exponential()
        return nn.Sequential(modules)

    def dense(self, part: Part) -> nn.Linear:
        weight = part.take("weight")
        if weight.shape[1] != self.units:
            raise InputError(
                came=f"a dense readout of weight {tuple(weight.shape)}",
                expected=f"({len(weight)}, {self.units}) for maps of shape {self.maps}",
            )
        self.channels = len(weight)
        biased = "bias" in part.tensors
        module = nn.Linear(weight.shape[1], len(weight), bias=biased, device="meta")
        module = module.to_empty(device="cpu")
        module.load_state_dict({name: part.take(name) for name in part.tensors})
        return module

    def local(self, part: Part) -> LocalReadout:
        before, centers = self.channels, self.config.centers
        stack = self.convolve(part)
        if centers is None or len(centers) != self.channels:
            raise InputError(
                came=f"{'no' if centers is None else len(centers)} centers for the convolutional "
                f"readout of {self.channels} cells",
                expected="the centre (row, column) of each cell, from which its unit follows",
            )
        corners = self.corners(centers)
        weight, bias = stack[0].weight, stack[0].bias
        module = LocalReadout(before, weight.shape[-1], corners)
        zeros = torch.zeros(self.channels)
        module.load_state_dict({"weight": weight, "bias": zeros if bias is None else bias})
        return module

    def corners(self, centers: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Unit of each cell, with a warning where the version of the rule is a guess."""
        known, rule = self.config.unit_rule, self.config.unit_rule or "current"
        found = unit_positions(centers, self.kernels, self.config.size, self.size, rule)
        if known is None and found != self._first_units(centers):
            warn(
                "the checkpoint does not say which version of torch-deep-retina picked the unit of "
                "each cell; units are those of its current version (unit_rule='current' says that "
                "this is right, unit_rule='first' takes those of its versions until 2020)"
            )
        return found

    def _first_units(self, centers: Sequence[tuple[int, int]]) -> list[tuple[int, int]] | None:
        try:
            return unit_positions(centers, self.kernels, self.config.size, self.size, "first")
        except InputError:  # no unit of the map: then no model was trained by that rule
            return None


def _batch_norm(part: Part, kind: type[nn.BatchNorm1d | nn.BatchNorm2d], count: int) -> nn.Module:
    weight, bias = part.affine()
    numbers = {"weight": weight, "bias": bias}
    numbers |= {name: part.take(name) for name in ("running_mean", "running_var")}
    if any(tuple(t.shape) != (count,) for t in numbers.values()):
        raise InputError(
            came=f"the batch norm sequential.{part.place} of "
            + ", ".join(f"{name} {tuple(t.shape)}" for name, t in numbers.items()),
            expected=f"({count},), to go with the weights before it",
        )
    module = kind(count, eps=EPSILON)
    module.load_state_dict(numbers, strict=False)
    return module
