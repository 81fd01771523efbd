"""Multi-head attention whose heads can be hooked: torch's own, written out as modules."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from neurocodec.errors import CaptureError


class ExplicitAttention(nn.Module):
    """`torch.nn.MultiheadAttention` as a chain of modules, with its parameters, which are shared.

    Torch's module uses the weights of its output projection without calling it, so that a hook on
    `out_proj` never runs. Here it is called: its input holds the heads side by side.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        if attention.in_proj_weight is None or not attention.batch_first or _adds_keys(attention):
            raise CaptureError(
                came="attention with batch_first=False, kdim, vdim, bias_k or add_zero_attn",
                expected="self-attention as in torchvision's vision transformers",
                hint="kind='attention', which takes its output",
            )
        self.num_heads, self.head_dim = attention.num_heads, attention.head_dim
        self.dropout = attention.dropout
        self.in_proj_weight = attention.in_proj_weight
        self.in_proj_bias = attention.in_proj_bias
        self.out_proj = attention.out_proj
        self.train(attention.training)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, **_options: Any
    ) -> tuple[Tensor, None]:
        """Attend to tokens (sample, token, channel); the weights are not kept."""
        parts = zip(
            (query, key, value),
            self.in_proj_weight.chunk(3),
            (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3),
            strict=True,
        )
        q, k, v = (self._by_head(F.linear(x, weight, bias)) for x, weight, bias in parts)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None

    def _by_head(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)


def _adds_keys(attention: nn.MultiheadAttention) -> bool:
    return attention.bias_k is not None or attention.add_zero_attn


def write_out_attention(module: nn.Module) -> None:
    """Replace every `torch.nn.MultiheadAttention` in a module by `ExplicitAttention`, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, ExplicitAttention(child))
