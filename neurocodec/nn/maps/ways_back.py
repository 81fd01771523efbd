"""From the gradient at a layer back to the input, through some of the layer's channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, get_args

import torch
from torch import Tensor

from neurocodec.arguments import one_of
from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.reduction import split_sign
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import gradients
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.device import widest
from neurocodec.vocabulary import Sign

TOGETHER: Final = {"cpu": 1, "cuda": 16}
"""Maps in one backward pass, by the kind of device.

On a CPU one after the other through one graph is at least as fast (2 cores, torch 2.15, from a
28x28 layer of ResNet-50 to the image, milliseconds for each of 8 maps: 12.7, and 22.9 in one
batched pass), and takes the memory of one.
"""


class Gate(NamedTuple):
    """Channels of a later layer that all maps pass as well."""

    alias: str
    weights: Tensor  # (2, channel), where a contribution is positive, and where negative

    @property
    def whole(self) -> bool:
        """Whether no position has to be told from another by its sign."""
        return bool((self.weights[0] == self.weights[1]).all())


@dataclass(frozen=True)
class Parts:
    """Channels of a layer that maps pass, one set of weights for each map."""

    alias: str
    weights: Tensor  # (part, 2, channel), where a contribution is positive, and where negative
    sign: Sign = "both"  # which of the two have a map each; "net" is their sum
    gates: tuple[Gate, ...] = ()  # from the earliest layer to the latest

    def __post_init__(self) -> None:
        one_of("sign", self.sign, get_args(Sign))

    @property
    def signs(self) -> tuple[tuple[int, ...], ...]:
        """For each map of a part, the signs that it takes: 0 excitatory, 1 inhibitory."""
        known = {"both": ((0,), (1,)), "excitatory": ((0,),), "inhibitory": ((1,),)}
        return known.get(self.sign, ((0, 1),))

    @property
    def whole(self) -> bool:
        """Whether no position has to be told from another by its sign."""
        same = bool((self.weights[:, 0] == self.weights[:, 1]).all())
        return self.sign == "net" and same


class Front(NamedTuple):
    """The network up to a layer, with the graph that leads back to the input."""

    leaf: Tensor
    hidden: Tensor


class Waypoint(NamedTuple):
    """The same, with the target and its gradient at the layer."""

    front: Front
    gradient: Tensor
    target: Tensor


@dataclass(frozen=True)
class WaysBack:
    """The ways from the target to the input that pass some channels of a layer."""

    passes: Passes
    parts: Parts
    together: int | None = None  # maps in one backward pass; None chooses by the device

    @property
    def alias(self) -> str:
        """The layer."""
        return self.parts.alias

    @property
    def layer(self) -> Layer:
        """Where it is read."""
        return self.passes.capture.layers[self.alias]

    def front(self, x: Tensor) -> Front:
        """Run as far as the layer."""
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            return Front(leaf, self.passes.capture.reach(leaf, [self.alias])[self.alias])

    def point(
        self, x: Tensor, target: Target, changes: Mapping[str, Tensor] | None = None
    ) -> Waypoint:
        """Run the whole network, and go back as far as the layer, through all gates.

        `changes` of the gates' layers times their gradients are the contributions whose signs
        tell their positions apart.
        """
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            done = self.passes.capture.run(leaf)
            value = self.passes.value(done, target)
        gates = self.parts.gates
        aliases = [self.alias, *(gate.alias for gate in gates)]
        hidden = [done.hidden[alias] for alias in aliases]
        gradient = gradients(value.sum(), hidden[-1])[0] if value.requires_grad else None
        if gradient is None:
            raise CaptureError(
                came=f"a target that does not depend on layer {aliases[-1]!r}",
                expected="a layer between the input and what the target reads",
                hint="an earlier layer=, or a target of the outputs",
            )
        for i in range(len(gates) - 1, -1, -1):
            start = self._gated(gates[i], gradient, changes or {})
            gradient = gradients(hidden[i + 1], hidden[i], start)[0]
            if gradient is None:
                raise out_of_order(aliases[i], gates[i].alias)
        return Waypoint(Front(leaf, hidden[0]), gradient, value.detach())

    def _gated(self, gate: Gate, gradient: Tensor, changes: Mapping[str, Tensor]) -> Tensor:
        """The gradient at a gate's layer, times what each channel-position counts."""
        layer = self.passes.capture.layers[gate.alias]
        contribution = None if gate.whole else changes[gate.alias] * gradient
        return weighed(layer, gradient, contribution, (gate.weights[0], gate.weights[1]))

    def back(self, front: Front, gradient: Tensor, contribution: Tensor) -> Tensor:
        """Gradients at the input by way of each part and sign, (sample, part, sign, *input)."""
        signs = self.parts.signs
        wanted = [(w, s) for w in self.parts.weights for s in signs]
        size = self.together or TOGETHER.get(front.leaf.device.type, 1)
        samples, *shape = front.leaf.shape
        found = front.leaf.new_empty(samples, len(wanted), *shape)  # once: there may be thousands
        for i in range(0, len(wanted), size):
            starts = [self._start(gradient, contribution, *w) for w in wanted[i : i + size]]
            found[:, i : i + size] = _gradients(front, starts).transpose(0, 1)
        return found.view(samples, len(self.parts.weights), len(signs), *shape)

    def _start(
        self, gradient: Tensor, contribution: Tensor, weights: Tensor, signs: tuple[int, ...]
    ) -> Tensor:
        """The gradient at the layer, times what each channel-position counts."""
        positive, negative = (
            w if i in signs else torch.zeros_like(w) for i, w in enumerate(weights)
        )
        told = None if self.parts.whole else contribution
        return weighed(self.layer, gradient, told, (positive, negative))

    def sums(self, contribution: Tensor) -> Tensor:
        """What the maps should sum to, (sample, part, sign), in double precision."""
        values = self.layer.split_first(contribution)
        kind = widest(values.device)
        both = split_sign(values.to(kind))
        each = torch.einsum("nsc,psc->nps", both, self.parts.weights.to(kind))
        return torch.stack([each[:, :, list(s)].sum(2) for s in self.parts.signs], 2)


