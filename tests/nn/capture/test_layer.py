"""Activations out of what modules return, and back into it."""

import pytest
import torch

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.layer import Layer, answer, pick, put


def test_an_item_is_put_back_where_it_was():
    assert put((1, 2), -1, torch.ones(1)) == (1, torch.ones(1))


def test_the_answer_is_an_item_of_a_dict():
    assert answer({"logits": torch.zeros(2, 3)}, "logits").shape == (2, 3)


def test_an_activation_is_a_tensor_of_real_numbers():
    with pytest.raises(CaptureError, match="tuple of 2"):
        pick((torch.ones(1, 2), torch.ones(1, 2)), Layer("0"))
    assert pick((torch.ones(1, 2), None), Layer("0", item=0)).shape == (1, 2)
