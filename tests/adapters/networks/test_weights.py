"""Weights from local files."""

import torch
from torch import nn

from neurocodec.adapters.networks.weights import is_weight_file, load_weights, read_weights


def test_a_file_is_told_from_a_name():
    assert is_weight_file("resnet50.safetensors")
    assert not is_weight_file("IMAGENET1K_V1")


def test_a_state_dict_is_found_under_its_key_and_without_its_prefix(tmp_path):
    torch.save({"state_dict": {"module.weight": torch.ones(1)}}, tmp_path / "x.pt")
    assert read_weights(tmp_path / "x.pt") == {"weight": torch.ones(1)}


def test_weights_are_loaded(tmp_path):
    torch.save({"weight": torch.ones(1, 2)}, tmp_path / "x.pt")
    module = nn.Linear(2, 1, bias=False)
    load_weights(module, tmp_path / "x.pt", "tiny")
    assert torch.equal(module.weight, torch.ones(1, 2))
