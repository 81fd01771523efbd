"""Checkpoints: there and back."""

import pytest
import torch

from neurocodec.errors import StorageError
from neurocodec.nn.checkpoint import (
    digest,
    optimizer_tensors,
    prefixed,
    read_tensors,
    restore_optimizer,
    unprefixed,
    write_tensors,
)


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "x.safetensors"
    write_tensors(file, {"w": torch.ones(1)}, {"epoch": 3})
    assert read_tensors(file) == ({"w": torch.tensor([1.0])}, {"epoch": 3})
    assert [*tmp_path.iterdir()] == [file]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StorageError, match="a whole safetensors file"):
        read_tensors(file)


def test_a_digest_knows_types_that_numpy_does_not():
    one, other = torch.ones(2).bfloat16(), torch.zeros(2).bfloat16()
    assert digest(one) == digest(one.clone()) != digest(other)


def test_a_prefix_is_put_before_every_name():
    assert [*prefixed("best.", {"w": torch.ones(1)})] == ["best.w"]


def test_a_prefix_chooses_tensors_and_is_taken_off():
    assert [*unprefixed("best.", {"best.w": torch.ones(1), "w": torch.ones(1)})] == ["w"]


def adam(steps):
    parameter = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.Adam([parameter])
    for _ in range(steps):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    return optimizer


def test_an_optimizer_has_no_tensors_before_its_first_step():
    assert optimizer_tensors(adam(0)) == {}
    assert {*optimizer_tensors(adam(1))} == {"0.step", "0.exp_avg", "0.exp_avg_sq"}


def test_an_optimizer_takes_the_state_of_another():
    empty, made, other = adam(0), adam(0), adam(3)
    restore_optimizer(empty, {})
    assert optimizer_tensors(empty) == {}
    restore_optimizer(made, optimizer_tensors(other))
    assert optimizer_tensors(made) == optimizer_tensors(other)


def test_a_digest_knows_values_shapes_and_types():
    assert digest(torch.zeros(2)) == digest(torch.zeros(2))
    others = (), (torch.ones(2),), (torch.zeros(1, 2),), (torch.zeros(2).double(),)
    assert all(digest(torch.zeros(2)) != digest(*other) for other in others)
