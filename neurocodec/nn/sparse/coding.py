"""Sparse coding: the loadings that explain rows best with few modes, solved for, not predicted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_TINY = 1e-8


def elastic_net(
    rows: Tensor,  # x, (..., rows, channels); leading dims are separate problems
    atoms: Tensor,  # D, (..., modes, channels)
    l1: Tensor | float,  # in the units of the rows; both (..., 1, 1) for separate problems
    l2: Tensor | float,
    *,
    start: Tensor | None = None,  # codes to begin with; zeros where None
    support: Tensor | None = None,  # True where codes may be above zero; everywhere where None
    iterations: int = 150,
    signed: bool = False,  # the products of atoms are known to have signs: nothing is looked at
) -> Tensor:
    """Argmin over z >= 0 of 1/2 |x - z D|^2 + l1 sum(z) + l2/2 |z|^2: codes (..., rows, modes)."""
    # The ridge lets similar modes fire together, where the lasso would take one of them by chance
    # (Zou and Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x). Solved by accelerated proximal
    # gradient descent for all rows at once (Beck and Teboulle 2009, doi:10.1137/080716542), with
    # the constant momentum of a strongly convex problem where l2 > 0 (Nesterov 2004, sec. 2.2).
    # The number of steps is fixed, so that a row's codes do not depend on its neighbours.
    transposed = atoms.transpose(-1, -2)
    ridge = torch.as_tensor(l2, dtype=rows.dtype, device=rows.device)
    gram = atoms @ transposed + ridge * torch.eye(
        atoms.shape[-2], dtype=rows.dtype, device=rows.device
    )
    bound = _power_bound(gram) if signed else bound_of(gram)
    drive = rows @ transposed - l1
    codes = torch.zeros_like(drive) if start is None else start
    return descend(drive, gram, ridge, bound, codes, support=support, iterations=iterations)


def descend(
    drive: Tensor,  # b, (..., rows, modes)
    gram: Tensor,  # G, (..., modes, modes), with the ridge on its diagonal
    ridge: Tensor | float,
    bound: Tensor,  # of the largest eigenvalue of G, (..., 1, 1)
    start: Tensor,
    *,
    support: Tensor | None,
    iterations: int,
) -> Tensor:
    """Argmin over z >= 0 of 1/2 z G z' - b z', from `start`."""
    # A step is one product, as z - (z G - b) / L = z (1 - G / L) + b / L.
    step = 1.0 / bound
    ridge = torch.as_tensor(ridge, dtype=drive.dtype, device=drive.device)
    root = (ridge / bound).sqrt()
    rising = torch.tensor(_momenta(iterations), dtype=drive.dtype, device=drive.device)
    steady = ((1.0 - root) / (1.0 + root))[..., None].expand(*root.shape, iterations)
    further = (1.0 + torch.where(ridge[..., None] > 0, steady, rising)).unbind(-1)
    kept, goal = -step * gram, step * drive
    kept.diagonal(dim1=-2, dim2=-1).add_(1.0)
    codes = ahead = start
    for reach in further:
        new = _plus_product(goal, ahead, kept).clamp_min_(0.0)
        new = new if support is None else new * support
        codes, ahead = new, torch.lerp(codes, new, reach)
    return codes


def _plus_product(first: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Product of matrices, or of stacks of them, added to `first`."""
    if left.dim() == right.dim() == 3 and len(left) == len(right):
        return torch.baddbmm(first, left, right)
    return torch.addmm(first, left, right) if left.dim() == 2 else first + left @ right


@cache
def _momenta(iterations: int) -> tuple[float, ...]:
    """Momentum of every step of Beck and Teboulle."""
    found, t = [], 1.0
    for _ in range(iterations):
        t_new = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        found.append((t - 1.0) / t_new)
        t = t_new
    return tuple(found)


def bound_of(gram: Tensor) -> Tensor:
    """Bound of the largest eigenvalue of matrices (..., n, n), above 0: (..., 1, 1)."""
    # Of a non-negative matrix it is at most the largest (G v)_i / v_i, whatever v > 0 is
    # (Collatz 1942, Wielandt 1950); nearer to it with every product. Of others the power iteration
    # comes nearer than their absolute values do.
    # On a GPU the question would wait for all that is under way.
    if gram.device.type != "cpu" or not bool((gram >= 0).all()):
        return _power_bound(gram)
    return nonnegative_bound(gram)


def _power_bound(gram: Tensor) -> Tensor:
    return largest_eigenvalue(gram)[..., None, None].clamp_min(_TINY)


def nonnegative_bound(gram: Tensor) -> Tensor:
    """Bound of the largest eigenvalue of matrices of absolute values like these, likewise."""
    size = gram.abs()
    vector = size.sum(dim=-1, keepdim=True).add_(_TINY)
    ratio = vector
    for _ in range(2):
        new = size @ vector
        ratio = (new / vector).amax(dim=-2, keepdim=True)
        vector = new / new.amax(dim=-2, keepdim=True).clamp_min(_TINY) + _TINY
    return ratio.clamp_min(_TINY)


def largest_eigenvalue(gram: Tensor, iterations: int = 20) -> Tensor:
    """Bound of the largest eigenvalue of symmetric non-negative definite matrices (..., n, n)."""
    # Power iteration from a vector without zeros, raised by 5 %, as it approaches from below, but
    # never above the largest absolute row sum (Gershgorin).
    size = gram.shape[-1]
    vector = 1.5 + torch.arange(size, dtype=torch.float32, device=gram.device).cos().to(gram.dtype)
    vector = vector.expand(gram.shape[:-1])[..., None]
    multiply = product(gram, vector)
    for _ in range(iterations):
        vector = multiply(gram, vector)
        norm = torch.linalg.vector_norm(vector, dim=-2, keepdim=True)
        vector = vector.div_(norm.clamp_min_(_TINY))
    found = 1.05 * torch.linalg.vector_norm(gram @ vector, dim=(-2, -1))
    return torch.minimum(found, gram.abs().sum(dim=-1).amax(dim=-1))


def product(left: Tensor, right: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Matrix product for tensors like these: `@` costs more where they are small."""
    same = left.dim() == right.dim() == 3 and len(left) == len(right)
    return torch.bmm if same else torch.matmul


def keep_share(codes: Tensor, share: Tensor | float) -> Tensor:
    """Keep the strongest codes of each row that reach a share of its energy; others are 0."""
    ordered, place = codes.sort(dim=-1, descending=True, stable=True)
    energy = ordered.square()
    before = energy.cumsum(dim=-1) - energy
    kept = before < share * energy.sum(dim=-1, keepdim=True)
    return torch.zeros_like(codes).scatter(-1, place, ordered * kept)


def keep_largest(codes: Tensor, count: int) -> Tensor:
    """Keep the largest codes of each row; all others become 0."""
    values, place = codes.topk(min(count, codes.shape[-1]), dim=-1)
    return torch.zeros_like(codes).scatter(-1, place, values)


def unit_rows(matrix: Tensor) -> Tensor:
    """Rows scaled to norm 1; rows of zeros stay zero."""
    norm: Tensor = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    return matrix / norm.clamp_min(_TINY)
