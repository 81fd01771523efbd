"""What makes most loadings exactly zero, with gradients also where nothing fires."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

GATE_WIDTH: Final = 2.0
"""Width, in logits, around the threshold of a gate within which a shut gate has a gradient."""
JUMP_WIDTH: Final = 0.1
"""Width, in units of the threshold, of the window in which a row moves a learned threshold."""


def step_through(distance: Tensor) -> Tensor:
    """1 where the distance is at least 0, else 0; its gradient is 1 from -1/2 to 1/2."""
    # the straight-through estimate with a rectangular kernel of width 1 (Rajamanoharan et al. 2024,
    # arXiv:2407.14435, eq. 11)
    ramp = (distance + 0.5).clamp(0.0, 1.0)
    return (distance >= 0).to(distance.dtype) + (ramp - ramp.detach())


def gate(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sigmoid s with a hard threshold: s where s >= threshold, else 0 (CODEC sec. 4)."""
    # the jump at the threshold has a gradient within `GATE_WIDTH`, so that gates that are shut can
    # open; without it a mode that never fires has exactly no gradient
    size = torch.sigmoid(logits)
    jump = step_through((logits - torch.logit(threshold)) / GATE_WIDTH)
    return size * (size >= threshold) + threshold * (jump - jump.detach())


def keep_largest_of_batch(loadings: Tensor, count: int) -> Tensor:
    """Keep the `count` largest loadings per row on average over a batch; all others become 0."""
    # BatchTopK (Bussmann, Leask and Nanda 2024, arXiv:2412.06410): rows share what they may use;
    # leading dims are separate batches
    flat = loadings.flatten(-2)
    kept = min(count * loadings.shape[-2], flat.shape[-1])
    values, place = flat.topk(kept, dim=-1, sorted=False)
    return torch.zeros_like(flat).scatter(-1, place, values).reshape(loadings.shape)


def keep_above(loadings: Tensor, threshold: Tensor) -> Tensor:
    """Keep loadings of at least the threshold; all others become 0."""
    return loadings * (loadings >= threshold)


def jump_relu(drive: Tensor, threshold: Tensor) -> Tensor:
    """JumpReLU: z where z > threshold, else 0, with a gradient for the threshold."""
    # Rajamanoharan et al. 2024 (arXiv:2407.14435), eq. 4, and eq. 11 for the gradients: that of the
    # drive is 1 where it is above the threshold, that of the threshold -threshold / width within
    # half a width; the width is `JUMP_WIDTH` of the threshold
    jump = fires(drive, threshold)
    return drive * (drive > threshold) + threshold.detach() * (jump - jump.detach())


def fires(drive: Tensor, threshold: Tensor) -> Tensor:
    """1 where the drive is at least the threshold, else 0; only the threshold has a gradient."""
    # the sum over modes is the L0 that JumpReLU is held to (Rajamanoharan et al. 2024, eq. 12)
    return step_through((drive.detach() - threshold) / (JUMP_WIDTH * threshold.detach()))
