"""Attention written out as modules gives the numbers of torch's own."""

import torch
from torch import nn

from neurocodec.nn.capture.attention import ExplicitAttention, write_out_attention


def test_attention_written_out_is_torchs_own():
    original = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.ones(1, 3, 8)
    assert torch.allclose(ExplicitAttention(original)(x, x, x)[0], original(x, x, x)[0], atol=1e-6)


def test_every_attention_in_a_module_is_written_out():
    module = nn.Sequential(nn.MultiheadAttention(8, 2, batch_first=True))
    write_out_attention(module)
    assert type(module[0]) is ExplicitAttention
