"""Numbers into tensors and out of them."""

import numpy as np
import pytest
import torch

from neurocodec.labels import fingerprint
from neurocodec.nn.arrays import contents, numbers_of, tensor_of

VALUES = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "values",
    [
        VALUES[::-1].copy()[::-1],
        VALUES.astype(">f8"),
        VALUES.astype(">i2"),
        VALUES.astype(np.longdouble),
        np.asfortranarray(VALUES),
        VALUES.astype(np.uint16),
        torch.from_numpy(VALUES).requires_grad_(),
        VALUES.tolist(),
    ],
)
def test_numbers_of_any_kind_become_a_tensor(values):
    found = tensor_of(values, torch.float32)
    assert found.tolist() == VALUES.tolist()
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_a_tensor_is_a_copy():
    values = np.ones(2)
    tensor_of(values)[0] = 5
    assert values.tolist() == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.to_sparse(),
        lambda x: x.to(torch.complex64).conj(),
        torch._neg_view,
        lambda x: x.T,
        lambda x: x.requires_grad_(),
    ],
)
def test_layouts_of_a_tensor_do_not_change_its_numbers(change):
    tensor = change(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    assert numbers_of(tensor).tolist() == dense.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(2).bfloat16(), torch.zeros(2).bfloat16()),
        (torch.ones(2).to(torch.float8_e5m2), torch.zeros(2).to(torch.float8_e5m2)),
        (torch.eye(2).to_sparse(), (2 * torch.eye(2)).to_sparse()),
        ({"a": [torch.ones(1)]}, {"a": [torch.zeros(1)]}),
        ({"a": 1}, {"a": 2}),
        (b"1", b"2"),
        (None, 0),
    ],
)
def test_contents_tell_states_apart(one, other):
    assert fingerprint(*contents(one)) == fingerprint(*contents(one))
    assert fingerprint(*contents(one)) != fingerprint(*contents(other))
