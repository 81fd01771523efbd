"""Dictionaries learned from rows and their codes, several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import largest_eigenvalue, unit_rows

_TINY = 1e-8


def spread_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions of `count` data rows that differ from each other.

    k-means++ seeding (Arthur and Vassilvitskii 2007) on directions: each row is drawn with a
    probability proportional to its norm times its cosine distance to the nearest row drawn so
    far. Where there are fewer different rows than `count`, some repeat.

    Parameters
    ----------
    rows
        Shape (rows, channels).
    count
        Number of directions.
    generator
        Random numbers, on the device of the rows.

    Returns
    -------
    torch.Tensor
        Rows of norm 1, shape (count, channels).

    Examples
    --------
    >>> rows = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    >>> sorted(spread_rows(rows, 2, torch.Generator().manual_seed(0)).tolist())
    [[0.0, 1.0], [1.0, 0.0]]
    """
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
    """Directions of cluster centres: spherical k-means with rows weighted by their norm.

    Parameters
    ----------
    rows
        Shape (rows, channels).
    count
        Number of centres.
    generator
        Random numbers, on the device of the rows.
    iterations
        Passes over the rows.

    Returns
    -------
    torch.Tensor
        Rows of norm 1, shape (count, channels).

    Examples
    --------
    >>> rows = torch.tensor([[2.0, 0.1], [2.0, -0.1], [0.0, 3.0]])
    >>> sorted(centre_directions(rows, 2, torch.Generator().manual_seed(0)).tolist())
    [[0.0, 1.0], [1.0, 0.0]]
    """
    centres = spread_rows(rows, count, generator)
    for _ in range(iterations):
        nearest = (rows @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        filled = sums.norm(dim=1, keepdim=True) > _TINY
        centres = torch.where(filled, unit_rows(sums), centres)
    return centres


class OnlineDictionary:
    """Atoms of norm 1 learned from a stream of rows and their codes.

    Online dictionary learning (Mairal et al. 2010, JMLR 11, algorithm 1) with exponential
    forgetting. In place of their loop over atoms, all atoms move at once along the gradient of
    the surrogate, each scaled by the sum of its row of the second moments: a majorant because
    codes are not negative, and one matrix product on any device.

    Parameters
    ----------
    atoms
        Where to start, shape (fits, modes, channels).
    nonnegative
        Whether atoms are kept at or above zero.

    Examples
    --------
    >>> learner = OnlineDictionary(torch.eye(2)[None], nonnegative=True)
    >>> learner.update(torch.tensor([[[2.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]]), forget=0.1)
    >>> [round(v, 3) for v in learner.atoms[0, 0].tolist()]
    [0.894, 0.447]
    """

    def __init__(self, atoms: Tensor, *, nonnegative: bool) -> None:
        self.atoms = unit_rows(atoms)
        self.nonnegative = nonnegative
        self.second = atoms.new_zeros(*atoms.shape[:-1], atoms.shape[-2])
        self.cross = torch.zeros_like(atoms)

    def update(self, rows: Tensor, codes: Tensor, *, forget: float, iterations: int = 10) -> None:
        """Take in a batch and move the atoms.

        Parameters
        ----------
        rows
            Shape (fits, batch, channels).
        codes
            Shape (fits, batch, modes).
        forget
            Part of the past that is forgotten, 0 to 1.
        iterations
            Steps along the gradient of the surrogate.
        """
        turned = codes.transpose(-1, -2)
        self.second.mul_(1.0 - forget).add_(turned @ codes)
        self.cross.mul_(1.0 - forget).add_(turned @ rows)
        bound = self.second.sum(dim=-1, keepdim=True)
        step = torch.where(bound > _TINY, 1.0 / bound.clamp_min(_TINY), 0.0)
        for _ in range(iterations):
            moved = torch.addcmul(self.atoms, step, self.cross - self.second @ self.atoms)
            self.atoms = self._constrained(moved)

    def restart(self, fit: int, dead: Tensor, atoms: Tensor) -> None:
        """Start dead atoms again.

        Parameters
        ----------
        fit
            Which fit.
        dead
            Positions of the atoms.
        atoms
            What they become, shape (dead, channels).
        """
        self.second[fit, dead] = 0.0
        self.second[fit, :, dead] = 0.0
        self.cross[fit, dead] = 0.0
        self.atoms[fit, dead] = unit_rows(atoms)

    def _constrained(self, moved: Tensor) -> Tensor:
        moved = moved.clamp_min(0.0) if self.nonnegative else moved
        vanished = torch.linalg.vector_norm(moved, dim=-1, keepdim=True) <= _TINY
        return torch.where(vanished, self.atoms, unit_rows(moved))


def residual_directions(
    residuals: Tensor, count: int, generator: torch.Generator, *, nonnegative: bool
) -> Tensor:
    """Directions of residuals, drawn with a probability proportional to their energy.

    Parameters
    ----------
    residuals
        Shape (rows, channels).
    count
        Number of directions.
    generator
        Random numbers, on the device of the residuals.
    nonnegative
        Whether only the positive part counts.

    Returns
    -------
    torch.Tensor
        Rows of norm 1, shape (count, channels).

    Examples
    --------
    >>> left = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    >>> residual_directions(left, 1, torch.Generator().manual_seed(0), nonnegative=True).tolist()
    [[0.0, 1.0]]
    """
    left = residuals.clamp_min(0.0) if nonnegative else residuals
    energy = left.square().sum(dim=1) + _TINY
    return unit_rows(left[torch.multinomial(energy, count, replacement=True, generator=generator)])


def least_squares_dictionary(
    second: Tensor,
    cross: Tensor,
    atoms: Tensor,
    *,
    tie: float,
    nonnegative: bool,
    iterations: int = 300,
) -> Tensor:
    """Dictionary that reconstructs best from given codes, held near s times the atoms.

    argmin over D of |X - Z D|^2 + tie * mean(diag(Z'Z)) * |D - s A|^2, where s is the one factor
    that makes s A reconstruct best. Penalised codes are too small, so that atoms of norm 1 leave
    part of the rows unexplained; the unconstrained least-squares dictionary would explain most,
    but is ill-conditioned where modes fire together, and another one for every seed.

    Parameters
    ----------
    second
        Z'Z, shape (modes, modes).
    cross
        Z'X, shape (modes, channels).
    atoms
        A, shape (modes, channels).
    tie
        Weight of the tie to the atoms.
    nonnegative
        Whether D must be at least 0.
    iterations
        Steps of accelerated projected gradient descent, from s A.

    Returns
    -------
    torch.Tensor
        D, shape (modes, channels); the atoms where no code is above zero.

    Examples
    --------
    >>> codes, atoms = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0]])
    >>> rows = codes @ torch.tensor([[3.0, 4.0]])
    >>> found = least_squares_dictionary(
    ...     codes.T @ codes, codes.T @ rows, atoms, tie=0.0, nonnegative=True
    ... )
    >>> [round(value, 3) for value in found[0].tolist()]
    [3.0, 4.0]
    """
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
    """One random order of rows for each fit, (fits, rows).

    Parameters
    ----------
    count
        Number of rows.
    generators
        One per fit.

    Examples
    --------
    >>> draw_orders(3, [torch.Generator().manual_seed(0)]).sort().values.tolist()
    [[0, 1, 2]]
    """
    return torch.stack([torch.randperm(count, generator=g, device=g.device) for g in generators])
