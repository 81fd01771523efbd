"""Small networks that several tests share; weights are whole numbers or seeded."""

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import neurocodec as nc


def linear(weight, bias=None) -> nn.Linear:
    weight = torch.tensor(weight, dtype=torch.float32)
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    module.weight.data = weight
    if bias is not None:
        module.bias.data = torch.tensor(bias, dtype=torch.float32)
    return module


def two_layers() -> nn.Sequential:
    """y = 3 relu(a - b) + 5 relu(2 a)."""
    return nn.Sequential(linear([[1, -1], [2, 0]]), nn.ReLU(), linear([[3, 5]]))


def seeded(make, seed=0):
    """Build a module with seeded weights without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(5 * 4 * 4, 6),
    )


def convolutional(seed=0) -> nn.Sequential:
    """Images 3x8x8 -> 6 logits, in-place ReLUs, batch norm with statistics of its own."""
    module = seeded(_convolutional, seed)
    generator = torch.Generator().manual_seed(seed)
    module[1].running_mean = torch.randn(4, generator=generator)
    module[1].running_var = 0.5 + torch.rand(4, generator=generator)
    return module.eval()


def retina(seed=0, history=6, size=12, cells=4) -> nn.Sequential:
    """Movies: two convolutions and a dense readout, as in the ganglion-cell models, but small."""
    inner = size - 6
    module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(history, 3, 5),
            nn.Flatten(),
            nn.BatchNorm1d(3 * (size - 4) ** 2),
            nn.Unflatten(1, (3, size - 4, size - 4)),
            nn.ReLU(),
            nn.Conv2d(3, 2, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * inner**2, cells),
            nn.Softplus(),
        ),
        seed,
    )
    return module.eval()


def retina_network(**options) -> nc.Network:
    return nc.Network(retina(**options), layers={"layer1": "0", "layer2": "5"}, history=6)


class Tokens(nn.Module):
    """Two attention-free token mixers: (sample, 3, 8, 8) -> tokens (sample, 5, 6) -> 4 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(48, 6)
        self.mix = nn.Linear(5, 5)
        self.mlp = nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)
        self.first = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 4, 48)
        tokens = torch.cat([self.first.expand(len(x), 1, 6), self.embed(patches)], 1)
        tokens = tokens + torch.tanh(self.mix(tokens.mT).mT)
        return self.head((tokens + torch.relu(self.mlp(tokens)))[:, 0])


class Patches(nn.Module):
    """A vision transformer of one block: (sample, 3, 8, 8) -> 4 tokens of 6 -> 2 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, dropout=0.0)
        self.last = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, dropout=0.0)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.block(self.embed(x).flatten(2).mT)).mean(1))


def images(n=5, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 8, 8)).astype("float32")
    return xr.DataArray(
        values,
        dims=("stimulus", "color", "y", "x"),
        coords={"stimulus": np.arange(n), "label": ("stimulus", [f"class {i}" for i in range(n)])},
        name="stimulus",
    )


def movie(frames=20, size=12, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(frames, size, size)).astype("float32")
    return xr.DataArray(
        values,
        dims=("time", "y", "x"),
        coords={"time": np.arange(frames) / 100},
        name="stimulus",
    )


def vectors(rows) -> xr.DataArray:
    return xr.DataArray(np.asarray(rows, "float32"), dims=("stimulus", "feature"))


def net_contribution(tree: xr.DataTree, layer: str) -> np.ndarray:
    """Excitatory plus inhibitory."""
    return tree[layer].contribution.sum("sign").values
