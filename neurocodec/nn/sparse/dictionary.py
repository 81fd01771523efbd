"""Dictionaries learned from rows and their codes, several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import unit_rows

_TINY: Final = 1e-8
_BLOCK: Final = 64
"""Atoms that move at once."""
_LOCAL: Final = 3
"""Steps of a block before the next one."""
_DRAWS: Final = 256
"""Times that rows are drawn for the start of a dictionary: one row each of up to so many modes."""
_BATCH: Final = 4096
"""Rows of a step of clustering, at least as many as there are clusters."""
_DENSE: Final = 512
"""Up to so many modes products of dense codes cost less than of sparse ones."""
_TURNS: Final = 4
_MANY: Final = 1024
"""Of more than so many modes, one of so many moves at a batch. A move of all costs modes x modes x
channels; at 5,000 x 512, 1,536 modes, R2 of other rows is 0.874 where all move, 0.877 with 2 turns
and 0.881 with 4. Of 576 modes on 1,500 rows, fewer came back: 0.11 in place of 0.17."""


def spread_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions (count, channels) of rows that differ; some repeat where fewer rows differ."""
    # k-means++ seeding (Arthur and Vassilvitskii 2007) on directions: rows are drawn in proportion
    # to their norm times their cosine distance to the nearest row drawn so far
    weight, directions = rows.norm(dim=1), unit_rows(rows)
    floor = 1e-6 * weight.mean()
    nearest, chosen = torch.ones_like(weight), list[Tensor]()
    while sum(map(len, chosen)) < count:
        chance = weight * nearest.clamp_min(0.0) + floor * (weight > 0) + _TINY
        drawn = min(len(rows), max(1, count // _DRAWS), count - sum(map(len, chosen)))
        chosen.append(torch.multinomial(chance, drawn, generator=generator))
        far = 1.0 - (directions @ directions[chosen[-1]].T).amax(dim=1)
        nearest = torch.minimum(nearest, far)
    return directions[torch.cat(chosen)]


def centre_directions(
    rows: Tensor, count: int, generator: torch.Generator, iterations: int = 25
) -> Tensor:
    """Directions (count, channels) of clusters: spherical k-means, rows weighted by norm."""
    # In mini-batches where rows are many: sums forget as many rows as come.
    centres = spread_rows(rows, count, generator)
    sums, size = torch.zeros_like(centres), min(len(rows), max(_BATCH, count))
    for _ in range(iterations):
        batch = rows
        if size < len(rows):
            batch = rows[torch.randperm(len(rows), generator=generator, device=rows.device)[:size]]
        nearest = (batch @ centres.T).argmax(dim=1)
        sums = (sums * (1.0 - size / len(rows))).index_add_(0, nearest, batch)
        filled = sums.norm(dim=1, keepdim=True) > _TINY
        centres = torch.where(filled, unit_rows(sums), centres)
    return centres


class OnlineDictionary:
    """Atoms (fits, modes, channels) of norm 1, learned from a stream of rows and their codes."""

    # Mairal et al. 2010 (JMLR 11, algorithm 1) with exponential forgetting, over blocks of the
    # atoms that a batch used: see `_sweep`.

    def __init__(self, atoms: Tensor, *, nonnegative: bool) -> None:
        self.atoms = unit_rows(atoms)
        self.nonnegative = nonnegative
        self.second = atoms.new_zeros(*atoms.shape[:-1], atoms.shape[-2])
        self.cross = torch.zeros_like(atoms)

    def update(
        self,
        rows: Tensor,  # (fits, batch, channels)
        codes: Tensor,  # (fits, batch, modes)
        *,
        forget: float,  # part of the past
        sweeps: int = 1,
        turn: int = 0,  # number of the batch: which of many atoms move
    ) -> None:
        """Take in a batch, forget a part of the past, and move the atoms."""
        self.second.mul_(1.0 - forget)
        self.cross.mul_(1.0 - forget)
        self.atoms = self.atoms.clone()
        if len(rows) > 1 and self.second.shape[1] <= _DENSE:
            self.second.baddbmm_(codes.mT, codes)
            self.cross.baddbmm_(codes.mT, rows)
            for _ in range(sweeps):
                self._sweep_together((codes > 0).any(dim=1))
            return
        state = zip(self.atoms, self.second, self.cross, strict=True)
        for x, z, (atoms, second, cross) in zip(rows, codes, state, strict=True):
            add_moments(second, cross, x, z)
            used = (z > 0).any(dim=0).nonzero()[:, 0]
            if len(second) > _MANY:
                used = used[(used + turn) % _TURNS == 0]
            for _ in range(sweeps):
                _sweep(atoms, second, cross, used, self._constrained)

    def _sweep_together(self, used: Tensor) -> None:
        """Move the atoms that each fit used, (fits, modes), as `_sweep` moves those of one."""
        # the n-th block of all fits at once: small products cost little more for several fits than
        # for one; what a fit has less of than others is filled up with atoms that stay
        order = used.int().sort(dim=1, descending=True, stable=True)
        most = int(order.values.sum(dim=1).max())
        pairs = (order.indices, order.values)
        blocks = (torch.split(part[:, :most], _BLOCK, dim=1) for part in pairs)
        for block, moves in zip(*blocks, strict=True):
            place, moved = block[:, :, None], moves[:, :, None] > 0
            along = place.expand(-1, -1, self.atoms.shape[2])
            of_block = self.second.gather(1, place.expand(-1, -1, self.second.shape[2]))
            left = self.cross.gather(1, along) - of_block @ self.atoms
            local = of_block.gather(2, block[:, None].expand(-1, block.shape[1], -1)) * moved.mT
            bound = local.abs().sum(dim=-1, keepdim=True)
            step = torch.where(moved & (bound > _TINY), 1.0 / bound.clamp_min(_TINY), 0.0)
            before = self.atoms.gather(1, along)
            for _ in range(_LOCAL):
                new = self._constrained(torch.addcmul(before, step, left), before)
                new = torch.where(moved, new, before)
                left -= local @ (new - before)
                before = new
            self.atoms.scatter_(1, along, before)

    def restart(self, fit: int, dead: Tensor, atoms: Tensor) -> None:
        """Start dead atoms of one fit again, at (dead, channels)."""
        self.second[fit, dead] = 0.0
        self.second[fit, :, dead] = 0.0
        self.cross[fit, dead] = 0.0
        self.atoms[fit, dead] = unit_rows(atoms)

    def _constrained(self, moved: Tensor, before: Tensor) -> Tensor:
        moved = moved.clamp_min_(0.0) if self.nonnegative else moved
        norm = torch.linalg.vector_norm(moved, dim=-1, keepdim=True)
        return torch.where(norm <= _TINY, before, moved.div_(norm))


def add_moments(second: Tensor, cross: Tensor, rows: Tensor, codes: Tensor) -> None:
    """Add Z'Z and Z'X of further rows (rows, channels) and their codes (rows, modes)."""
    if len(second) <= _DENSE:
        second.addmm_(codes.T, codes)
        cross.addmm_(codes.T, rows)
        return
    turned = codes.T.to_sparse()
    second += torch.sparse.mm(turned, codes)
    cross += torch.sparse.mm(turned, rows)


def _sweep(
    atoms: Tensor,  # D, (modes, channels), moved in place
    second: Tensor,  # A, (modes, modes)
    cross: Tensor,  # B, (modes, channels)
    which: Tensor,  # modes that move
    constrained: Callable[[Tensor, Tensor], Tensor],  # where they would be, where they were
) -> None:
    """Move blocks of atoms, one after another, towards the minimum of tr(D'AD)/2 - tr(D'B)."""
    # Within a block all atoms move at once along the gradient, each scaled by the sum of its row of
    # A in the block: a majorant where codes are not negative, and close to the best step, as few
    # modes of a block fire together. Block after block, this needs a fraction of the products that
    # such steps of all atoms at once do.
    for block in torch.split(which, _BLOCK):
        before, of_block = atoms[block], second[block]
        left = cross[block] - of_block @ atoms
        local = of_block[:, block]
        bound = local.abs().sum(dim=-1, keepdim=True)
        step = torch.where(bound > _TINY, 1.0 / bound.clamp_min(_TINY), 0.0)
        for _ in range(_LOCAL):
            new = constrained(torch.addcmul(before, step, left), before)
            left -= local @ (new - before)
            before = new
        atoms[block] = before


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
    sweeps: int = 10,
) -> Tensor:
    """Dictionary (modes, channels) that reconstructs best from given codes, held near its atoms."""
    # argmin over D of |X - Z D|^2 + tie * mean(diag(Z'Z)) * |D - s A|^2, where s is the one factor
    # that makes s A reconstruct best. Penalised codes are too small, so that atoms of norm 1 leave
    # part of the rows unexplained; the unconstrained least-squares dictionary would explain most,
    # but is ill-conditioned where modes fire together, and another one for every seed.
    # Where no equation gives it, solved block by block from s A.
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
    found, every = scaled.clone(), torch.arange(len(gram), device=gram.device)
    for _ in range(sweeps):
        _sweep(found, gram, goal, every, _clamped if nonnegative else _free)
    return found


def _clamped(moved: Tensor, _before: Tensor) -> Tensor:
    return moved.clamp_min_(0.0)


def _free(moved: Tensor, _before: Tensor) -> Tensor:
    return moved


def draw_orders(count: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One random order of rows for each fit, (fits, rows)."""
    return torch.stack([torch.randperm(count, generator=g, device=g.device) for g in generators])
