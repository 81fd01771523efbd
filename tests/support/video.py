"""Small networks that take video and return video, and a movie for them."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import neurocodec as nc

AXES = {"input": "(sample, color, time, y, x)", "output": "(sample, time, cell)"}


class Readout(nn.Module):
    """Firing rates (sample, time, cell) of feature maps (sample, channel, time, y, x)."""

    def __init__(self, channels: int, cells: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cells, channels, size, size) / size)

    def forward(self, maps: Tensor) -> Tensor:
        return nn.functional.softplus(torch.einsum("nctyx,kcyx->ntk", maps, self.weight))


def core_readout(padding: int = 0, colors: int = 2, dtype: torch.dtype = torch.float64):
    """Two convolutions over (time, y, x), of 4 and 3 frames, and 3 cells; frames of 6 by 6."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv3d(colors, 3, (4, 3, 3)),
        nn.ELU(),
        nn.Conv3d(3, 4, (3, 3, 3), padding=(padding, 0, 0)),
        nn.BatchNorm3d(4),
        nn.ELU(),
        Readout(4, 3, 2),
    )
    norm = module[3]
    norm.running_mean.normal_(0, 0.1)
    norm.running_var.uniform_(0.5, 1.5)
    return module.to(dtype).eval()


def video_network(padding: int = 0, dtype: torch.dtype = torch.float64, **options):
    """The same as a Network."""
    options = {"history": 6 + 2 * padding, "frame_rate": 10, **AXES, **options}
    module = core_readout(padding, dtype=dtype)
    return nc.Network(module, layers={"first": "0", "second": "2"}, **options)


def colored(frames: int = 20, colors: int = 2, size: int = 6, rate: float = 10) -> xr.DataArray:
    """A movie of two colours."""
    values = np.random.default_rng(1).standard_normal((frames, colors, size, size))
    coords = {"time": np.arange(frames) / rate, "color": ["UV", "green", "red"][:colors]}
    return xr.DataArray(values, coords, dims=("time", "color", "y", "x"), name="stimulus")
