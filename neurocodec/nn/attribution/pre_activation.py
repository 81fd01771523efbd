"""Where the last nonlinearity of a block reads: the layer in which inhibition can still be seen.

And the batch norm that ends such a layer, if one does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from neurocodec.errors import InputError
from neurocodec.nn.capture.hooks import NONLINEARITIES
from neurocodec.nn.capture.layer import At, Layer

MODULES: Final = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
)
IDLE: Final = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)
"""Modules that hand on what they take, in evaluation mode."""


def before_activation(module: nn.Module, layer: Layer, ending: Iterable[str] = ()) -> Layer:
    """The input of the last nonlinearity of a block, as a layer that can be captured.

    The block is followed symbolically, without a sample; one that chooses its way by its numbers
    is refused. `ending` are names of other layers, for the message.
    """
    block = module.get_submodule(layer.module)
    if isinstance(block, MODULES):
        return Layer(layer.module, at="input", occurrence=layer.occurrence, token=layer.token)
    calls = _calls(block, layer.module)
    last = _result(calls, block)
    if not _is_activation(last, block):
        raise InputError(
            came=f"layer {layer.module!r}, which does not end in a nonlinearity",
            expected="a block that does; what another returns is read before one already",
            hint=f"one of {list(ending)}" if ending else f"nc.Layer({layer.module!r})",
        )
    if last.op == "call_module":
        return _layer(layer, last, calls, at="input")
    read = last.args[0] if last.args else last.kwargs.get("input")
    if isinstance(read, fx.Node) and read.op == "call_module":
        return _layer(layer, read, calls, at="output")
    return _read_by_function(layer, last, calls, block)


def _read_by_function(layer: Layer, last: fx.Node, calls: list[fx.Node], block: nn.Module) -> Layer:
    """What a function reads that is called within a block, and that no module returns."""
    parts = [block.get_submodule(str(n.target)) for n in calls if n.op == "call_module"]
    unseen = [type(part).__name__ for part in parts if [*part.children()]]
    if unseen:
        raise InputError(
            came=f"layer {layer.module!r}, whose last nonlinearity is a function of a sum that no"
            f" module returns, beside a {unseen[0]}, in which there may be more of them",
            expected="a module whose input or output is what the nonlinearity reads",
            hint="self.total = torch.nn.Identity() in the block, and relu(self.total(y + x))",
        )
    own = [node for node in calls if _is_activation(node, block)]
    which = own.index(last) + (layer.occurrence or 0) * len(own)
    several = len(own) > 1 or layer.occurrence is not None
    return Layer(layer.module, "nonlinearity", which if several else None, token=layer.token)


def _calls(block: nn.Module, name: str) -> list[fx.Node]:
    """What a block does, in its order, its parts of torch as one step each."""
    try:
        return [*fx.Tracer().trace(block).nodes]
    except Exception as error:
        raise InputError(
            came=f"layer {name!r}, which cannot be followed without a sample: {error}",
            expected="a block that runs in one way",
            hint=f"nc.Layer('{name}.relu', at='input', occurrence=1)",
        ) from error


def _result(calls: list[fx.Node], block: nn.Module) -> Any:
    """The step that makes what a block returns."""
    last: Any = calls[-1].args[0]
    while isinstance(last, fx.Node) and last.op == "call_module":
        if not isinstance(block.get_submodule(str(last.target)), IDLE):
            break
        last = last.args[0]
    return last


def _is_activation(node: Any, block: nn.Module) -> bool:
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_module":
        return isinstance(block.get_submodule(str(node.target)), MODULES)
    if node.op == "call_method":
        return getattr(Tensor, str(node.target), None) in NONLINEARITIES
    return node.op == "call_function" and node.target in NONLINEARITIES


def _layer(layer: Layer, node: fx.Node, calls: list[fx.Node], at: At) -> Layer:
    """What a part of a block takes or returns; which call, where it runs more than once."""
    own = [n for n in calls if n.op == "call_module" and n.target == node.target]
    which = own.index(node) if len(own) > 1 else layer.occurrence
    name = f"{layer.module}.{node.target}" if layer.module else str(node.target)
    return Layer(name, at=at, occurrence=which, token=layer.token)


def net_shift(norm: BatchNorm) -> Tensor:
    """Value of a batch norm where its input is 0: beta - gamma mean / sqrt(variance + eps)."""
    if norm.running_mean is None or norm.running_var is None:
        raise InputError(
            came="a batch norm that keeps no running mean",
            expected="one of a trained network",
            hint="nc.ConceptVectors(center='mean')",
        )
    with torch.no_grad():
        zero = norm.running_mean / torch.sqrt(norm.running_var + norm.eps)
        scaled = zero if norm.weight is None else zero * norm.weight
        return -scaled if norm.bias is None else norm.bias - scaled


def ending_norm(module: nn.Module, layer: Layer, hint: str) -> BatchNorm:
    """The batch norm whose output a layer is; refused where it is a sum, or anything else."""
    node, block = _made_by(module, layer, hint)
    while isinstance(node, fx.Node) and node.op == "call_module":
        part = block.get_submodule(str(node.target))
        if isinstance(part, BatchNorm):
            return part
        if not isinstance(part, IDLE):
            raise _refused(layer, f"a {type(part).__name__} makes it", hint)
        node = node.args[0]
    if isinstance(node, fx.Node) and node.op != "placeholder":
        name = getattr(node.target, "__name__", str(node.target))
        what = "a sum of two ways, as behind a skip" if "add" in name else f"{name!r} makes it"
        raise _refused(layer, what, hint)
    raise _refused(layer, "it is what its block is given", hint)


def _made_by(module: nn.Module, layer: Layer, hint: str) -> tuple[Any, nn.Module]:
    """The step that makes what a layer reads, and the block that it is a step of."""
    part = module.get_submodule(layer.module)
    if layer.at == "output":
        if isinstance(part, (BatchNorm, *IDLE)) or not [*part.children()]:
            return _called(module, layer, hint, inside=False)
        return _result(_calls(part, layer.module), part), part
    if layer.at == "input":
        return _called(module, layer, hint, inside=True)
    calls = _calls(part, layer.module)
    own = [node for node in calls if _is_activation(node, part)]
    return own[layer.occurrence or 0].args[0], part


def _called(module: nn.Module, layer: Layer, hint: str, *, inside: bool) -> tuple[Any, nn.Module]:
    """The call of a module in the one that holds it, or what it reads."""
    outer, _, name = layer.module.rpartition(".")
    block = module.get_submodule(outer)
    calls = _calls(block, outer)
    own = [node for node in calls if node.op == "call_module" and node.target == name]
    which = layer.occurrence or 0
    if which >= len(own):
        raise _refused(layer, f"{layer.module!r} runs in a way that cannot be followed", hint)
    return (own[which].args[0] if inside else own[which]), block


def _refused(layer: Layer, why: str, hint: str) -> InputError:
    return InputError(
        came=f"center='batch_norm' for the layer {layer.module!r}: {why}",
        expected="a layer that a batch norm ends",
        hint=hint,
    )
