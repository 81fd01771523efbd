"""Capture hidden activations: borrow a module, hook its layers, give everything back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurocodec.errors import CaptureError, unknown_name
from neurocodec.nn.capture.axes import ChannelAxes
from neurocodec.nn.capture.borrowing import borrowed
from neurocodec.nn.capture.flow import Recorder
from neurocodec.nn.capture.layer import Item, Layer, answer, pick, put
from neurocodec.nn.capture.normalisation import lay_out_gradients


@dataclass
class Pass:
    """What one forward pass left: outputs (sample, output) and hidden activations by alias."""

    outputs: Tensor
    hidden: dict[str, Tensor]

    def detached(self) -> dict[str, Tensor]:
        """Hidden activations without their graph."""
        return {alias: h.detach() for alias, h in self.hidden.items()}

    def repeated(self, size: int) -> Pass:
        """One sample, so many times."""
        hidden = {alias: h.expand(size, *h.shape[1:]) for alias, h in self.hidden.items()}
        return Pass(self.outputs.expand(size, -1), hidden)

    @property
    def first(self) -> Pass:
        """The same of the first sample."""
        return Pass(self.outputs[:1], {alias: h[:1] for alias, h in self.hidden.items()})


def gradients(
    of: Tensor, ends: Tensor | Sequence[Tensor], given: Any = None, **options: Any
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad`; a network that has none, as it works in place, is told so."""
    try:
        return torch.autograd.grad(of, ends, given, allow_unused=True, **options)
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            raise
        raise CaptureError(
            came="a network that writes over numbers which its own gradients need",
            expected="operations that leave the numbers of others as they are",
            hint="y = y + x in its forward, in place of y += x, or inplace=False",
        ) from error


def refuse_script(part: nn.Module, name: str) -> None:
    """Refuse a layer that hooks cannot be put on."""
    if isinstance(part, torch.jit.ScriptModule):
        raise CaptureError(
            came=f"layer {name!r} in TorchScript, which does not call hooks",
            expected="modules in Python",
            hint="the module from before torch.jit.script or torch.jit.trace",
        )


def hooked_parts(module: nn.Module) -> frozenset[nn.Module]:
    """Parts whose hooks would see, or change, what they take and return."""
    return frozenset(
        part
        for part in module.modules()
        if part._forward_hooks or part._forward_pre_hooks  # noqa: SLF001
    )


def _called(*places: object) -> frozenset[Any]:
    names = "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu mish prelu relu relu6 rrelu"
    names += " selu sigmoid silu softplus tanh clamp_min"
    every = [name + end for name in names.split() for end in ("", "_")]
    return frozenset(getattr(place, n) for place in places for n in every if hasattr(place, n))


NONLINEARITIES: Final = _called(torch, nn.functional, Tensor)
"""Functions and methods that a layer's ``at="nonlinearity"`` counts."""


class _Nonlinearities(TorchFunctionMode):
    """Shows what functions read, and lets them go on with what is returned for it."""

    def __init__(self, visit: Callable[[Any], Any]) -> None:
        super().__init__()
        self.visit = visit

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in NONLINEARITIES:
            value = self.visit(args[0] if args else kwargs["input"])
            if value is not None and args:
                args = (value, *args[1:])
            elif value is not None:
                kwargs = {**kwargs, "input": value}
        return func(*args, **kwargs)


class _Within:
    """Hooks that turn a mode on for the time that a part runs."""

    def __init__(self, part: nn.Module, mode: AbstractContextManager[Any]) -> None:
        def enter(*_: Any) -> None:
            mode.__enter__()

        def leave(*_: Any) -> None:
            mode.__exit__(None, None, None)

        self._hooks = (
            part.register_forward_pre_hook(enter),
            part.register_forward_hook(leave, always_call=True),
        )

    def remove(self) -> None:
        """Take them off."""
        for hook in self._hooks:
            hook.remove()


class _ReachedError(Exception):
    """A pass has come to the layer that it was wanted for."""


