"""A residual network whose parts can be run one by one, as an independent witness has to."""

import torch
from networks import seeded
from torch import Tensor, nn
from torch.nn import functional

import neurocodec as nc


class Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))), with one ReLU twice, in place, or a function."""

    def __init__(self, width: int, *, functional_relu: bool) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.total = nn.Identity()
        self.relu = None if functional_relu else nn.ReLU(inplace=True)

    def rectified(self, x: Tensor) -> Tensor:
        return functional.relu(x) if self.relu is None else self.relu(x)

    def before_relu(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return inner + x

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(self.rectified(self.norm1(self.conv1(x)))))
        return self.rectified(self.total(inner + x))


class Residual(nn.Module):
    """Images 3 x 6 x 6 -> 3 logits, by way of two blocks."""

    def __init__(self, *, functional_relu: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.one = Block(4, functional_relu=functional_relu)
        self.two = Block(4, functional_relu=functional_relu)
        self.head = nn.Linear(4, 3)

    def first(self, x: Tensor) -> Tensor:
        """What the first block returns."""
        return torch.relu(self.one.before_relu(torch.relu(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(torch.relu(self.stem(x))))
        return self.head(x.mean((2, 3)))


def residual(seed: int = 0, *, functional_relu: bool = False, dtype=torch.float64) -> Residual:
    module = seeded(lambda: Residual(functional_relu=functional_relu), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(4, generator=generator) / 3
            part.running_var = 0.5 + torch.rand(4, generator=generator)
    return module.to(dtype)


def residual_network(module: nn.Module) -> nc.Network:
    return nc.Network(module, layers={"one": "one", "pre": "two.total", "two": "two"})
