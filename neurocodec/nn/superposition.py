"""Toy networks that compute more features than they have hidden units, trained as one stack.

f' = relu(W2 relu(W1 x + b1) + b2) (Tense Images eq. 7, 8). Of a batch of sparse inputs most rows
are zero and give the same loss: one of them stands for all, with the weight of their probability,
beside rows with at least one feature on. The expected loss, and its expected gradient, are those
of whole batches. Gradients are written out; the networks of all seeds are one batch of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

Kind: TypeAlias = Literal["absolute", "xor"]

FEATURES: Final = 6
ON: Final = 0.01
"""Probability with which a feature is on."""
BATCH: Final = 600
"""Rows of the paper's batches."""
IMPORTANCE: Final = 0.9
"""Of a feature, over that of the one before."""
ABOVE: Final = 0.1
"""Where the biases of features start."""
TOGETHER: Final = 128
"""Networks in one stack, so that it stays in the cache."""
BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8


class Toys(NamedTuple):
    """Weights of a stack of networks."""

    w1: Tensor  # (seed, unit, input)
    b1: Tensor  # (seed, unit)
    w2: Tensor  # (seed, feature, unit)
    b2: Tensor  # (seed, feature)

    def hidden(self, x: Tensor) -> Tensor:
        """(seed, row, unit) of inputs (row, input)."""
        return torch.relu(x @ self.w1.mT + self.b1[:, None])

    def summed(self, x: Tensor) -> Tensor:
        """(seed, row, feature) before the last ReLU."""
        return self.hidden(x) @ self.w2.mT + self.b2[:, None]

    def __call__(self, x: Tensor) -> Tensor:
        """(seed, row, feature) of inputs (row, input)."""
        return torch.relu(self.summed(x))


@dataclass(frozen=True)
class Task:
    """What the networks are to compute: |x| of six numbers, or XOR of six pairs."""

    kind: Kind
    on: float = ON
    first_bias: bool = True  # whether hidden units have one

    @property
    def inputs(self) -> int:
        """Numbers that a network takes."""
        return FEATURES if self.kind == "absolute" else 2 * FEATURES

    @property
    def share_on(self) -> float:
        """Share of rows with at least one feature on."""
        return float(1 - (1 - self.on) ** FEATURES)

    def answers(self, x: Tensor) -> Tensor:
        """(row, feature) that are right."""
        if self.kind == "absolute":
            return x.abs()
        pairs = x.reshape(-1, FEATURES, 2)
        return (pairs[..., 0] - pairs[..., 1]).abs()

    def rows(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw inputs with at least one feature on: absolute in [-1, 1], pairs of 0 and 1."""
        chance = (1 - self.on) ** torch.arange(FEATURES, dtype=torch.float64)
        first = torch.multinomial(chance, count, replacement=True, generator=generator)
        later = torch.rand(count, FEATURES, generator=generator) < self.on
        places = torch.arange(FEATURES)
        on = (places == first[:, None]) | (later & (places > first[:, None]))
        if self.kind == "absolute":
            return on * (2 * torch.rand(count, FEATURES, generator=generator) - 1)
        bits = torch.rand(count, FEATURES, 2, generator=generator) < 0.5
        return (on[..., None] & bits).flatten(1).float()

    def every(self) -> tuple[Tensor, Tensor]:
        """All inputs that the paper tests (fig. 15), and how many features are active in each."""
        values = (0.0, -1.0, 1.0) if self.kind == "absolute" else (0.0, 1.0)
        x = torch.tensor([*product(values, repeat=self.inputs)])
        return x, self.answers(x).sum(1).long()

    def singles(self) -> Tensor:
        """Inputs of figure 7, two for each feature: e and -e, or (1, 0) and (1, 1)."""
        one = torch.eye(FEATURES)
        if self.kind == "absolute":
            return torch.stack([one, -one], 1).flatten(0, 1)
        ends = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        return torch.einsum("ij,kl->ikjl", one, ends).reshape(2 * FEATURES, 2 * FEATURES)

    def disentangled(self) -> Toys:
        """Build the network of 12 units in which no feature meets another."""
        one = torch.eye(FEATURES)
        if self.kind == "absolute":
            w1, b1 = torch.cat([one, -one]), torch.zeros(2 * FEATURES)
            w2 = torch.cat([one, one], 1)
        else:  # relu(a + b) - 2 relu(a + b - 1)
            both = one.repeat_interleave(2, 1)
            w1, w2 = torch.cat([both, both]), torch.cat([one, -2 * one], 1)
            b1 = torch.cat([torch.zeros(FEATURES), -torch.ones(FEATURES)])
        return Toys(w1[None], b1[None], w2[None], torch.zeros(1, FEATURES))


def importances() -> Tensor:
    """Weight of each feature in the loss (Tense Images eq. 9)."""
    return IMPORTANCE ** torch.arange(FEATURES).float()


def start(task: Task, hidden: int, seeds: range) -> Toys:
    """Draw weights as Xavier does, each network's from its seed alone; features start above 0."""
    # what is below 0 for the zero row, nearly all of a batch, has no gradient and never comes back
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(hidden, task.inputs, generator=generator)
        second = torch.randn(FEATURES, hidden, generator=generator)
        drawn.append(
            Toys(
                first * math.sqrt(2 / sum(first.shape)),
                torch.zeros(hidden),
                second * math.sqrt(2 / sum(second.shape)),
                torch.full((FEATURES,), ABOVE),
            )
        )
    return Toys(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))


