"""How activations change along a direction of the input: products with the Jacobian.

By forward-mode differentiation, which stops at the last of the layers. Where an operator has no
forward-mode derivative, by two backward passes, from then on: J'v is linear in v, and its
derivative with respect to v, times d, is Jd.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import Function
from torch.nn.attention import SDPBackend, sdpa_kernel

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.settings import Shared

logger = logging.getLogger(__name__)


def tangents(
    capture: Capture, aliases: Iterable[str], x: Tensor, direction: Tensor
) -> dict[str, Tensor]:
    """Alias -> sum_i dh_j/dx_i d_i in the activation's shape; zeros where x plays no part."""
    wanted = tuple(aliases)
    if not capture.told:
        try:
            return _forward(capture, wanted, x, direction)
        except NotImplementedError as error:
            _tell(capture, _operator(error, capture, wanted, x))
    try:
        return _twice_backward(capture, wanted, x, direction)
    except RuntimeError as error:
        raise CaptureError(
            came=f"operator {', '.join(capture.told)}, which has no forward-mode derivative and no"
            f" second derivative: {error}",
            expected="operators that have one of the two on the way from input to layer",
            hint="method=nc.methods.ActGrad() or nc.methods.IntegratedGradients()",
        ) from error


def differentiable_attention() -> AbstractContextManager[None]:
    """Attend by matrix products, as fused kernels lack derivatives; equal but for rounding."""
    return _MATRIX_PRODUCTS.held()


@contextmanager
def _by_matrix_products() -> Iterator[None]:
    with warnings.catch_warnings(), ExitStack() as stack:
        # of torch, about what it has deprecated itself, on the first use
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


_MATRIX_PRODUCTS = Shared(_by_matrix_products)
_one_level = threading.Lock()
"""torch has one level of forward-mode differentiation, which all threads share."""


def _forward(
    capture: Capture, aliases: tuple[str, ...], x: Tensor, direction: Tensor
) -> dict[str, Tensor]:
    level = forward_ad.dual_level()
    with _one_level, torch.no_grad(), level, differentiable_attention():
        dual = forward_ad.make_dual(x.contiguous(), direction.contiguous())  # type: ignore[no-untyped-call]
        hidden = capture.reach(dual, aliases)
        found = {a: forward_ad.unpack_dual(hidden[a]) for a in aliases}  # type: ignore[no-untyped-call]
        return {
            a: torch.zeros_like(d.primal) if d.tangent is None else d.tangent.clone()
            for a, d in found.items()
        }


def _twice_backward(
    capture: Capture, aliases: tuple[str, ...], x: Tensor, direction: Tensor
) -> dict[str, Tensor]:
    with torch.enable_grad(), differentiable_attention():
        leaf = x.detach().clone().requires_grad_()
        reached = capture.reach(leaf, aliases)
        hidden = [reached[a] for a in aliases]
        outer = [torch.zeros_like(h).requires_grad_() for h in hidden]
        back = torch.autograd.grad(hidden, leaf, outer, create_graph=True)
        found = torch.autograd.grad(back, outer, direction, allow_unused=True)
    return {
        alias: _derivative(h, derivative)
        for alias, h, derivative in zip(aliases, hidden, found, strict=True)
    }


def _derivative(hidden: Tensor, found: Tensor | None) -> Tensor:
    """Zeros where the activation does not depend on the input, as then it has no history."""
    if found is not None:
        return found.detach()
    if hidden.grad_fn is not None:
        raise RuntimeError("its backward pass cannot be differentiated")
    return torch.zeros_like(hidden)


def _tell(capture: Capture, operator: str) -> None:
    """Say it; from here on the run does not try forward mode again."""
    capture.told.add(operator)
    logger.warning(
        "operator %s has no forward-mode derivative: products with the Jacobian are computed"
        " by two backward passes, which are exact too and take longer",
        operator,
    )


def _operator(error: Exception, capture: Capture, aliases: tuple[str, ...], x: Tensor) -> str:
    """Name of the operator without a forward-mode derivative."""
    named = re.search(r"forward AD with (\S+) that does not", str(error))
    if named is not None:
        return named.group(1)
    with torch.enable_grad():
        reached = capture.reach(x[:1].detach().clone().requires_grad_(), aliases)
    nodes = (node for alias in aliases for node in _walk(reached[alias].grad_fn))
    found = (getattr(type(node), "_forward_cls", None) for node in nodes)
    names = {f.__qualname__ for f in found if f is not None and f.jvp is Function.jvp}
    return ", ".join(sorted(names)) or str(error).splitlines()[0]


def _walk(root: Any) -> Iterator[Any]:
    """Visit every node of the graph from which `root` is computed, once."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [n for n, _ in node.next_functions]
