"""Dictionaries learned from rows and their codes, several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import largest_eigenvalue, product, unit_rows

_TINY = 1e-8


def spread_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions (count, channels) of rows that differ; some repeat where fewer rows differ."""
    # k-means++ seeding (Arthur and Vassilvitskii 2007) on directions: rows are drawn in proportion
    # to their norm times their cosine distance to the nearest row drawn so far
    weight, directions = rows.norm(dim=1), unit_rows(rows)
    floor = 1e-6 * weight.mean()
    nearest, chosen = torch.ones_like(weight), []
    for _ in range(count):
        index = torch.multinomial(
            weight * nearest.clamp_min(0.0) + floor * (weight > 0) + _TINY, 1, generator=generator
        )
        chosen.append(index)
        nearest = torch.minimum(nearest, 1.0 - directions @ directions[index[0]])
    return directions[torch.cat(chosen)]


def centre_directions(
    rows: Tensor, count: int, generator: torch.Generator, iterations: int = 25
) -> Tensor:
    """Directions (count, channels) of clusters: spherical k-means, rows weighted by norm."""
    centres = spread_rows(rows, count, generator)
    for _ in range(iterations):
        nearest = (rows @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        filled = sums.norm(dim=1, keepdim=True) > _TINY
        centres = torch.where(filled, unit_rows(sums), centres)
    return centres


class OnlineDictionary:
    """Atoms (fits, modes, channels) of norm 1, learned from a stream of rows and their codes."""

    # Mairal et al. 2010 (JMLR 11, algorithm 1) with exponential forgetting. In place of their loop
    # over atoms, all atoms move at once along the gradient of the surrogate, each scaled by the sum
    # of its row of the second moments: a majorant because codes are not negative, and one matrix
    # product on any device.

    def __init__(self, atoms: Tensor, *, nonnegative: bool) -> None:
        self.atoms = unit_rows(atoms)
        self.nonnegative = nonnegative
        self.second = atoms.new_zeros(*atoms.shape[:-1], atoms.shape[-2])
        self.cross = torch.zeros_like(atoms)

    def update(self, rows: Tensor, codes: Tensor, *, forget: float, iterations: int = 10) -> None:
        """Take in a batch (fits, batch, ...), forget a part of the past, and move the atoms."""
        turned = codes.transpose(-1, -2)
        self.second.mul_(1.0 - forget).add_(turned @ codes)
        self.cross.mul_(1.0 - forget).add_(turned @ rows)
        bound = self.second.sum(dim=-1, keepdim=True)
        step = torch.where(bound > _TINY, 1.0 / bound.clamp_min(_TINY), 0.0)
        multiply = product(self.second, self.atoms)
        for _ in range(iterations):
            left = self.cross - multiply(self.second, self.atoms)
            moved = torch.addcmul(self.atoms, step, left)
            self.atoms = self._constrained(moved)

    def restart(self, fit: int, dead: Tensor, atoms: Tensor) -> None:
        """Start dead atoms of one fit again, at (dead, channels)."""
        self.second[fit, dead] = 0.0
        self.second[fit, :, dead] = 0.0
        self.cross[fit, dead] = 0.0
        self.atoms[fit, dead] = unit_rows(atoms)

    def _constrained(self, moved: Tensor) -> Tensor:
        moved = moved.clamp_min_(0.0) if self.nonnegative else moved
        norm = torch.linalg.vector_norm(moved, dim=-1, keepdim=True)
        vanished = norm <= _TINY
        return torch.where(vanished, self.atoms, moved.div_(norm))


def residual_directions(
    residuals: Tensor, count: int, generator: torch.Generator, *, nonnegative: bool
) -> Tensor:
    """Directions (count, channels) of residuals, drawn in proportion to their energy."""
    left = residuals.clamp_min(0.0) if nonnegative else residuals
    energy = left.square().sum(dim=1) + _TINY
    return unit_rows(left[torch.multinomial(energy, count, replacement=True, generator=generator)])


def least_squares_dictionary(
    second: Tensor,  # Z'Z, (modes, modes); where it is all zero, the atoms come back
    cross: Tensor,  # Z'X, (modes, channels)
    atoms: Tensor,  # A, (modes, channels)
    *,
    tie: float,
    nonnegative: bool,  # whether D must be at least 0
    iterations: int = 300,
) -> Tensor:
    """Dictionary (modes, channels) that reconstructs best from given codes, held near its atoms."""
    # argmin over D of |X - Z D|^2 + tie * mean(diag(Z'Z)) * |D - s A|^2, where s is the one factor
    # that makes s A reconstruct best. Penalised codes are too small, so that atoms of norm 1 leave
    # part of the rows unexplained; the unconstrained least-squares dictionary would explain most,
    # but is ill-conditioned where modes fire together, and another one for every seed.
    # Solved by accelerated projected gradient descent from s A where no equation gives it.
    explained = (second @ atoms * atoms).sum()
    scaled = (cross * atoms).sum() / explained.clamp_min(_TINY) * atoms
    weight = tie * second.diagonal().mean()
    if not second.any():
        return atoms.clone()
    gram = second + weight * torch.eye(len(second), dtype=second.dtype, device=second.device)
    goal = cross + weight * scaled
    if not nonnegative and tie > 0:
        solved: Tensor = torch.linalg.solve(gram, goal)
        return solved
    step = 1.0 / largest_eigenvalue(gram).clamp_min(_TINY)
    found, ahead, t = scaled, scaled, 1.0
    for _ in range(iterations):
        new = ahead - (gram @ ahead - goal) * step
        new = new.clamp_min(0.0) if nonnegative else new
        t_new = 0.5 * (1.0 + (1.0 + 4.0 * t * t) ** 0.5)
        ahead = new + (t - 1.0) / t_new * (new - found)
        found, t = new, t_new
    return found


def draw_orders(count: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One random order of rows for each fit, (fits, rows)."""
    return torch.stack([torch.randperm(count, generator=g, device=g.device) for g in generators])
