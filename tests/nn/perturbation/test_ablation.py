"""Channels replaced in one layer, by hand."""

import torch
from torch import nn

from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.perturbation.ablation import ChannelMask, MaskHook, masked, twin


def test_a_mask_replaces_its_channels_out_of_place():
    activation = torch.tensor([[2.0, 3.0]])
    assert ChannelMask(Layer("0"), channels=(1,))(activation).tolist() == [[2.0, 0.0]]
    assert ChannelMask(Layer("0"), channels=(1,), kept=True)(activation).tolist() == [[0.0, 3.0]]
    assert ChannelMask(Layer("0"), channels=(1,), fill=5.0)(activation).tolist() == [[2.0, 5.0]]
    assert activation.tolist() == [[2.0, 3.0]]


def test_hooks_apply_a_mask_in_every_pass():
    module = nn.Sequential(nn.Identity())
    MaskHook(ChannelMask(Layer("0"), (0,))).attach(module)
    for _ in range(2):
        assert module(torch.ones(1, 2)).tolist() == [[0.0, 1.0]]


def test_a_twin_shares_the_numbers_of_a_module():
    module = nn.Linear(2, 1)
    copied = twin(module)
    assert copied is not module
    assert copied.weight is module.weight


def test_a_masked_module_is_another_one():
    module = nn.Sequential(nn.Identity())
    made = masked(module, ChannelMask(Layer("0"), (0,)))
    assert made(torch.ones(1, 2)).tolist() == [[0.0, 1.0]]
    assert module(torch.ones(1, 2)).tolist() == [[1.0, 1.0]]
