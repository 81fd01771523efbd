"""Where the modes of an autoencoder start from, and start again: rows of the data.

Encoders that start at random with high thresholds give exactly zero gradients, as nothing fires.
Here each mode starts tied to a row: the encoder is driven by rows that are like it, the dictionary
reconstructs it, and thresholds lie where each mode fires on as many rows as it should.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.sparse.archetypes import project, typical_rows
from neurocodec.nn.sparse.autoencoder.model import Autoencoder
from neurocodec.nn.sparse.coding import unit_rows
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.dictionary import spread_rows

_TINY: Final = 1e-8
_MARGIN: Final = 1e-4
"""By how much the rows that a mode fires on exceed its threshold: far above float32 rounding."""
_LOGIT_GAIN: Final = 4.0
"""Difference of a gate's logit between the mean row and the row that its mode starts from."""
_REVIVED_SHARE: Final = 0.2
"""Rows on which a mode that starts again fires, relative to the share of all modes on average."""
_FACTORS: Final = (0.1, 2.0)
_LEAST_STRENGTH: Final = 0.1
"""Least strength of a mode that starts again, relative to what a mode has on average."""


@torch.no_grad()
def begin(rows: Tensor, config: SparseConfig, generator: torch.Generator) -> Autoencoder:
    """Make an autoencoder whose modes start at rows that differ from each other."""
    model = Autoencoder(rows.shape[1], config, generator)
    modes = torch.arange(len(model.dictionary), device=rows.device)
    atoms = spread_rows(rows, len(modes), generator)
    if config.atoms == "archetypal":
        model.candidates = typical_rows(rows, config.candidates, generator)
        atoms, model.weights = project(atoms, model.candidates, config.relaxation)
    length = torch.linalg.vector_norm(rows, dim=1).mean()
    _tie(model, modes, unit_rows(atoms), atoms * length, rows)
    made = model.decode(model.encode(rows))
    _strengthen(model, modes, _fitting_size(rows, made))
    model.constrain()
    model.follow(model.encode(rows))
    return model


@torch.no_grad()
def revive(model: Autoencoder, dead: Tensor, rows: Tensor, generator: torch.Generator) -> None:
    """Start dead modes of one fit again, in place, at what is left of badly explained rows."""
    left = rows - model.decode(model.encode(rows))
    left = left.clamp_min(0.0) if model.config.nonnegative else left
    drawn = torch.multinomial(_badness(left), len(dead), replacement=True, generator=generator)
    atoms = unit_rows(left[drawn])
    least = _least_to_fire(model, rows)
    _tie(model, dead, atoms, rows[drawn], rows)
    if model.gated or model.config.sparsifier == "jump_relu":
        strength = _wanted(model.encode(rows)[:, dead], left @ atoms.T)
        _strengthen(model, dead, strength.clamp_min(_LEAST_STRENGTH * _typical_strength(model)))
    else:
        _strengthen(model, dead, _to_win(model.encoder(rows)[:, dead], least, model))
    model.constrain()


def _fitting_size(rows: Tensor, made: Tensor) -> Tensor:
    """Factor of a reconstruction that fits rows best; 1 where no factor above 0 makes it fit."""
    factor = (rows * made).sum() / made.square().sum().clamp_min(_TINY)
    found: Tensor = torch.where((factor > 0) & factor.isfinite(), factor, 1.0)
    return found


def _badness(left: Tensor) -> Tensor:
    """Energy of what is left of each row, relative to the largest, as weights of a draw."""
    # always finite and never all 0: a fit that diverges is refused for its loss, not here
    energy = left.square().sum(dim=1)
    return (energy / energy.max().clamp_min(_TINY)).nan_to_num(nan=1.0) + _TINY


def _wanted(loadings: Tensor, projections: Tensor) -> Tensor:
    """Factor of the loadings that explains most of what is left, for each mode."""
    return (loadings * projections).sum(dim=0) / loadings.square().sum(dim=0).clamp_min(_TINY)


def _least_to_fire(model: Autoencoder, rows: Tensor) -> Tensor:
    """Loading that a further mode has to exceed to be among those that fire in a row."""
    if model.config.sparsifier == "batch_topk":
        return model.threshold.expand(len(rows))
    loadings = model.encode(rows)
    least: Tensor = torch.where(loadings > 0, loadings, torch.inf).amin(dim=1)
    return least


def _to_win(drive: Tensor, least: Tensor, model: Autoencoder) -> Tensor:
    """Factor of the drive of each mode with which it fires on some rows, but not on many."""
    share = _REVIVED_SHARE * model.active / len(model.dictionary)
    ratio = torch.where(drive > 0, least[:, None] / drive, torch.inf).sort(dim=0).values
    factor = ratio[max(0, math.ceil(share * len(drive)) - 1)]
    found: Tensor = torch.where(factor.isfinite(), factor, 1.0).clamp(*_FACTORS)
    return found


def _typical_strength(model: Autoencoder) -> Tensor:
    """Mean norm of the modes where they carry the size of rows; elsewhere loadings do."""
    norms = torch.linalg.vector_norm(model.dictionary, dim=1)
    typical: Tensor = norms.mean() if model.gated else norms.new_ones(())
    return typical


def _tie(model: Autoencoder, modes: Tensor, atoms: Tensor, seeds: Tensor, rows: Tensor) -> None:
    """Tie modes to atoms, and let each fire on its share of the rows."""
    model.dictionary[modes] = atoms
    model.encoder.tie(modes, atoms, seeds, rows)
    share = model.active / len(model.dictionary)
    if model.gated:
        model.encoder.scale(modes, atoms.new_tensor(_LOGIT_GAIN))
        reached = _exceeded(model, modes, rows, share)
        model.encoder.shift(modes, torch.logit(model.threshold) - reached)
    elif model.config.sparsifier == "jump_relu":
        reached = _exceeded(model, modes, rows, share)
        model.log_threshold[modes] = reached.clamp_min(1e-3).log()


def _exceeded(model: Autoencoder, modes: Tensor, rows: Tensor, share: float) -> Tensor:
    """A little less than the drive of each mode that a share of the rows has, at least one row."""
    drive = model.encoder(rows)[:, modes].sort(dim=0, descending=True).values
    reached: Tensor = drive[max(0, math.ceil(share * len(rows)) - 1)]
    reached -= _MARGIN * reached.abs().clamp_min(1.0 if model.gated else 0.0)
    return reached


def _strengthen(model: Autoencoder, modes: Tensor, factor: Tensor) -> None:
    """Let modes contribute `factor` times as much to the reconstruction."""
    if model.gated:
        model.dictionary[modes] *= factor.expand(len(modes))[:, None]
        return
    model.encoder.scale(modes, factor)
    if model.config.sparsifier == "jump_relu":
        model.log_threshold[modes] += factor.log()
