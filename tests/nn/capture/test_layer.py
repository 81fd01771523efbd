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


def test_windows_of_maps_are_gathered_by_sample_and_scattered_back():
    own = torch.arange(2 * 3 * 4 * 2 * 2.0).reshape(6, 4, 2, 2)  # 3 windows of 2 samples
    layer = Layer("attn", windows=True, layout="maps")
    seen = layer.gathered(own, 2)
    for sample in range(2):
        for channel in range(4):
            windows = [own[3 * sample + w, channel].flatten() for w in range(3)]
            assert seen[sample, channel].tolist() == torch.cat(windows).tolist()
    assert torch.equal(layer.scattered(seen, own.shape), own)


def test_heads_of_maps_are_groups_of_channels():
    own = torch.arange(2 * 6 * 2 * 2.0).reshape(2, 6, 2, 2)
    found = Layer("attn", heads=3, layout="maps").channels_first(own)
    assert found.shape == (2, 3, 2, 2, 2)  # (sample, head, y, x, dim)
    assert found[1, 2, 0, 1].tolist() == own[1, 4:6, 0, 1].tolist()
