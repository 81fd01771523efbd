"""What the autograd graph of one pass says about a network: what is affine, what is used once.

A numerical check sees only what its samples exercise; the graph also shows a nonlinearity that
the first samples leave alone, and a branch that is silent on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from neurocodec.nn.capture.hooks import Capture, Pass
from neurocodec.nn.standardisation import Standardisation

Node: TypeAlias = Any
"""A node of the graph: `tensor.grad_fn`."""

LINEAR = {
    "AccumulateGrad",
    "AdaptiveAvgPool2DBackward0",
    "AddBackward0",
    "AddmmBackward0",
    "AliasBackward0",
    "AsStridedBackward0",
    "AvgPool2DBackward0",
    "AvgPool3DBackward0",
    "CatBackward0",
    "CloneBackward0",
    "ConstantPadNdBackward0",
    "ConvolutionBackward0",
    "CudnnBatchNormBackward0",
    "ExpandBackward0",
    "MeanBackward0",
    "MeanBackward1",
    "NativeBatchNormBackward0",
    "NegBackward0",
    "PermuteBackward0",
    "ReshapeAliasBackward0",
    "SelectBackward0",
    "SliceBackward0",
    "SqueezeBackward0",
    "SqueezeBackward1",
    "SubBackward0",
    "SumBackward0",
    "SumBackward1",
    "ToCopyBackward0",
    "TransposeBackward0",
    "UnfoldBackward0",
    "UnsafeViewBackward0",
    "UnsqueezeBackward0",
    "ViewBackward0",
}
"""Operations that are affine in everything that they take, in evaluation mode."""
BILINEAR = {"BmmBackward0", "DivBackward0", "MmBackward0", "MulBackward0"}
"""Operations that are affine where only their first, or only one, operand depends on the input."""


def _inputs(node: Node) -> list[Node]:
    return [n for n, _ in node.next_functions if n is not None]


def walk(root: Node, without: Node = None) -> Iterator[Node]:
    """Visit every node from which `root` is computed, once, not going beyond `without`."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node is without:
            continue
        seen.add(node)
        yield node
        waiting += _inputs(node)


def _is_affine(node: Node) -> bool:
    name = type(node).__name__
    if name in BILINEAR:
        depends = [n is not None for n, _ in node.next_functions]
        return sum(depends) == 1 and (depends[0] or name != "DivBackward0")
    return name in LINEAR


def is_affine(root: Node) -> bool:
    """Whether a tensor, by its `grad_fn`, is an affine function of the leaves of its graph."""
    return all(map(_is_affine, walk(root)))


def leads_around(root: Node, node: Node, leaf: Tensor) -> bool:
    """Whether `root` depends on `leaf` also by a way that does not pass `node`."""
    return any(getattr(n, "variable", None) is leaf for n in walk(root, without=node))


def bypassed(capture: Capture, x: Tensor) -> bool:
    """Whether the answer depends on the input otherwise than through the captured layers."""
    leaf = x[:1].detach().clone().requires_grad_()
    with torch.enable_grad():
        hidden = {a: h.detach().clone() for a, h in capture.run(leaf).hidden.items()}
        root = capture.run(leaf, hidden).outputs.grad_fn
    return leads_around(root, None, leaf)


def uses(root: Node) -> Counter[Node]:
    """How many operations take each node's result."""
    return Counter(taken for node in walk(root) for taken in _inputs(node))


@dataclass
class Inspection:
    """What the graph of one sample's pass shows."""

    # the first captured layer is affine in the input, and nothing leads around it
    affine: bool = False
    # convolutions that take the input itself, or the standardised input
    direct: set[nn.Module] = field(default_factory=set)
    # convolution -> the batch norm that alone takes its output; each runs once
    normalised: dict[nn.Module, nn.Module] = field(default_factory=dict)
    saved_bytes: int = 0  # what a backward pass to the input keeps


def inspect(capture: Capture, x: Tensor) -> tuple[Inspection, Pass]:
    """Run one sample with gradients down to the input; what the graph shows, and the pass."""
    leaf = x[:1].detach().clone().requires_grad_()
    found, nodes = Inspection(), dict[nn.Module, list[Node]]()

    def note(part: nn.Module, _args: object, output: Any) -> None:
        nodes.setdefault(part, []).append(_made_by(getattr(output, "grad_fn", None)))

    def pack(saved: Tensor) -> Tensor:
        if saved.ndim and len(saved) == 1:
            found.saved_bytes += saved.numel() * saved.element_size()
        return saved.detach()  # an operation that keeps its own result would never be freed

    with ExitStack() as stack:
        for part in capture.module.modules():
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d | Standardisation):
                stack.callback(part.register_forward_hook(note).remove)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved))
        done = capture.run(leaf)
    hidden = next(iter(done.hidden.values()), None)
    root, left = done.outputs.grad_fn, Pass(done.outputs.detach(), done.detached())
    if root is None:
        return found, left
    if hidden is not None and hidden.grad_fn is not None:
        found.affine = is_affine(hidden.grad_fn) and not leads_around(root, hidden.grad_fn, leaf)
    once = {part: made[0] for part, made in nodes.items() if len(made) == 1 and made[0]}
    found.direct = {part for part, node in once.items() if _takes(node, leaf, once)}
    found.normalised = dict(_pairs(once, uses(root)))
    return found, left


def _made_by(node: Node) -> Node:
    """See through what the capture itself puts behind a module's output."""
    while type(node).__name__ in ("CloneBackward0", "AliasBackward0"):
        node = node.next_functions[0][0]
    return node


def _takes(node: Node, leaf: Tensor, made: Mapping[nn.Module, Node]) -> bool:
    """Whether an operation takes the input, as it is or standardised."""
    taken = {n for p, n in made.items() if isinstance(p, Standardisation)} & {*_inputs(node)}
    sources = [node, *(difference for n in taken for difference in _inputs(n))]
    return any(getattr(n, "variable", None) is leaf for s in sources for n in _inputs(s))


def _pairs(
    nodes: dict[nn.Module, Node], taken: Counter[Node]
) -> Iterator[tuple[nn.Module, nn.Module]]:
    # a hook that changes what the convolution returns (nc.ablate) is then the last to make it
    convolutions = {
        node: part
        for part, node in nodes.items()
        if isinstance(part, nn.Conv2d) and type(node).__name__ == "ConvolutionBackward0"
    }
    for part, node in nodes.items():
        source = node.next_functions[0][0] if type(part) is nn.BatchNorm2d else None
        if source in convolutions and taken[source] == 1:
            yield convolutions[source], part
