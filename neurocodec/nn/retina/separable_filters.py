"""First filters that are products of a map and a smooth time course."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neurocodec.kernels.temporal_basis import temporal_basis

if TYPE_CHECKING:
    from neurocodec.nn.retina.model import RetinaCNN


class SeparableFilters:
    """The first convolution's weight as smooth time courses times maps."""

    # weight_c(lag, y, x) = map_c(y, x) * sum_i coefficient_ci * basis_i(lag); the module ends with
    # an ordinary weight, and what it held before is not used

    def __init__(self, module: RetinaCNN, basis: int, seed: int = 0) -> None:
        self.target = module.first_convolution.weight
        channels, history, *kernel = self.target.shape
        functions = temporal_basis(history, min(basis, history))
        self.basis = torch.from_numpy(functions).to(self.target)
        rng = np.random.default_rng(seed)
        time = 0.2 * rng.standard_normal((channels, len(functions)))
        space = kernel[0] ** -1 + 0.1 * rng.standard_normal((channels, *kernel))
        self.time = torch.from_numpy(time).to(self.target).requires_grad_()
        self.space = torch.from_numpy(space).to(self.target).requires_grad_()

    @property
    def learned(self) -> list[Tensor]:
        """What an optimiser moves."""
        return [self.time, self.space]

    def weight(self) -> Tensor:
        """Return the weight, differentiable in time courses and maps."""
        return (self.time @ self.basis)[:, :, None, None] * self.space[:, None]

    @torch.no_grad()
    def store(self) -> None:
        """Write the weight into the module."""
        self.target.copy_(self.weight())

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold."""
        return {"time": self.time, "space": self.space}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go back to what `state` returned."""
        self.time.copy_(tensors["time"])
        self.space.copy_(tensors["space"])