@dataclass
class Capture:
    """Hooks on the layers of one module, and the passes through them."""

    module: nn.Module  # while it is attached, the copy that is hooked
    layers: Mapping[str, Layer]
    select: Item = None  # item of an output that is a tuple or dict
    protected: set[str] = field(
        default_factory=set
    )  # changed in place further on: the network goes on with copies
    changes_input: bool = False  # then the network is given a copy
    hooked: frozenset[nn.Module] = frozenset()  # parts that have hooks of others
    recorder: Recorder | None = field(default=None, repr=False)  # of the pass under way
    told: set[str] = field(
        default_factory=set, repr=False
    )  # operators that lack a forward-mode derivative
    lent: nn.Module | None = field(default=None, repr=False)  # what it is a copy of
    _looked: bool = field(default=False, repr=False)
    _off: bool = field(default=False, repr=False)
    _until: frozenset[str] = field(default=frozenset(), repr=False)
    _hidden: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _versions: dict[str, int] = field(default_factory=dict, repr=False)
    _replace: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    _calls: Counter[str] = field(default_factory=Counter, repr=False)
    _samples: int = field(default=1, repr=False)  # of the pass under way

    @contextmanager
    def attached(self) -> Iterator[Capture]:
        """Borrow the module and hook its layers for the length of a ``with`` block."""
        parts = dict(self.module.named_modules(remove_duplicate=False))
        for layer in self.layers.values():
            if layer.module not in parts:
                raise unknown_name("layer", layer.module, (n for n in parts if n))
            refuse_script(parts[layer.module], layer.module)
        with ExitStack() as stack:
            stack.callback(setattr, self, "module", self.module)
            self.lent = self.module
            self.module = stack.enter_context(borrowed(self.module))
            self.hooked = hooked_parts(self.module)
            parts = dict(self.module.named_modules(remove_duplicate=False))
            for alias, layer in self.layers.items():
                stack.callback(self._hook(parts[layer.module], alias, layer).remove)
            stack.callback(self._forget)
            yield self

    def run(self, x: Tensor, replace: Mapping[str, Tensor] | None = None) -> Pass:
        """Run the module once; `replace` has activations that it shall go on with.

        Where gradients are enabled, every activation is part of a graph that starts at the earliest
        captured layer. The first pass is preceded by a plain one.
        """
        if not self._looked:
            self.plain(x[:1])
        return self._once(x.clone() if self.changes_input else x, replace)

    def recall(
        self, layers: Mapping[str, Layer], protected: Set[str], *, changes_input: bool
    ) -> None:
        """Take over what was seen of the same module before, in place of a plain pass."""
        self.layers, self.protected = layers, {*protected}
        self._looked, self.changes_input = True, changes_input

    def _once(self, x: Tensor, replace: Mapping[str, Tensor] | None = None) -> Pass:
        self._forget()
        self._replace, self._samples = replace or {}, len(x)
        if self.recorder is not None:
            self.recorder.start(self.module, x)
        outputs = answer(self.module(x), self.select, len(x))
        lay_out_gradients([outputs, *self._hidden.values()])
        if self.recorder is not None:
            self.recorder.finish(outputs)
        changed = self._changed()
        done = Pass(outputs, self._hidden)
        self._forget()
        if changed & self.protected:
            raise CaptureError(
                came=f"layers {sorted(changed)}, whose activations are changed in place elsewhere",
                expected="layers whose output only goes on from the layer itself",
                hint="another layer, or the same operation with inplace=False",
            )
        self.protected |= changed
        return self._once(x, replace) if changed else done

    def plain(self, x: Tensor) -> Tensor:
        """Answer of the module as it is; see what it changes in place: its input, activations."""
        self._forget()
        self._looked = self._off = True
        self._samples, own = len(x), x.clone()
        version = own._version  # noqa: SLF001
        try:
            with torch.no_grad(), ChannelAxes(self.module) as axes:
                axes.start(own)
                outputs = answer(self.module(own), self.select, len(own))
            self.protected |= self._changed()
        finally:
            self._off = False
            self._forget()
        self.changes_input |= own._version != version  # noqa: SLF001
        return outputs

    def _changed(self) -> set[str]:
        """Aliases of what was changed in place since it was captured."""
        return {a for a, h in self._hidden.items() if h._version != self._versions[a]}  # noqa: SLF001

    def look(self, x: Tensor) -> Pass:
        """Run the module once without gradients."""
        with torch.no_grad():
            return self.run(x)

    def reach(
        self, x: Tensor, aliases: Iterable[str], replace: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run the module as far as the last of some layers, and no further; `run` has seen it."""
        self._forget()
        self._until, self._replace = frozenset(aliases), replace or {}
        self._samples = len(x)
        try:
            with suppress(_ReachedError):
                self.module(x.clone() if self.changes_input else x)
            lay_out_gradients(self._hidden.values())
        finally:
            found, self._until = self._hidden, frozenset()
            self._forget()
        return found

    @property
    def first_seen(self) -> str | None:
        """Alias of the first layer that ran in the pass under way."""
        return next(iter(self._hidden), None)

    def _forget(self) -> None:
        self._hidden, self._versions, self._replace, self._calls = {}, {}, {}, Counter()

    def _hook(self, part: nn.Module, alias: str, layer: Layer) -> Any:
        def on_output(_module: nn.Module, _args: object, output: Any) -> Any:
            return self._visit(alias, layer, output)

        def on_input(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
            name = None if args else next(iter(named), None)  # called as conv(input=x)
            first = self._visit(alias, layer, args[0] if args else named.get(str(name)))
            if first is None:
                return None
            return ((first, *args[1:]), named) if args else (args, {**named, str(name): first})

        if layer.at == "nonlinearity":
            return _Within(part, _Nonlinearities(partial(self._visit, alias, layer)))
        if layer.at == "input":
            return part.register_forward_pre_hook(on_input, with_kwargs=True)
        return part.register_forward_hook(on_output)

    def _visit(self, alias: str, layer: Layer, value: Any) -> Any:
        call = self._calls[alias]
        self._calls[alias] += 1
        if layer.occurrence not in (None, call):
            return None
        if alias in self._hidden:
            raise CaptureError(
                came=f"layer {layer.module!r} runs more than once in one pass",
                expected="which of its calls is meant",
                hint=f"nc.Layer({layer.module!r}, occurrence=0)",
            )
        own = pick(value, layer)
        activation = layer.gathered(own, self._samples)
        axes = ChannelAxes.active()
        if axes is not None:
            self.layers = {**self.layers, alias: layer.seen(activation, axes.of(activation))}
        if self._off:
            self._note(alias, activation)
            return None
        taken = self._take(alias, activation)
        return put(value, layer.item, layer.scattered(taken, own.shape))

    def _note(self, alias: str, tensor: Tensor) -> None:
        self._hidden[alias] = tensor
        self._versions[alias] = tensor._version  # noqa: SLF001

    def _take(self, alias: str, tensor: Tensor) -> Tensor:
        tensor = self._replace.get(alias, tensor)
        if torch.is_grad_enabled() and not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        elif torch.is_grad_enabled():
            # a node of its own: what a module takes, or a module that returns its input, is shared
            # with what is beside it, which is no part of the layer
            tensor = tensor[...]
        self._note(alias, tensor)
        if self._until and self._until <= self._hidden.keys():
            raise _ReachedError
        if self.recorder is not None:
            return self.recorder.capture(alias, tensor)
        return tensor.clone() if alias in self.protected else tensor
