"""From the second layer's feature maps to one number per cell, and on to firing rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LocalReadout(nn.Module):
    """A convolution of which one unit per cell is computed."""

    def __init__(self, channels: int, kernel: int, corners: list[tuple[int, int]]) -> None:
        super().__init__()
        bound = (channels * kernel**2) ** -0.5
        self.weight = nn.Parameter(
            torch.empty(len(corners), channels, kernel, kernel).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(len(corners)))
        self.corners = tuple(corners)

    def forward(self, x: Tensor) -> Tensor:
        """Return (sample, cell): each cell's kernel times the patch of `x` under it."""
        # one product with kernels at their places: a patch for each cell would be copied both ways
        return functional.linear(x.flatten(1), self._placed(x.shape[2:]), self.bias)

    def _placed(self, size: torch.Size) -> Tensor:
        """Weight (cell, unit) of a whole map, 0 outside of each cell's kernel."""
        channels, side = self.weight.shape[1:3]
        units = torch.arange(channels * size.numel(), device=self.weight.device)
        units = units.reshape(channels, *size)
        places = torch.stack(
            [units[:, r : r + side, c : c + side].flatten() for r, c in self.corners]
        )
        blank = self.weight.new_zeros(len(self.corners), units.numel())
        return blank.scatter(1, places, self.weight.flatten(1))


class Exponential(nn.Module):
    """Exponential output nonlinearity."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `exp(x)`."""
        return x.exp()


class FactorisedReadout(nn.Module):
    """One map and one weight per channel for every cell: the dense weight is their product."""

    # z_k = b_k + sum_cyx w_kc m_kyx h_cyx (Klindt et al. 2017): height * width + channels numbers
    # per cell instead of height * width * channels

    def __init__(self, cells: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        bound = (size[0] * size[1]) ** -0.5
        self.map = nn.Parameter(torch.empty(cells, *size).uniform_(0, bound))
        self.weight = nn.Parameter(torch.randn(cells, channels) * channels**-0.5)
        self.bias = nn.Parameter(torch.zeros(cells))

    def forward(self, x: Tensor) -> Tensor:
        """Return (sample, cell)."""
        pooled = torch.einsum("ncyx,kyx->nkc", x, self.map)
        return (pooled * self.weight).sum(-1) + self.bias

    def dense_weight(self) -> Tensor:
        """Weight (cell, channel, y, x) of the dense readout that this one equals."""
        return self.weight[:, :, None, None] * self.map[:, None]


class GaussianReadout(nn.Module):
    """A Gaussian window and one weight per channel for every cell."""

    # z_k = b_k + sum_cyx w_kc g_k(y, x) h_cyx with g_k a round Gaussian of learned centre and width
    # that sums to 1 over the map (after Lurz et al. 2021): three numbers and the channel weights
    # per cell, for recordings that are too short to learn a map

    def __init__(
        self, centers: list[tuple[float, float]], channels: int, size: tuple[int, int], width: float
    ) -> None:
        super().__init__()
        rows, columns = torch.tensor(centers, dtype=torch.float32).T
        self.size = size
        self.row, self.column = nn.Parameter(rows.clone()), nn.Parameter(columns.clone())
        self.log_width = nn.Parameter(torch.full((len(centers),), width).log())
        self.weight = nn.Parameter(torch.randn(len(centers), channels) * channels**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(centers)))

    def _profile(self, centre: Tensor, length: int) -> Tensor:
        away = torch.arange(length, device=centre.device) - centre[:, None]
        # A softmax is a Gaussian that sums to 1, and stays one where the centre is far outside.
        return torch.softmax(-0.5 * (away / self.log_width.exp()[:, None]) ** 2, dim=1)

    def window(self) -> Tensor:
        """Return the windows (cell, y, x)."""
        rows, columns = (
            self._profile(self.row, self.size[0]),
            self._profile(self.column, self.size[1]),
        )
        return rows[:, :, None] * columns[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return (sample, cell)."""
        pooled = torch.einsum("ncyx,kyx->nkc", x, self.window())
        return (pooled * self.weight).sum(-1) + self.bias

    def dense_weight(self) -> Tensor:
        """Weight (cell, channel, y, x) of the dense readout that this one equals."""
        return self.weight[:, :, None, None] * self.window()[:, None]


class Gain(nn.Module):
    """Multiply by a constant, or by one constant per cell."""

    factors: Tensor

    def __init__(self, factor: float | tuple[float, ...]) -> None:
        super().__init__()
        self.factor = factor
        # Part of the architecture, not of the weights: it is kept in the RetinaConfig.
        self.register_buffer("factors", torch.tensor(factor), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `factor * x`."""
        return (self.factor if isinstance(self.factor, float) else self.factors) * x
