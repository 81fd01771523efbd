"""Archetypal modes: against scipy's non-negative least squares, and what a projection must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from neurocodec.nn.sparse.archetypes import project, typical_rows
from neurocodec.nn.sparse.coding import unit_rows


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).exponential(size=shape)).float()


def setting(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Atoms, and candidates that leave a part of the space out."""
    return unit_rows(drawn(seed, 7, 6)), unit_rows(drawn(seed + 1, 9, 6) + 0.5)


def from_the_cone(modes: torch.Tensor, candidates: torch.Tensor) -> np.ndarray:
    """Distance of each mode from the combinations of candidates, in units of the mode."""
    C = candidates.numpy().astype(float).T
    return np.array([nnls(C, q)[1] / np.linalg.norm(q) for q in modes.numpy().astype(float)])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.3]))
def test_modes_are_as_near_to_combinations_as_they_must(seed: int, relaxation: float) -> None:
    atoms, candidates = setting(seed)
    modes, weights = project(atoms, candidates, relaxation, iterations=2000)
    before, after = from_the_cone(atoms, candidates), from_the_cone(modes, candidates)
    np.testing.assert_allclose(after, np.minimum(before, relaxation), atol=2e-3)
    inside = before < relaxation - 2e-3
    assert torch.equal(modes[inside], atoms[inside])
    assert bool((weights >= 0).all())
    assert bool((modes >= 0).all())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_to_project_twice_is_to_project_once(seed: int) -> None:
    atoms, candidates = setting(seed)
    once = project(atoms, candidates, 0.1, iterations=2000)[0]
    twice = project(once, candidates, 0.1, iterations=2000)[0]
    torch.testing.assert_close(once, twice, atol=2e-3, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_no_archetypal_mode_is_nearer(seed: int) -> None:
    atoms, candidates = setting(seed)
    modes = project(atoms, candidates, 0.1, iterations=2000)[0]
    others = unit_rows(drawn(seed + 2, 200, 9) ** 4 @ candidates)
    others = others + 0.0995 * unit_rows(drawn(seed + 3, 200, 6) - 1.0)
    others = unit_rows(others[from_the_cone(others, candidates) <= 0.1])
    reach = (unit_rows(modes) * atoms).sum(dim=1)
    assert bool((atoms @ others.T <= reach[:, None] + 2e-3).all())


def test_candidates_are_archetypal() -> None:
    candidates = setting(0)[1]
    assert torch.equal(project(candidates, candidates, 0.1)[0], candidates)


def test_without_relaxation_modes_are_combinations_themselves() -> None:
    atoms, candidates = setting(0)
    modes, weights = project(atoms, candidates, 0.0, iterations=2000)
    torch.testing.assert_close(modes, weights @ candidates, atol=2e-3, rtol=0)


def test_fits_side_by_side_are_projected_as_alone() -> None:
    pairs = [setting(0), setting(5)]
    atoms, candidates = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    together = project(atoms, candidates, 0.1)[0]
    for found, (a, c) in zip(together, pairs, strict=True):
        torch.testing.assert_close(found, project(a, c, 0.1)[0])


def test_an_atom_opposite_to_all_candidates_becomes_the_nearest_of_them() -> None:
    candidates = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    modes, weights = project(torch.tensor([[-1.0, 0.0]]), candidates, 0.0)
    assert weights.tolist() == [[0.0, 0.0]]
    torch.testing.assert_close(unit_rows(modes), torch.tensor([[0.6, 0.8]]))


def test_weights_of_a_moment_ago_need_few_steps() -> None:
    atoms, candidates = setting(0)
    exact, weights = project(atoms, candidates, 0.1, iterations=5000)
    warm = project(atoms, candidates, 0.1, start=weights, iterations=2)[0]
    cold = project(atoms, candidates, 0.1, iterations=2)[0]
    assert (warm - exact).norm() < 0.1 * (cold - exact).norm()


@pytest.mark.parametrize("count", [4, 500])
def test_candidates_are_directions_and_no_more_than_rows(count: int) -> None:
    found = typical_rows(drawn(0, 30, 6), count, torch.Generator().manual_seed(0))
    assert found.shape == (min(count, 30), 6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))


def test_typical_rows_of_few_rows_are_their_directions():
    rows = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    found = typical_rows(rows, 500, torch.Generator().manual_seed(0))
    assert sorted(found.tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_an_atom_inside_the_cone_stays_and_one_outside_is_turned_as_far_as_it_must():
    candidates = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    atoms = torch.tensor([[2.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
    modes, _ = project(atoms, candidates, 0.6)
    torch.testing.assert_close(modes, torch.tensor([[2.0, 2.0, 0.0], [3.84, 0.0, 2.88]]))
