"""Encoders that are trained to predict loadings: a multilayer perceptron, or one linear layer.

Parameters may have a leading dim of fits: `rows` of shape (fits, rows, channels) then go through
all of them at once.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from neurocodec.nn.sparse.config import SparseConfig

DROPOUT: Final = 0.05
"""Part of the hidden units that are left out of a training step (the authors' scripts)."""
_LEAST_HIDDEN: Final = 8
"""Hidden units at least: layer norm makes one of them constant, and two of them a sign."""
_LEAST_DEVIATION: Final = 1e-2
"""Least squared deviation of a row's features from their mean, relative to their mean square."""
_TINY: Final = 1e-8
_EPS: Final = 1e-5


class LinearEncoder(nn.Module):
    """One linear layer; what is below zero is cut by the sparsifier."""

    def __init__(self, channels: int, modes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = _uniform(channels, modes, generator)
        self.bias = _zeros(modes, generator)

    def forward(self, rows: Tensor, kept: Tensor | None = None) -> Tensor:
        """Drive of each mode, (..., rows, modes)."""
        del kept
        return rows @ self.weight + self.bias[..., None, :]

    @torch.no_grad()
    def tie(self, modes: Tensor, atoms: Tensor, seeds: Tensor, rows: Tensor) -> None:
        """Let the drive of modes be the projection on their atoms."""
        del seeds, rows
        self.weight[:, modes] = atoms.T
        self.bias[modes] = 0.0

    @torch.no_grad()
    def scale(self, modes: Tensor, factor: Tensor) -> None:
        """Multiply the drive of modes."""
        self.weight[:, modes] *= factor
        self.bias[modes] *= factor

    @torch.no_grad()
    def shift(self, modes: Tensor, amount: Tensor) -> None:
        """Add to the drive of modes."""
        self.bias[modes] += amount


class MlpEncoder(nn.Module):
    """Linear, layer norm, dropout, rectifier, linear (CODEC sec. 4 and the authors' scripts)."""

    # Layer norm forgets how long a row is. A gate need not know it; where loadings are not gates,
    # they are multiplied by the root mean square of the row.

    def __init__(
        self, channels: int, modes: int, hidden: int, generator: torch.Generator, *, gated: bool
    ) -> None:
        super().__init__()
        self.gated, self.hidden = gated, hidden
        self.inward = _uniform(channels, hidden, generator)
        self.inward_bias = _zeros(hidden, generator)
        self.norm_weight = nn.Parameter(
            torch.ones(hidden, dtype=torch.float32, device=generator.device)
        )
        self.norm_bias = _zeros(hidden, generator)
        self.outward = _uniform(hidden, modes, generator)
        self.outward_bias = _zeros(modes, generator)

    def forward(self, rows: Tensor, kept: Tensor | None = None) -> Tensor:
        """Drive of each mode, (..., rows, modes)."""
        hidden = self._features(rows)
        hidden = hidden if kept is None else hidden * kept
        drive = hidden @ self.outward + self.outward_bias[..., None, :]
        return drive if self.gated else drive * _root_mean_square(rows)

    def _features(self, rows: Tensor) -> Tensor:
        inward = rows @ self.inward + self.inward_bias[..., None, :]
        normed = F.layer_norm(inward, inward.shape[-1:], eps=_EPS)
        scaled = normed * self.norm_weight[..., None, :] + self.norm_bias[..., None, :]
        return scaled.relu()

    @torch.no_grad()
    def tie(self, modes: Tensor, atoms: Tensor, seeds: Tensor, rows: Tensor) -> None:
        """Let modes be driven as far as hidden units are as at their seeds, from 0 (mean) to 1."""
        # Where the hidden layer hardly tells a seed from the mean, the drive at the mean is nearer
        # to 1, so that no weight is above 1 / sqrt(`_LEAST_DEVIATION`) in units of the features.
        del atoms
        features = self._features(rows)
        mean = features.mean(dim=0)
        deviation = self._features(seeds) - mean
        least = _LEAST_DEVIATION * features.square().sum(dim=1).mean() + _TINY
        norm = deviation.square().sum(dim=1)
        bounded = torch.maximum(norm, least)
        weight = (deviation / bounded[:, None]).T
        self.outward[:, modes] = weight
        self.outward_bias[modes] = (1.0 - norm / bounded) - mean @ weight

    @torch.no_grad()
    def scale(self, modes: Tensor, factor: Tensor) -> None:
        """Multiply the drive of modes."""
        self.outward[:, modes] *= factor
        self.outward_bias[modes] *= factor

    @torch.no_grad()
    def shift(self, modes: Tensor, amount: Tensor) -> None:
        """Add to the drive of modes (before the length of the row is multiplied)."""
        self.outward_bias[modes] += amount


def trained_encoder(
    channels: int, config: SparseConfig, generator: torch.Generator
) -> MlpEncoder | LinearEncoder:
    """Make the encoder that the settings name."""
    modes = config.modes(channels)
    if config.encoder == "linear":
        return LinearEncoder(channels, modes, generator)
    hidden = config.hidden or max(_LEAST_HIDDEN, channels)
    return MlpEncoder(channels, modes, hidden, generator, gated=config.sparsifier == "gate")


def draw_dropout(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Factors of hidden units for one step: 0 for those left out, else 1 / (1 - DROPOUT)."""
    drawn = torch.rand(shape, generator=generator, dtype=torch.float32, device=generator.device)
    return (drawn >= DROPOUT).float() / (1.0 - DROPOUT)


def _root_mean_square(rows: Tensor) -> Tensor:
    return rows.square().mean(dim=-1, keepdim=True).sqrt()


def _uniform(inputs: int, outputs: int, generator: torch.Generator) -> nn.Parameter:
    weight = torch.empty(inputs, outputs, dtype=torch.float32, device=generator.device)
    bound = 1.0 / math.sqrt(inputs)
    return nn.Parameter(weight.uniform_(-bound, bound, generator=generator))


def _zeros(size: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size, dtype=torch.float32, device=generator.device))
