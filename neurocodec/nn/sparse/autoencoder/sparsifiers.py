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
    """1 where the distance is at least 0, else 0; its gradient is 1 from -1/2 to 1/2.

    The straight-through estimate with a rectangular kernel of width 1 (Rajamanoharan et al. 2024,
    arXiv:2407.14435, eq. 11).

    Parameters
    ----------
    distance
        From the threshold, in widths of the kernel.

    Examples
    --------
    >>> x = torch.tensor([-2.0, -0.4, 0.4], requires_grad=True)
    >>> step_through(x).tolist(), torch.autograd.grad(step_through(x).sum(), x)[0].tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """
    ramp = (distance + 0.5).clamp(0.0, 1.0)
    return (distance >= 0).to(distance.dtype) + (ramp - ramp.detach())


def gate(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sigmoid s with a hard threshold: s where s >= threshold, else 0 (CODEC sec. 4).

    The jump at the threshold has a gradient within `GATE_WIDTH`, so that gates that are shut
    can open; without it a mode that never fires has exactly no gradient.

    Parameters
    ----------
    logits
        Any shape.
    threshold
        Between 0 and 1; broadcast against the logits.

    Examples
    --------
    >>> gate(torch.tensor([0.0, 3.0]), torch.tensor(0.9)).tolist()
    [0.0, 0.9525741338729858]
    """
    size = torch.sigmoid(logits)
    jump = step_through((logits - torch.logit(threshold)) / GATE_WIDTH)
    return size * (size >= threshold) + threshold * (jump - jump.detach())


def keep_largest_of_batch(loadings: Tensor, count: int) -> Tensor:
    """Keep the `count` largest loadings per row on average over a batch; all others become 0.

    BatchTopK (Bussmann, Leask and Nanda 2024, arXiv:2412.06410): rows share what they may use.

    Parameters
    ----------
    loadings
        At least 0, shape (..., rows, modes); leading dims are separate batches.
    count
        Loadings per row.

    Examples
    --------
    >>> keep_largest_of_batch(torch.tensor([[6.0, 5.0, 3.0], [1.0, 4.0, 0.0]]), 1).tolist()
    [[6.0, 5.0, 0.0], [0.0, 0.0, 0.0]]
    """
    flat = loadings.flatten(-2)
    kept = min(count * loadings.shape[-2], flat.shape[-1])
    values, place = flat.topk(kept, dim=-1, sorted=False)
    return torch.zeros_like(flat).scatter(-1, place, values).reshape(loadings.shape)


def keep_above(loadings: Tensor, threshold: Tensor) -> Tensor:
    """Keep loadings of at least the threshold; all others become 0.

    Examples
    --------
    >>> keep_above(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist()
    [0.0, 2.0]
    """
    return loadings * (loadings >= threshold)


def jump_relu(drive: Tensor, threshold: Tensor) -> Tensor:
    """JumpReLU: z where z > threshold, else 0, with a gradient for the threshold.

    Rajamanoharan et al. 2024 (arXiv:2407.14435), eq. 4 and, for the gradients, eq. 11: that of the
    drive is 1 where it is above the threshold, that of the threshold is -threshold / width
    within half a width. The width is `JUMP_WIDTH` of the threshold.

    Parameters
    ----------
    drive
        Shape (..., modes).
    threshold
        Above 0; broadcast against the drive.

    Examples
    --------
    >>> jump_relu(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist()
    [0.0, 2.0]
    """
    jump = fires(drive, threshold)
    return drive * (drive > threshold) + threshold.detach() * (jump - jump.detach())


def fires(drive: Tensor, threshold: Tensor) -> Tensor:
    """1 where the drive is at least the threshold, else 0; only the threshold has a gradient.

    Its sum over modes is the L0 that JumpReLU is held to (Rajamanoharan et al. 2024, eq. 12).

    Examples
    --------
    >>> fires(torch.tensor([1.0, 2.0]), torch.tensor(1.5)).tolist()
    [0.0, 1.0]
    """
    return step_through((drive.detach() - threshold) / (JUMP_WIDTH * threshold.detach()))
