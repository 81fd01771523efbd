"""Capture hidden activations: borrow a module, hook its layers, give everything back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from neurocodec.errors import CaptureError, unknown_name

Item: TypeAlias = int | str | None
Layout: TypeAlias = Literal["vector", "tokens", "maps"]


@dataclass(frozen=True)
class Layer:
    """Where in a module an activation is read.

    Parameters
    ----------
    module
        Name of the submodule, as in `torch.nn.Module.named_modules`.
    at
        Its ``"output"``, or its first positional ``"input"``.
    occurrence
        Which call, from 0, of a submodule that runs several times in one pass.
    item
        Which item of an output that is a tuple (int) or dict (str).
    layout
        ``"maps"`` (sample, channel, y, x), ``"tokens"`` (sample, token, channel) or ``"vector"``
        (sample, channel); None takes it from the number of dimensions (4, 3 or 2).
    token
        One token, such as 0 for the class token; None sums over all tokens.

    Examples
    --------
    >>> Layer("blocks.3", token=0).at
    'output'
    """

    module: str
    at: Literal["output", "input"] = "output"
    occurrence: int | None = None
    item: Item = None
    layout: Layout | None = None
    token: int | None = None

    def channels_first(self, activation: Tensor) -> Tensor:
        """View an activation of this layer as (sample, channel, positions...)."""
        layout = self.layout or {2: "vector", 3: "tokens", 4: "maps"}.get(activation.ndim)
        if layout is None:
            raise CaptureError(
                came=f"an activation of shape {tuple(activation.shape)} at {self.module!r}",
                expected="(sample, channel), (sample, token, channel) or (sample, channel, y, x)",
                hint=f"nc.Layer({self.module!r}, layout='maps')",
            )
        if layout == "tokens":
            activation = activation.movedim(-1, 1)
            return activation if self.token is None else activation[..., self.token]
        return activation


@dataclass
class Pass:
    """What one forward pass left: outputs (sample, output) and hidden activations by alias."""

    outputs: Tensor
    hidden: dict[str, Tensor]

    def detached(self) -> dict[str, Tensor]:
        """Hidden activations without their graph."""
        return {alias: h.detach() for alias, h in self.hidden.items()}


@contextmanager
def borrowed(module: nn.Module) -> Iterator[nn.Module]:
    """Put a module into evaluation mode with frozen parameters; give it back as it was.

    Mode of every submodule, `requires_grad` of every parameter and the random state are restored,
    also after an exception. The fused attention path, which skips submodules, is off meanwhile.

    Raises
    ------
    CaptureError
        Where a batch norm keeps no running statistics, so that samples depend on each other.

    Examples
    --------
    >>> module = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with borrowed(module):
    ...     module.training, module[0].weight.requires_grad
    (False, False)
    >>> module.training, module[0].weight.requires_grad
    (True, True)
    """
    modes = [(m, m.training) for m in module.modules()]
    flags = [(p, p.requires_grad) for p in module.parameters()]
    fastpath = torch.backends.mha.get_fastpath_enabled()
    _refuse_batch_statistics(module)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.random.fork_rng(_cuda_devices(module)))
        stack.callback(torch.backends.mha.set_fastpath_enabled, fastpath)
        stack.callback(_restore, modes, flags)
        torch.backends.mha.set_fastpath_enabled(False)
        module.eval()
        for parameter, _ in flags:
            parameter.requires_grad = False
        yield module


def _restore(modes: list[tuple[nn.Module, bool]], flags: list[tuple[nn.Parameter, bool]]) -> None:
    for module, training in modes:
        module.training = training
    for parameter, requires_grad in flags:
        parameter.requires_grad = requires_grad


def _cuda_devices(module: nn.Module) -> list[int]:
    devices = {p.device for p in module.parameters() if p.device.type == "cuda"}
    return sorted(d.index or 0 for d in devices)


def _refuse_batch_statistics(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.running_mean is None:  # noqa: SLF001
            raise CaptureError(
                came=f"{type(part).__name__} {name!r}, which normalises over the batch",
                expected="samples that do not depend on each other",
                hint="track_running_stats=True, and a forward pass in training mode over your data",
            )


@dataclass
class Capture:
    """Hooks on the layers of one module, and the passes through them.

    Parameters
    ----------
    module
        The network.
    layers
        Alias -> layer.
    select
        Which item of an output that is a tuple (int) or dict (str) holds the network's answer.
    protected
        Aliases whose activation is changed in place further on (torchvision's ReLUs): the network
        goes on with a copy of these. Found by the passes themselves.

    Examples
    --------
    >>> module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with Capture(module, {"first": Layer("0")}).attached() as capture:
    ...     hidden = capture.run(torch.zeros(4, 2)).hidden
    >>> hidden["first"].shape, module[0]._forward_hooks
    (torch.Size([4, 3]), OrderedDict())
    """

    module: nn.Module
    layers: Mapping[str, Layer]
    select: Item = None
    protected: set[str] = field(default_factory=set)
    _looked: bool = field(default=False, repr=False)
    _hidden: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _versions: dict[str, int] = field(default_factory=dict, repr=False)
    _replace: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    _calls: Counter[str] = field(default_factory=Counter, repr=False)

    @contextmanager
    def attached(self) -> Iterator[Capture]:
        """Borrow the module and hook its layers for the length of a ``with`` block."""
        parts = dict(self.module.named_modules())
        for layer in self.layers.values():
            if layer.module not in parts:
                raise unknown_name("layer", layer.module, (n for n in parts if n))
        with ExitStack() as stack:
            stack.enter_context(borrowed(self.module))
            for alias, layer in self.layers.items():
                stack.callback(self._hook(parts[layer.module], alias, layer).remove)
            stack.callback(self._forget)
            yield self

    def run(self, x: Tensor, replace: Mapping[str, Tensor] | None = None) -> Pass:
        """Run the module once.

        Parameters
        ----------
        x
            Inputs, sample axis first.
        replace
            Alias -> the activation that the network shall go on with.

        Returns
        -------
        Pass
            Where gradients are enabled, every activation is part of a graph that starts at the
            earliest captured layer, so that a backward pass ends there. (The first such pass is
            preceded by one without gradients that finds the layers to protect: in-place
            operations on the start of a graph are an error.)
        """
        if torch.is_grad_enabled() and not self._looked:
            with torch.no_grad():
                self.run(x[:1])
        self._looked = True
        self._forget()
        self._replace = replace or {}
        if torch.is_grad_enabled() and any(la.at == "input" for la in self.layers.values()):
            x = x.detach().requires_grad_()
        outputs = answer(self.module(x), self.select)
        changed = {a for a, h in self._hidden.items() if h._version != self._versions[a]}  # noqa: SLF001
        if changed - self.protected:
            self.protected |= changed
            return self.run(x, replace)
        done = Pass(outputs, self._hidden)
        self._forget()
        return done

    def look(self, x: Tensor) -> Pass:
        """Run the module once without gradients."""
        with torch.no_grad():
            return self.run(x)

    @property
    def first_seen(self) -> str | None:
        """Alias of the first layer that ran in the pass under way."""
        return next(iter(self._hidden), None)

    def _forget(self) -> None:
        self._hidden, self._versions, self._replace, self._calls = {}, {}, {}, Counter()

    def _hook(self, part: nn.Module, alias: str, layer: Layer) -> Any:
        def on_output(_module: nn.Module, _args: object, output: Any) -> Any:
            return self._visit(alias, layer, output)

        def on_input(_module: nn.Module, args: tuple[Any, ...]) -> Any:
            first = self._visit(alias, layer, args[0] if args else None)
            return None if first is None else (first, *args[1:])

        if layer.at == "input":
            return part.register_forward_pre_hook(on_input)
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
        tensor = self._take(alias, _pick(value, layer))
        return _put(value, layer.item, tensor)

    def _take(self, alias: str, tensor: Tensor) -> Tensor:
        tensor = self._replace.get(alias, tensor)
        if torch.is_grad_enabled() and not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        self._hidden[alias] = tensor
        self._versions[alias] = tensor._version  # noqa: SLF001
        return tensor.clone() if alias in self.protected else tensor


def _pick(value: Any, layer: Layer) -> Tensor:
    where = f"the {layer.at} of layer {layer.module!r}"
    tensor = value if layer.item is None else _item(value, layer.item, where)
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise CaptureError(
            came=f"{where} is {_kind(tensor)}",
            expected="a tensor of real numbers",
            hint=f"nc.Layer({layer.module!r}, item=0)",
        )
    return tensor


def _put(value: Any, item: Item, tensor: Tensor) -> Any:
    if item is None:
        return tensor
    if isinstance(value, Mapping):
        return type(value)({**value, item: tensor})  # type: ignore[call-arg]
    parts = [tensor if i == item else part for i, part in enumerate(value)]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _item(value: Any, item: int | str, where: str) -> Any:
    try:
        return value[item]
    except (KeyError, IndexError, TypeError) as error:
        names = list(value) if isinstance(value, Mapping) else range(len(value))
        raise unknown_name(f"item in {where} ({_kind(value)})", item, names) from error


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with keys {list(value)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    return f"of type {type(value).__name__}"


def answer(outputs: Any, select: Item = None) -> Tensor:
    """Take the network's answer (sample, output) out of what its module returned.

    Parameters
    ----------
    outputs
        A tensor, or a tuple or dict that holds one.
    select
        Which item of a tuple (int) or dict (str).

    Raises
    ------
    CaptureError
        Where it is not one tensor of shape (sample, output); says how to select.

    Examples
    --------
    >>> answer({"logits": torch.zeros(2, 3)}, "logits").shape
    torch.Size([2, 3])
    """
    tensor = outputs if select is None else _item(outputs, select, "the network's output")
    if not isinstance(tensor, Tensor):
        first = next(iter(tensor), 0) if isinstance(tensor, Mapping) else 0
        raise CaptureError(
            came=f"the network returns {_kind(tensor)}",
            expected="one tensor of shape (sample, output)",
            hint=f"nc.Network(module, ..., select={first!r})",
        )
    if tensor.ndim != 2:
        raise CaptureError(
            came=f"the network returns a tensor of shape {tuple(tensor.shape)}",
            expected="shape (sample, output)",
            hint="torch.nn.Sequential(module, torch.nn.Flatten())",
        )
    return tensor