def train(
    task: Task,
    hidden: int,
    seeds: range,
    *,
    steps: int,
    rate: float,
    told: Callable[[int], object] = lambda _: None,
) -> Toys:
    """Train a stack by Adam, at a rate that falls to 0 as a cosine; all see the same rows."""
    toys, stacks = list[Toys](), range(seeds.start, seeds.stop, TOGETHER)
    for first in stacks:
        some = range(first, min(first + TOGETHER, seeds.stop))
        toys.append(_trained(task, start(task, hidden, some), steps, rate))
        told(len(some))
    return Toys(*(torch.cat(parts) for parts in zip(*toys, strict=True)))


def _trained(task: Task, toys: Toys, steps: int, rate: float) -> Toys:
    generator = torch.Generator().manual_seed(0)
    count = round(BATCH * task.share_on)
    weight = torch.full((count + 1, 1), task.share_on / count)
    weight[-1] = 1 - task.share_on
    weight = 2 * weight * importances()
    zero = torch.zeros(1, task.inputs)
    means, squares = ([torch.zeros_like(part) for part in toys] for _ in range(2))
    for step in range(steps):
        x = torch.cat([task.rows(count, generator), zero])
        found = _gradient(toys, x, task.answers(x), weight)
        if not task.first_bias:
            found.b1.zero_()
        now = rate * (1 + math.cos(math.pi * step / steps)) / 2 / (1 - BETAS[0] ** (step + 1))
        late = math.sqrt(1 - BETAS[1] ** (step + 1))
        for part, slope, mean, square in zip(toys, found, means, squares, strict=True):
            mean.lerp_(slope, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
            part.addcdiv_(mean, square.sqrt().div_(late).add_(EPSILON), value=-now)
    return toys


def _gradient(toys: Toys, x: Tensor, answers: Tensor, weight: Tensor) -> Toys:
    """Of the sum over rows and features of weight / 2 times the squared error."""
    hidden = toys.hidden(x)
    after = torch.relu(torch.baddbmm(toys.b2[:, None], hidden, toys.w2.mT))
    error = (after - answers).mul_(weight).mul_(after > 0)
    before = torch.bmm(error, toys.w2).mul_(hidden > 0)
    return Toys(before.mT @ x, before.sum(1), torch.bmm(error.mT, hidden), error.sum(1))


def losses(task: Task, toys: Toys, x: Tensor) -> Tensor:
    """(seed, row) of Tense Images eq. 9."""
    return ((toys(x) - task.answers(x)).square() * importances()).sum(2)


def expected_loss(task: Task, toys: Toys, rows: int, seed: int) -> Tensor:
    """(seed,), over inputs as they are drawn, from rows with a feature on and the zero row."""
    x = task.rows(rows, torch.Generator().manual_seed(seed))
    on, off = losses(task, toys, x).mean(1), losses(task, toys, torch.zeros(1, task.inputs))[:, 0]
    return task.share_on * on + (1 - task.share_on) * off


def attributions(task: Task, toys: Toys) -> Tensor:
    """(seed, sign, input, feature): E+ and E- of the hidden layer, before the last ReLU."""
    parts = toys.hidden(task.singles())[:, :, None] * toys.w2[:, None]
    return torch.stack([parts.clamp(min=0).sum(3), (-parts).clamp(min=0).sum(3)], 1)


def off_diagonal(found: Tensor) -> Tensor:
    """(seed,): share of E+ + E- that is of features which an input has not."""
    size = found.sum(1)
    own = torch.eye(FEATURES).repeat_interleave(2, 0)
    return 1 - (size * own).sum((1, 2)) / size.sum((1, 2))