def weighed(
    layer: Layer, gradient: Tensor, contribution: Tensor | None, weights: tuple[Tensor, Tensor]
) -> Tensor:
    """A gradient times weights (channel) of its positive and its negative positions.

    Positions are told apart by the sign of their contribution; where there is none, all of them
    have the first weights.
    """
    found = torch.zeros_like(gradient)
    view, whole = layer.channels_first(found), layer.channels_first(gradient)
    shape = (-1, *(1,) * (whole.ndim - 2))
    positive, negative = (w.reshape(shape) for w in weights)
    if contribution is None:
        view.copy_(whole * positive)
    else:
        below = layer.split_first(contribution) < 0
        below = below.reshape(*below.shape, *(1,) * (whole.ndim - below.ndim))
        view.copy_(whole * torch.where(below, negative, positive))
    return found


def out_of_order(earlier: str, later: str) -> CaptureError:
    """Build the error for layers of a chain of which one does not follow from the other."""
    return CaptureError(
        came=f"a chain of {earlier!r} and then {later!r}, which does not depend on it",
        expected="layers from input to output, each behind the one before it",
        hint=f"modes={{{later!r}: ..., {earlier!r}: ...}}",
    )


def _gradients(front: Front, starts: list[Tensor]) -> Tensor:
    """Gradients at the input for several gradients at the layer, (start, sample, ...)."""
    options = {"retain_graph": True}
    if len(starts) == 1:
        found = gradients(front.hidden, front.leaf, starts[0], **options)[0]
        return torch.zeros_like(front.leaf)[None] if found is None else found[None]
    found = gradients(
        front.hidden, front.leaf, torch.stack(starts), is_grads_batched=True, **options
    )[0]
    return front.leaf.new_zeros(len(starts), *front.leaf.shape) if found is None else found
