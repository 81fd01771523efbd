"""Archetypal modes: combinations of typical rows, relaxed a little (Fel et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import elastic_net, unit_rows
from neurocodec.nn.sparse.dictionary import centre_directions

_TINY = 1e-8


def typical_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Candidates that archetypal modes are combined from: directions of k-means centres.

    Parameters
    ----------
    rows
        Shape (rows, channels).
    count
        Number of candidates; fewer where there are fewer rows.
    generator
        Random numbers, on the device of the rows.

    Returns
    -------
    torch.Tensor
        Rows of norm 1, shape (candidates, channels).

    Examples
    --------
    >>> rows = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    >>> sorted(typical_rows(rows, 500, torch.Generator().manual_seed(0)).tolist())
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return centre_directions(rows, min(count, len(rows)), generator)


def project(
    atoms: Tensor,
    candidates: Tensor,
    relaxation: float,
    *,
    start: Tensor | None = None,
    iterations: int = 200,
) -> tuple[Tensor, Tensor]:
    """Nearest archetypal mode of each atom: a scaled convex combination of candidates, relaxed.

    Archetypal modes are s (w C + e) with w on the simplex, any s > 0, and a deviation of norm at
    most `relaxation` times that of the mode (Fel et al. 2025, arXiv:2502.12892, sec. 4, where s is
    one learned scale; loadings are scaled by the user of a mode anyhow, so here each has its own).
    That is the set of all q whose distance from the cone of the candidates is at most
    relaxation * |q|. With p the point of the cone nearest to an atom a (non-negative least
    squares), the nearest such q is a itself or its projection on the ray between p and a that has
    the largest angle allowed.

    Parameters
    ----------
    atoms
        a, shape (..., modes, channels); leading dims are separate fits.
    candidates
        C, shape (..., candidates, channels), of norm 1.
    relaxation
        Largest deviation in units of the mode; 1 and above allows all.
    start
        Weights to begin with, as this function gives them back.
    iterations
        Steps of least squares; about 10 are enough from the weights of a moment ago.

    Returns
    -------
    modes : torch.Tensor
        q, of the shape of the atoms; at least 0 where atoms and candidates are.
    weights : torch.Tensor
        s w, at least 0, shape (..., modes, candidates).

    Examples
    --------
    >>> candidates = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> atoms = torch.tensor([[2.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
    >>> modes, weights = project(atoms, candidates, 0.6)
    >>> [[round(v, 3) for v in row] for row in modes.tolist()]
    [[2.0, 2.0, 0.0], [3.84, 0.0, 2.88]]
    """
    weights = elastic_net(atoms, candidates, 0.0, 0.0, start=start, iterations=iterations)
    combined = weights @ candidates
    if relaxation >= 1:
        return atoms.clone(), weights
    length = torch.linalg.vector_norm(combined, dim=-1, keepdim=True)
    combined = torch.where(length > _TINY, combined, _most_alike(atoms, candidates))
    away = atoms - combined
    largest = relaxation * length / (1.0 - relaxation**2) ** 0.5
    distance = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
    ray = unit_rows(combined + away * (largest / distance.clamp_min(_TINY)))
    reach = (atoms * ray).sum(dim=-1, keepdim=True)
    outside = torch.where(reach > 0, reach, atoms.norm(dim=-1, keepdim=True)) * ray
    return torch.where(distance <= largest, atoms, outside), weights


def _most_alike(atoms: Tensor, candidates: Tensor) -> Tensor:
    """The candidate with the largest cosine: for atoms that no combination comes near."""
    place = (atoms @ candidates.transpose(-1, -2)).argmax(dim=-1)
    picked: Tensor = torch.take_along_dim(candidates, place[..., None], dim=-2)
    return picked
