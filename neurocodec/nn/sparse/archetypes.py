"""Archetypal modes: combinations of typical rows, relaxed a little (Fel et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from neurocodec.nn.sparse.coding import elastic_net, unit_rows
from neurocodec.nn.sparse.dictionary import centre_directions

_TINY = 1e-8


def typical_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions of k-means centres of rows, (candidates, channels), no more than rows."""
    return centre_directions(rows, min(count, len(rows)), generator)


def project(
    atoms: Tensor,  # a, (..., modes, channels); leading dims are separate fits
    candidates: Tensor,  # C, (..., candidates, channels), of norm 1
    relaxation: float,  # 1 and above allows all
    *,
    start: Tensor | None = None,  # weights of before, from which about 10 steps are enough
    iterations: int = 200,
) -> tuple[Tensor, Tensor]:
    """Nearest archetypal modes q of atoms a, and their weights s w (..., modes, candidates)."""
    # Archetypal modes are s (w C + e) with w on the simplex, any s > 0, and e at most `relaxation`
    # times as long as the mode (Fel et al. 2025, arXiv:2502.12892, sec. 4, where s is one learned
    # scale; loadings are scaled by the user of a mode anyhow, so here each has its own): all q
    # whose distance from the cone of the candidates is at most relaxation * |q|. With p the point
    # of the cone nearest to a (non-negative least squares), the nearest such q is a itself, or its
    # projection on the ray between p and a that has the largest angle allowed.
    weights = elastic_net(
        atoms, candidates, 0.0, 0.0, start=start, iterations=iterations, signed=True
    )
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
