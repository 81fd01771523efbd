"""Dictionary learning by sparse coding: where the modes of an autoencoder start from.

An amortised encoder and a dictionary that start together from noise have nothing to learn from:
no mode fires, so neither gets a gradient. Here the dictionary starts at data rows and is learned
first, with every loading inferred rather than predicted, so that each mode has a gradient at
every step. The encoder is then trained to predict those loadings (`neurocodec.nn.sae`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 1e-8


def sparse_codes(
    rows: Tensor,
    atoms: Tensor,
    penalty: float,
    *,
    start: Tensor | None = None,
    iterations: int = 100,
) -> Tensor:
    """Non-negative sparse codes: argmin over z >= 0 of 1/2 |x - z D|^2 + penalty * sum(z).

    The fast iterative shrinkage-thresholding algorithm (FISTA; Beck and Teboulle 2009, SIAM J.
    Imaging Sciences 2, eq. 4.1-4.3) for all rows at once.

    Parameters
    ----------
    rows
        x, shape (rows, channels).
    atoms
        D, shape (modes, channels).
    penalty
        Weight of the L1 norm of the codes, in the units of the rows.
    start
        Codes to begin with, shape (rows, modes); zeros where None.
    iterations
        Number of steps.

    Returns
    -------
    torch.Tensor
        Codes z, shape (rows, modes).

    Examples
    --------
    >>> sparse_codes(torch.tensor([[2.0, 0.1]]), torch.eye(2), 0.5).tolist()
    [[1.5, 0.0]]
    """
    gram, drive = atoms @ atoms.T, rows @ atoms.T - penalty
    step = 1.0 / _largest_eigenvalue(gram).clamp_min(_TINY)
    codes: Tensor = torch.zeros_like(drive) if start is None else start
    ahead, t = codes, 1.0
    for _ in range(iterations):
        new = (ahead - (ahead @ gram - drive) * step).clamp_min(0.0)
        t_new = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        ahead = new + (t - 1.0) / t_new * (new - codes)
        codes, t = new, t_new
    return codes


def _largest_eigenvalue(gram: Tensor, iterations: int = 20) -> Tensor:
    """Power iteration from a vector without zeros, raised by 5 %: it approaches from below."""
    vector: Tensor = 1.5 + torch.arange(len(gram), device=gram.device).cos().to(gram.dtype)
    for _ in range(iterations):
        vector = unit_rows((gram @ vector)[None])[0]
    norm: Tensor = torch.linalg.vector_norm(gram @ vector)
    return 1.05 * norm


def unit_rows(matrix: Tensor) -> Tensor:
    """Rows scaled to norm 1; rows of zeros stay zero.

    Examples
    --------
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norm: Tensor = torch.linalg.vector_norm(matrix, dim=1, keepdim=True)
    return matrix / norm.clamp_min(_TINY)


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
            weight * nearest.clamp_min(0.0) + floor * (weight > 0), 1, generator=generator
        )
        chosen.append(index)
        nearest = torch.minimum(nearest, 1.0 - directions @ directions[index[0]])
    return directions[torch.cat(chosen)]


class OnlineDictionary:
    """Atoms of norm 1 learned from a stream of rows and their codes.

    Online dictionary learning (Mairal et al. 2010, JMLR 11, algorithm 1) with exponential
    forgetting. In place of their loop over atoms, all atoms move at once along the gradient of
    the surrogate, each scaled by the sum of its row of the second moments: a majorant because
    codes are not negative, and one matrix product on any device.

    Parameters
    ----------
    atoms
        Where to start, shape (modes, channels).
    nonnegative
        Whether atoms are kept at or above zero.

    Examples
    --------
    >>> learner = OnlineDictionary(torch.eye(2), nonnegative=True)
    >>> learner.update(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 0.0]]), forget=0.1)
    >>> [round(v, 3) for v in learner.atoms[0].tolist()]
    [0.894, 0.447]
    """

    def __init__(self, atoms: Tensor, *, nonnegative: bool) -> None:
        self.atoms = unit_rows(atoms)
        self.nonnegative = nonnegative
        self._second = atoms.new_zeros(len(atoms), len(atoms))
        self._cross = torch.zeros_like(atoms)

    def update(self, rows: Tensor, codes: Tensor, *, forget: float, iterations: int = 10) -> None:
        """Take in a batch and move the atoms.

        Parameters
        ----------
        rows
            Shape (batch, channels).
        codes
            Shape (batch, modes).
        forget
            Part of the past that is forgotten, 0 to 1.
        iterations
            Steps along the gradient of the surrogate.
        """
        self._second.mul_(1.0 - forget).addmm_(codes.T, codes)
        self._cross.mul_(1.0 - forget).addmm_(codes.T, rows)
        bound = self._second.sum(dim=1, keepdim=True)
        step = torch.where(bound > _TINY, 1.0 / bound.clamp_min(_TINY), 0.0)
        for _ in range(iterations):
            moved = self.atoms + step * (self._cross - self._second @ self.atoms)
            self.atoms = self._constrained(moved)

    def revive(self, dead: Tensor, rows: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Start dead atoms again at what is left of badly reconstructed rows.

        Parameters
        ----------
        dead
            Positions of the atoms.
        rows, codes
            The data and their codes.
        generator
            Random numbers.
        """
        self._second[dead] = 0.0
        self._second[:, dead] = 0.0
        self._cross[dead] = 0.0
        left = rows - codes @ self.atoms
        self.atoms[dead] = residual_directions(
            left, len(dead), generator, nonnegative=self.nonnegative
        )

    def _constrained(self, moved: Tensor) -> Tensor:
        moved = moved.clamp_min(0.0) if self.nonnegative else moved
        vanished = moved.norm(dim=1, keepdim=True) <= _TINY
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
