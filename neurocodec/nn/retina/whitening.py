"""Coordinates of the first filters in which a natural movie is nearly white.

Light in natural scenes is correlated over space and time, so that a step along the gradient of a
filter mostly changes its mean, and learning its shape takes very long. Here a filter is moved as
`weight + expand(steps, kernel)`, where `kernel` takes the difference of each pixel from its recent
past and its neighbours, which makes the movie nearly white. It is the same network and the same
loss, seen in better coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neurocodec.nn.retina.model import RetinaCNN

MEMORY, NEIGHBOURS = 0.9, 0.85
"""Shares of the last frame, and of the mean of the four neighbours, that are subtracted."""
LAG, SPREAD = 2.5, 2.5
"""Time constant (frames) and s.d. (pixels) of the window in which filters start."""
SAMPLE = 2000
"""Frames from which the scale of the movie is measured."""


def whitening_kernel(frames: Tensor) -> Tensor:
    """Differences (2, 3, 3), older first, after which a movie is nearly white, of deviation 1."""
    share = NEIGHBOURS / 4
    space = torch.tensor(
        [[0, -share, 0], [-share, 1, -share], [0, -share, 0]], dtype=torch.float32, device="cpu"
    )
    kernel = torch.stack([-MEMORY * space, space]).to(frames)
    newer = torch.arange(1, len(frames), max(1, len(frames) // SAMPLE), device=frames.device)
    pairs = torch.stack([frames[newer - 1], frames[newer]], dim=1)
    deviation = functional.conv2d(pairs, kernel[None]).std()
    return kernel / deviation if deviation > 0 else kernel


def expand(steps: Tensor, kernel: Tensor) -> Tensor:
    """Filter on the movie that equals `steps` on the movie filtered by `kernel`."""
    # The full convolution of the two: (channel, history - 1, ky - 2, kx - 2) becomes (channel,
    # history, ky, kx). Every filter that is reached so takes differences, and none is driven by
    # the mean light: one that were cut off at the edge would be, more strongly than by all else.
    padding = [n - 1 for n in kernel.shape]
    flipped = kernel.flip(0, 1, 2)[None, None]
    return functional.conv3d(steps[:, None], flipped, padding=padding)[:, 0]


def can_whiten(weight: Tensor) -> bool:
    """Whether filters are large enough to be learned by differences: 3 frames, 5 by 5 pixels."""
    return weight.shape[1] >= 3 and min(weight.shape[2:]) >= 5


class FirstFilters:
    """The first convolution's weight as where it started plus learned steps."""

    def __init__(self, module: RetinaCNN, frames: Tensor, *, whiten: bool) -> None:
        self.target = module.first_convolution.weight
        self.start = self.target.detach().clone()
        whiten = whiten and can_whiten(self.start)
        self.kernel = whitening_kernel(frames).to(self.start) if whiten else None
        reached = self.start[:, 1:, 1:-1, 1:-1] if whiten else self.start
        self.steps = torch.zeros_like(reached, requires_grad=True)

    @property
    def learned(self) -> list[Tensor]:
        """What an optimiser moves."""
        return [self.steps]

    def weight(self) -> Tensor:
        """Return the weight, differentiable in the steps."""
        steps = self.steps if self.kernel is None else expand(self.steps, self.kernel)
        return self.start + steps

    @torch.no_grad()
    def store(self) -> None:
        """Write the weight into the module."""
        self.target.copy_(self.weight())

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold."""
        return {"start": self.start, "steps": self.steps}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go back to what `state` returned."""
        self.start.copy_(tensors["start"])
        self.steps.copy_(tensors["steps"])


@torch.no_grad()
def smooth_start(module: RetinaCNN, frames: Tensor, seed: int = 0) -> None:
    """Start all filters as smooth random fields around the middle and at recent lags."""
    rng = np.random.default_rng(seed)
    first = module.first_convolution.weight
    lost = (0, 1, 2, 2) if can_whiten(first) else (0, 0, 0, 0)
    shape = tuple(n - k for n, k in zip(first.shape, lost, strict=True))
    lags = np.arange(shape[1], 0, -1) / LAG
    window = (lags**2 * np.exp(-lags))[:, None, None] * _window(*shape[2:])
    steps = _smooth_field(rng, shape, (0, 1.5, 1, 1), window, first)
    first.copy_(expand(steps, whitening_kernel(frames).to(first)) if any(lost) else steps)
    later = [p for p in module.parameters() if p.ndim == 4 and p is not first]
    for weight in later:
        field = _smooth_field(rng, weight.shape, (0, 0, 1, 1), _window(*weight.shape[2:]), weight)
        weight.copy_(field)


def _window(height: int, width: int) -> NDArray[np.float64]:
    y, x = (np.arange(n) - (n - 1) / 2 for n in (height, width))
    return np.exp(-0.5 * (y[:, None] ** 2 + x**2) / SPREAD**2)


def _smooth_field(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    sigma: tuple[float, ...],
    window: NDArray[np.float64],
    like: Tensor,
) -> Tensor:
    field = gaussian_filter(rng.standard_normal(shape), sigma, mode="constant") * window
    # Root mean square of torch's own start: uniform within 1 / sqrt(inputs of a unit).
    scale = np.sqrt(field.size / (3 * np.prod(shape[1:]))) / np.linalg.norm(field)
    return torch.from_numpy(field * scale).to(like)
