"""A trained encoder, a sparsifier and a dictionary: one fit, or several with a leading dim."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from neurocodec.nn.sparse.archetypes import project
from neurocodec.nn.sparse.autoencoder.encoders import trained_encoder
from neurocodec.nn.sparse.autoencoder.sparsifiers import (
    fires,
    gate,
    jump_relu,
    keep_above,
    keep_largest_of_batch,
)
from neurocodec.nn.sparse.coding import keep_largest, unit_rows
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.model import SparseModel

_FOLLOW: Final = 0.05
"""Part by which the threshold of BatchTopK follows the least loading of a batch."""
_COUNT_WEIGHT: Final = 1.0
"""Weight of the squared relative error of the number of active modes, for JumpReLU."""
_PROJECTION_STEPS: Final = 20
"""Of the projection on archetypal modes, which begins at the weights of the last one."""


class Autoencoder(SparseModel):
    """Encoder, sparsifier and dictionary: one fit, or several with a leading dim (`stacked`)."""

    # In training mode "batch_topk" chooses from the batch, in evaluation mode by its threshold;
    # nothing else differs.

    threshold: Tensor
    candidates: Tensor | None
    weights: Tensor | None

    def __init__(self, channels: int, config: SparseConfig, generator: torch.Generator) -> None:
        super().__init__()
        modes = config.modes(channels)
        start = torch.zeros(modes, channels, dtype=torch.float32, device=generator.device)
        self.config, self.active = config, config.active_modes(modes)
        self.encoder = trained_encoder(channels, config, generator)
        self.dictionary = nn.Parameter(start)
        self.register_buffer("threshold", start.new_tensor(config.threshold if self.gated else 0.0))
        if config.sparsifier == "jump_relu":
            self.log_threshold = nn.Parameter(start.new_zeros(modes))
        self.register_buffer("candidates", None, persistent=False)
        self.register_buffer("weights", None, persistent=False)

    @property
    def gated(self) -> bool:
        """Whether loadings are gates, of about 1, and the dictionary has the size of the rows."""
        return self.config.sparsifier == "gate"

    def encode(self, rows: Tensor) -> Tensor:
        """Loadings of rows, (rows, modes), at least 0 and exactly 0 for modes at rest."""
        return self.loadings(self.encoder(rows))

    def loadings(self, drive: Tensor) -> Tensor:
        """Loadings from what the encoder gives, (..., rows, modes)."""
        match self.config.sparsifier:
            case "gate":
                return gate(drive, self.threshold[..., None, None])
            case "topk":
                return keep_largest(drive.relu(), self.active)
            case "jump_relu":
                return jump_relu(drive, self.log_threshold.exp()[..., None, :])
            case _ if self.training:
                return keep_largest_of_batch(drive.relu(), self.active)
            case _:
                return keep_above(drive.relu(), self.threshold[..., None, None])

    def loss(
        self,
        rows: Tensor,
        l1_loading: Tensor | float,  # one number for each fit
        l1_dictionary: Tensor | float,
        kept: Tensor | None = None,  # factors of the encoder's hidden units (dropout)
    ) -> tuple[Tensor, Tensor]:
        """Loss of each fit for rows (..., rows, channels), and the rows' loadings."""
        # mean squared error + l1_loading * mean loading + l1_dictionary * mean absolute value of
        # the dictionary; with JumpReLU, + (L0 / active - 1)^2 (Rajamanoharan et al. 2024,
        # arXiv:2407.14435, appendix on a given L0)
        drive = self.encoder(rows, kept)
        loadings = self.loadings(drive)
        loss = (self.decode(loadings).float() - rows).square().mean(dim=(-2, -1))
        loss = loss + l1_loading * loadings.float().mean(dim=(-2, -1))
        loss = loss + l1_dictionary * self.dictionary.abs().mean(dim=(-2, -1))
        if self.config.sparsifier == "jump_relu":
            firing = fires(drive.float(), self.log_threshold.exp()[..., None, :])
            count = firing.sum(dim=-1).mean(dim=-1)
            loss = loss + _COUNT_WEIGHT * (count / self.active - 1.0).square()
        return loss, loadings

    @torch.no_grad()
    def constrain(self) -> None:
        """Put the dictionary back where it has to be: not negative, of norm 1."""
        # where loadings are gates, modes keep their norm: nothing else says how strong they are
        if self.config.nonnegative:
            self.dictionary.clamp_(min=0.0)
        if not self.gated:
            self.dictionary.copy_(unit_rows(self.dictionary))

    @torch.no_grad()
    def make_archetypal(self) -> None:
        """Put modes back near combinations of the candidates; nothing where atoms are free."""
        if self.candidates is None or self.weights is None:
            return
        atoms, weights = project(
            self.dictionary,
            self.candidates,
            self.config.relaxation,
            start=self.weights,
            iterations=_PROJECTION_STEPS,
        )
        self.weights.copy_(weights)
        self.dictionary.copy_(atoms if self.gated else unit_rows(atoms))

    @torch.no_grad()
    def follow(self, loadings: Tensor) -> None:
        """Let the threshold of "batch_topk" follow the least loading of a training batch."""
        if self.config.sparsifier != "batch_topk":
            return
        least = torch.where(loadings > 0, loadings, torch.inf).amin(dim=(-2, -1)).float()
        least = torch.where(least.isfinite(), least, self.threshold)
        moved = self.threshold.lerp(least, _FOLLOW)
        self.threshold.copy_(torch.where(self.threshold > 0, moved, least))


def stacked(models: Sequence[Autoencoder]) -> Autoencoder:
    """Put models of the same shapes side by side; they become views of the whole."""
    # A step of an optimizer on the whole moves the models, and what is written into a model is
    # written into the whole.
    whole = copy.deepcopy(models[0])
    for name in [name for name, _ in whole.named_parameters()]:
        joined = torch.stack([m.get_parameter(name).detach() for m in models])
        _replace(whole, name, nn.Parameter(joined))
        for model, part in zip(models, joined, strict=True):
            _replace(model, name, nn.Parameter(part, requires_grad=False))
    for name in [name for name, _ in whole.named_buffers()]:
        joined = torch.stack([m.get_buffer(name) for m in models])
        _replace(whole, name, joined)
        for model, part in zip(models, joined, strict=True):
            _replace(model, name, part)
    return whole


def _replace(model: nn.Module, name: str, value: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, value)
