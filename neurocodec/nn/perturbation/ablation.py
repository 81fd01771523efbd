"""Channels of a layer replaced by a constant, or scaled, in whatever way the network is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.capture.axes import ChannelAxes
from neurocodec.nn.capture.hooks import refuse_script
from neurocodec.nn.capture.layer import Layer, pick, put
from neurocodec.nn.capture.twins import twin


@dataclass(frozen=True)
class ChannelMask:
    """Which channels of a layer are replaced, and by what."""

    layer: Layer
    channels: tuple[int, ...]
    kept: bool = False  # whether these stay as they are, and all others are replaced
    tokens: tuple[int, ...] | None = None  # where, in a layer of tokens; everywhere where None
    fill: float | tuple[float, ...] = 0.0  # one number, or one for each channel of the layer

    def __post_init__(self) -> None:
        if self.layer.at == "nonlinearity":
            raise InputError(
                came=f"channels of what a function reads within {self.layer.module!r}",
                expected="a layer that a module takes or returns",
                hint=f"nc.Layer({self.layer.module!r})",
            )

    def __call__(self, activation: Tensor) -> Tensor:
        """Return a new tensor: the kept channels of the activation, and the fill of the others."""
        keep = torch.ones_like(activation[:1])
        view = self.layer.channels_first(keep)
        self.require(activation, view)
        view.masked_fill_(self._replaced(view), 0.0)
        if self.fill == 0:
            return activation * keep
        fill = torch.zeros_like(keep)
        self.layer.channels_first(fill).copy_(_along_channels(self.fill, view))
        return activation * keep + fill * (1 - keep)

    def _replaced(self, view: Tensor) -> Tensor:
        """Mark what is replaced, to be broadcast to (1, channel, positions...)."""
        sizes = (1, view.shape[1], *[1] * (view.ndim - 2))
        marked = torch.full(sizes, self.kept, device=view.device)
        marked[:, list(self.channels)] = not self.kept
        if self.tokens is None:
            return marked
        there = torch.zeros(view.shape[2], dtype=torch.bool, device=view.device)
        there[list(self.tokens)] = True
        return marked & there.reshape(1, 1, -1, *[1] * (view.ndim - 3))

    def require(self, activation: Tensor, view: Tensor) -> None:
        """Refuse channels, tokens or fills that the layer does not have."""
        name, count = self.layer.module, view.shape[1]
        if max(self.channels) >= count:
            raise InputError(
                came=f"channel {max(self.channels)} of layer {name!r}, which has {count}",
                expected=f"positions from 0 to {count - 1}",
            )
        if isinstance(self.fill, tuple) and len(self.fill) != count:
            raise InputError(
                came=f"fill of {len(self.fill)} numbers for layer {name!r} of {count} channels",
                expected="one number, or one for each channel of the layer",
            )
        if self.tokens is not None:
            _require_tokens(self.layer, self.tokens, activation, view)


def _require_tokens(layer: Layer, tokens: Sequence[int], activation: Tensor, view: Tensor) -> None:
    if layer.layout_of(activation) != "tokens" or activation.ndim != 3 or layer.token is not None:
        without = f"only its token {layer.token}" if layer.token is not None else "no tokens"
        raise InputError(
            came=f"tokens={list(tokens)} of layer {layer.module!r}, which has {without}",
            expected="a layer whose activation is (sample, token, channel)",
            hint="tokens=None",
        )
    count = view.shape[2]
    if not all(-count <= token < count for token in tokens):
        raise InputError(
            came=f"tokens={list(tokens)} of layer {layer.module!r}, which has {count}",
            expected=f"positions from 0 to {count - 1}",
        )


@dataclass(frozen=True)
class ChannelGain:
    """How much of each channel of a layer is left, or more of it is made."""

    layer: Layer
    gains: tuple[float, ...]  # one for each channel
    fill: float | tuple[float, ...] = 0.0  # what a channel is at a gain of 0

    def __post_init__(self) -> None:
        ChannelMask(self.layer, (0,))  # which refuses what no module takes or returns

    def __call__(self, activation: Tensor) -> Tensor:
        """Return a new tensor: gain activation + (1 - gain) fill, channel by channel."""
        gain, fill = torch.ones_like(activation[:1]), torch.zeros_like(activation[:1])
        view = self.layer.channels_first(gain)
        if len(self.gains) != view.shape[1]:
            raise InputError(
                came=f"gains of {len(self.gains)} channels for layer {self.layer.module!r} of"
                f" {view.shape[1]}",
                expected="one for each channel of the layer",
            )
        mask = ChannelMask(self.layer, (0,), fill=self.fill)
        mask.require(activation, view)
        view.copy_(_along_channels(self.gains, view))
        if self.fill == 0:
            return activation * gain
        self.layer.channels_first(fill).copy_(_along_channels(self.fill, view))
        # in this form a gain of 1 leaves every bit as it is
        return activation * gain + fill * (1 - gain)


def _along_channels(values: float | Sequence[float], view: Tensor) -> Tensor:
    """Numbers of channels, to be broadcast to (1, channel, positions...)."""
    found = torch.as_tensor(values, dtype=view.dtype, device=view.device)
    return found if not found.ndim else found.reshape(1, -1, *[1] * (view.ndim - 2))


Perturbation = ChannelMask | ChannelGain


class MaskHook:
    """Hooks that apply a mask in every pass of a module; they are copied and pickled with it."""

    def __init__(self, mask: Perturbation) -> None:
        self.mask = mask
        self._calls = 0
        self._done = False
        self._samples = 1

    def attach(self, module: nn.Module) -> None:
        """Hook the layer, and the start and the end of each pass."""
        part = module.get_submodule(self.mask.layer.module)
        module.register_forward_pre_hook(self._start)
        if self.mask.layer.at == "input":
            part.register_forward_pre_hook(self._on_input, with_kwargs=True)
        else:
            part.register_forward_hook(self._on_output)
        module.register_forward_hook(self._end)

    def _start(self, module: nn.Module, args: Any) -> None:
        if self.mask.layer.layout is None and ChannelAxes.active() is None:
            with torch.no_grad(), ChannelAxes(module) as axes:
                axes.start(args[0])
                module(*args)
        self._calls, self._done, self._samples = 0, False, len(args[0])

    def _end(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if not self._done:
            layer, calls = self.mask.layer, self._calls
            raise CaptureError(
                came=f"call {layer.occurrence or 0} of layer {layer.module!r}, which is to be "
                f"perturbed and runs {calls} times",
                expected="a layer that runs in every forward pass",
            )

    def _on_output(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        return self._visit(output)

    def _on_input(self, _module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if args or not named:
            return (self._visit(args[0] if args else None), *args[1:]), named
        name = next(iter(named))  # called as conv(input=x)
        return args, {**named, name: self._visit(named[name])}

    def _visit(self, value: Any) -> Any:
        layer, call = self.mask.layer, self._calls
        self._calls += 1
        if layer.occurrence not in (None, call):
            return value
        if self._done:
            raise CaptureError(
                came=f"layer {layer.module!r} runs more than once in one pass",
                expected="which of its calls is meant",
                hint=f"nc.Layer({layer.module!r}, occurrence=0)",
            )
        self._done = True
        own, axes = pick(value, layer), ChannelAxes.active()
        activation = layer.gathered(own, self._samples)
        if axes is not None:
            layer = layer.seen(activation, axes.of(activation))
            self.mask = replace(self.mask, layer=layer)
        changed = self.mask(activation)
        return put(value, layer.item, layer.scattered(changed, own.shape))


def masked(module: nn.Module, mask: Perturbation) -> nn.Module:
    """Copy a module, with a mask or gains on one of its layers; both share all numbers."""
    for part in module.modules():
        refuse_script(part, mask.layer.module)  # nor is it copied without its numbers
    copied = twin(module)
    MaskHook(mask).attach(copied)
    return copied
