"""What makes loadings zero: hand arithmetic, numpy's sort, and the gradients of the papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurocodec.nn.sparse.autoencoder.sparsifiers import (
    GATE_WIDTH,
    JUMP_WIDTH,
    fires,
    gate,
    jump_relu,
    keep_above,
    keep_largest_of_batch,
    step_through,
)

THRESHOLD = torch.tensor(0.8)


def gradient(values: torch.Tensor, of: torch.Tensor) -> list[float]:
    return list(torch.autograd.grad(values.sum(), of)[0].flatten().tolist())


def test_a_gate_is_a_sigmoid_cut_at_its_threshold() -> None:
    at = float(np.log(4))  # sigmoid(log 4) = 4/5
    found = gate(torch.tensor([at - 0.01, at + 0.01, 0.0, 20.0]), THRESHOLD).numpy()
    np.testing.assert_allclose(found, [0, 1 / (1 + np.exp(-at - 0.01)), 0, 1], atol=1e-6)
    assert found[0] == 0.0
    assert found[2] == 0.0


def test_gates_far_from_the_threshold_have_the_gradient_of_the_formula() -> None:
    logits = torch.tensor([-9.0, 4.0], requires_grad=True)
    s = 1 / (1 + np.exp(-4.0))
    assert gradient(gate(logits, THRESHOLD), logits) == pytest.approx([0.0, s * (1 - s)], rel=1e-4)


def test_a_gate_that_is_just_shut_learns_what_opening_would_add() -> None:
    logits = torch.tensor([np.log(4) - 0.4 * GATE_WIDTH], dtype=torch.float32, requires_grad=True)
    found = gate(logits, THRESHOLD)
    assert found.item() == 0.0
    assert gradient(found, logits) == pytest.approx([0.8 / GATE_WIDTH])


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20))
def test_a_step_with_a_gradient_has_the_values_of_a_step(values: list[float]) -> None:
    x = torch.tensor(values)
    assert torch.equal(step_through(x), (x >= 0).float())


@given(st.integers(0, 1000), st.integers(1, 7))
def test_the_largest_of_a_batch_are_those_that_numpy_sorts_first(seed: int, count: int) -> None:
    loadings = np.random.default_rng(seed).random((4, 6)).astype(np.float32)
    found = keep_largest_of_batch(torch.from_numpy(loadings), count).numpy()
    least = np.sort(loadings.ravel())[::-1][min(count * 4, 24) - 1]
    np.testing.assert_array_equal(found, np.where(loadings >= least, loadings, 0))


def test_batches_side_by_side_do_not_compete() -> None:
    loadings = torch.tensor([[[1.0, 2.0]], [[10.0, 20.0]]])
    assert keep_largest_of_batch(loadings, 1).tolist() == [[[0.0, 2.0]], [[0.0, 20.0]]]


def test_loadings_below_a_threshold_are_cut() -> None:
    assert keep_above(torch.tensor([1.0, 3.0]), torch.tensor(3.0)).tolist() == [0.0, 3.0]


def test_jump_relu_has_the_gradients_of_its_paper() -> None:
    width = JUMP_WIDTH * 2.0
    drive = torch.tensor([1.0, 2.0 - 0.4 * width, 2.0 + 0.4 * width, 5.0], requires_grad=True)
    threshold = torch.tensor(2.0, requires_grad=True)
    found = jump_relu(drive, threshold)
    assert found.tolist() == pytest.approx([0.0, 0.0, 2.0 + 0.4 * width, 5.0])
    assert gradient(found, drive) == [0.0, 0.0, 1.0, 1.0]
    two_in_the_window = -2 * 2.0 / width
    assert gradient(jump_relu(drive, threshold), threshold) == pytest.approx([two_in_the_window])


def test_only_the_threshold_has_a_gradient_of_the_count() -> None:
    threshold = torch.tensor([1.0, 1.0], requires_grad=True)
    drive = torch.tensor([1.0 + 0.2 * JUMP_WIDTH, 3.0], requires_grad=True)
    count = fires(drive, threshold)
    assert count.tolist() == [1.0, 1.0]
    assert gradient(count, threshold) == pytest.approx([-1 / JUMP_WIDTH, 0.0])
    assert not fires(drive, threshold.detach()).requires_grad


def test_a_step_has_a_gradient_half_a_width_around_it():
    x = torch.tensor([-2.0, -0.4, 0.4], requires_grad=True)
    assert step_through(x).tolist() == [0.0, 0.0, 1.0]
    assert gradient(step_through(x), x) == [0.0, 1.0, 1.0]


def test_a_gate_below_its_threshold_is_shut():
    found = gate(torch.tensor([0.0, 3.0]), torch.tensor(0.9)).tolist()
    assert found == [0.0, pytest.approx(0.9525741338729858)]


def test_rows_of_a_batch_share_what_they_may_use():
    found = keep_largest_of_batch(torch.tensor([[6.0, 5.0, 3.0], [1.0, 4.0, 0.0]]), 1)
    assert found.tolist() == [[6.0, 5.0, 0.0], [0.0, 0.0, 0.0]]


def test_of_two_loadings_the_one_above_the_threshold_is_kept():
    assert keep_above(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist() == [0.0, 2.0]


def test_a_jump_relu_gives_the_drive_above_its_threshold():
    assert jump_relu(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist() == [0.0, 2.0]


def test_a_drive_above_the_threshold_fires():
    assert fires(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist() == [0.0, 1.0]
