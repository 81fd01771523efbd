"""The stimulus in the units that a network was trained in: raw frames, standardised on the way in.

The mean is taken off before anything is summed, so that light levels of a hundred and more cost no
digits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurocodec.errors import InputError


class Standardisation(nn.Module):
    """(stimulus - mean) / deviation, with one number each: the first module of a network."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        numbers = torch.tensor([mean, deviation], dtype=torch.float32, device="cpu")
        if not bool(numbers.isfinite().all()) or not bool(numbers[1] > 0):
            raise InputError(
                came=f"a stimulus of mean {mean} and standard deviation {deviation}",
                expected="two finite numbers, the deviation above 0",
            )
        self.register_buffer("mean", numbers[0].clone())
        self.register_buffer("deviation", numbers[1].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Standardise frames, or windows of them."""
        return (x - self.mean) / self.deviation
