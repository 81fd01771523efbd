"""A network of your own on the command line: the CIFAR ResNets of He et al. (2016).

`neurocodec images` takes a network from any Python file with a function that returns a
`nc.Network`; this is such a file. Weights are plain state dicts of these networks.

    python examples/cifar_resnet.py cifar10.npz cifar10-test
    neurocodec images --network examples/cifar_resnet.py:network \
        --weights cifar10_resnet56.pth --images cifar10-test --out cifar-resnet56

The first command writes the test images as PNG files, one folder per class. `cifar10.npz` has the
arrays x_test (image, 32, 32, 3) and y_test, as Keras and others distribute them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import neurocodec as nc

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters: every second pixel, zeros around."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.margin = stride, (channels - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Add the shortcut, then rectify."""
        around = (0, 0, 0, 0, self.margin, self.margin)
        shortcut = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], around)
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + shortcut).relu()


class ResNet(nn.Module):
    """Three stages of blocks with 16, 32 and 64 channels; 9 blocks each are a ResNet-56."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1)
        self.layer2 = self._stage(16, 32, blocks, 2)
        self.layer3 = self._stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(inputs: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        first = Block(inputs, channels, stride)
        return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def normalised(image: Image.Image) -> Tensor:
    """Red, green and blue of an image (color, y, x), as the networks were trained."""
    values = np.asarray(image.convert("RGB"), "float32") / 255
    return torch.from_numpy((values - np.float32(MEAN)) / np.float32(DEVIATION)).permute(2, 0, 1)


def network(weights: str) -> nc.Network:
    """ResNet-20, -32, -44, -56 or -110, whichever the weights are of, with all of its blocks."""
    state: dict[str, Any] = torch.load(weights, map_location="cpu", weights_only=True)
    blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("layer1."))
    module = ResNet(blocks)
    module.load_state_dict(state)
    return nc.Network(
        module.eval(),
        layers=[f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(blocks)],
        outputs=CLASSES,
        input_shape=(3, 32, 32),
        preprocessing=normalised,
        name=f"CIFAR ResNet-{6 * blocks + 2}",
    )


def write_images(arrays: str | Path, folder: str | Path, *, limit: int | None = None) -> Path:
    """Write test images as PNG files, one folder per class."""
    with np.load(arrays) as stored:
        pixels, classes = stored["x_test"][:limit], stored["y_test"][:limit]
    for position, (image, label) in enumerate(zip(pixels, classes.ravel(), strict=True)):
        place = Path(folder) / CLASSES[label] / f"{position:05}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return Path(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arrays", help="cifar10.npz")
    parser.add_argument("folder", help="where the images go")
    options = parser.parse_args()
    write_images(options.arrays, options.folder)
