"""Rows that the benchmark of modes decomposes: simulated, of the bundled retina, of CIFAR-10."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

import neurocodec as nc

Matrix = NDArray[Any]

SHARED = Path(os.environ.get("NEUROCODEC_TEST_DATA", Path(__file__).parents[2] / "shared"))
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
FRAME_RATE = 100
"""Of the bundled movie, in Hz."""
BLOCKS = {"block 17": "layer2.8", "block 22": "layer3.4"}
"""Blocks counted from 0 over the 27 of ResNet-56."""


@dataclass(frozen=True)
class Split:
    """Rows of one layer, the last of which are held out.

    Parameters
    ----------
    name
        What the rows are.
    rows
        (rows, channels).
    fitted
        How many of them, from the first, are for fitting.
    classes
        Class of each row, where they have one.
    """

    name: str
    rows: Matrix
    fitted: int
    classes: NDArray[np.integer] | None = None

    @property
    def parts(self) -> tuple[Matrix, Matrix]:
        """Rows to fit, and rows held out."""
        return self.rows[: self.fitted], self.rows[self.fitted :]


def retina_tree(cache: Path, duration: float | None = None) -> xr.DataTree:
    """Contributions of the bundled retina model, as `neurocodec retina` computes them.

    Integrated gradients to the surprisal of the population, on the bundled (simulated) movie.

    Parameters
    ----------
    cache
        Folder that keeps them.
    duration
        Seconds of the movie; its own length where None.
    """
    path = cache / f"retina-{duration or 'whole'}.nc"
    if not path.exists():
        net = nc.load_model("simulated-retina")
        movie = nc.load_dataset("simulated-retina", duration=duration).stimulus
        target = nc.targets.Surprisal.fit(nc.respond(net, movie, batch_size=64, progress=False))
        nc.save(nc.contributions(net, movie, target=target, progress=_watched()), path)
    tree = nc.open(path)
    loaded: xr.DataTree = tree.load()
    tree.close()
    return loaded


def retina_rows(cache: Path, count: int) -> Split:
    """Excitatory contributions of both layers of the bundled retina side by side.

    Eight channels of each layer, 16 together; `count` rows to fit, and a ninth as many held out.
    """
    history = nc.load_model("simulated-retina").history or 1
    tree = retina_tree(cache, (count * 10 // 9 + history - 1) / FRAME_RATE)
    layers = [excitatory(node) for node in tree.children.values()]
    rows = np.concatenate(layers, axis=1)
    return Split(f"retina, {count} x {rows.shape[1]}", rows, count)


def excitatory(node: xr.DataTree | xr.DataArray) -> Matrix:
    """Positive parts of contributions (samples, channel)."""
    return np.asarray(node["contribution"].sel(sign="excitatory").values)


def cifar_rows(cache: Path, *, images: int, fitted: int) -> list[Split] | None:
    """Rows of ResNet-56 on CIFAR-10 test images: contributions and activations of two blocks.

    `ActGrad` to the largest logit. None where the weights are not there.
    """
    weights = SHARED / "data" / "cifar10-resnets" / "cifar10_resnet56.pth"
    if not weights.exists():
        return None
    path = cache / f"cifar-{images}.npz"
    if not path.exists():
        np.savez(path, allow_pickle=False, **_cifar(weights, _pictures(cache), images))
    with np.load(path) as stored:
        found = dict(stored)
    classes = found.pop("classes")
    return [Split(name, rows, fitted, classes) for name, rows in found.items()]


def _pictures(cache: Path) -> Path:
    path = cache / "cifar10.npz"
    if not path.exists():
        script = SHARED / "tools" / "get_networks.py"
        subprocess.run([sys.executable, script, cache, "cifar10"], check=True)  # noqa: S603
    return path


def _cifar(weights: Path, pictures: Path, images: int) -> dict[str, Matrix]:
    """Rows of every block and kind, and the classes of the images."""
    module = ResNet56()
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    net = nc.Network(module.eval(), layers=BLOCKS)
    with np.load(pictures) as stored:
        pixels, classes = stored["x_test"][:images], stored["y_test"][:images]
    values = ((pixels / 255 - MEAN) / DEVIATION).astype("float32")
    stimulus = xr.DataArray(values, dims=("stimulus", "y", "x", "color"))
    tree = nc.contributions(
        net,
        stimulus.transpose("stimulus", "color", "y", "x"),
        target=nc.targets.TopK(1),
        method=nc.methods.ActGrad(),
        progress=_watched(),
    )
    rows = {f"{name}, contributions": excitatory(tree[name]) for name in BLOCKS}
    rows |= {f"{name}, activations": np.asarray(tree[name]["activation"]) for name in BLOCKS}
    return {**rows, "classes": classes}


def _watched() -> bool:
    """Whether somebody looks at bars."""
    return sys.stderr.isatty()


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters (He et al. 2016, option A)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride = stride
        self.padding = (after - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, channel, y, x) after the rectified sum."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(short, (0, 0, 0, 0, self.padding, self.padding)))


class ResNet56(nn.Module):
    """CIFAR ResNet of He et al. (2016): 27 blocks in three stages of 16, 32, 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1)
        self.layer2 = _stage(16, 32, 2)
        self.layer3 = _stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, 10) of images (batch, 3, 32, 32)."""
        maps = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        logits: Tensor = self.linear(maps.mean(dim=(2, 3)))
        return logits


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    later = (Block(after, after, 1) for _ in range(8))
    return nn.Sequential(Block(before, after, stride), *later)
