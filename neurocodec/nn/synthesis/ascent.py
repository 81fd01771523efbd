"""Pictures that climb an aim, all of a batch at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from neurocodec.nn.synthesis.parametrisation import Parametrisation


class Seen(NamedTuple):
    """What a pass says of pictures: the aim, which is climbed, and the target, which is told."""

    objective: Tensor  # (picture)
    target: Tensor  # (picture)


class Climbed(NamedTuple):
    """Pictures at the end, and their way."""

    picture: Tensor  # (picture, color, axes...)
    opacity: Tensor  # (picture, axes...): sum of the size of the gradient over steps and colours
    objective: Tensor  # (picture, step), through the transforms
    target: Tensor  # (picture, step)


def unmoved(numbers: Tensor, kind: Parametrisation, see: Callable[[Tensor], Seen]) -> Tensor:
    """Places of pictures that nothing moves, as their aim is behind a ReLU that is silent."""
    numbers = numbers.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = see(kind.picture(numbers)).objective.sum()
        (into,) = torch.autograd.grad(total, [numbers])
    return (into.flatten(1) == 0).all(1).nonzero()[:, 0].cpu()


def height(numbers: Tensor, kind: Parametrisation, see: Callable[[Tensor], Seen]) -> Tensor:
    """The aim of each picture as it is, before any step."""
    with torch.enable_grad():  # an aim that is itself a gradient needs it
        picture = kind.picture(numbers.detach().clone().requires_grad_())
        return see(picture).objective.detach()


def ascend(
    numbers: Tensor,
    kind: Parametrisation,
    see: Callable[[Tensor], Seen],
    *,
    steps: int,
    rate: float,
    transform: Callable[[Tensor], Tensor],
    told: Callable[[], object],
) -> Climbed:
    """Climb by Adam, whose every number goes by its own gradient alone."""
    numbers = numbers.detach().clone().requires_grad_()
    adam = torch.optim.Adam([numbers], lr=rate, maximize=True)
    opacity: Tensor | None = None
    objectives, targets = [], []
    for _ in range(steps):
        with torch.enable_grad():
            picture = kind.picture(numbers)
            seen = see(transform(picture))
            into, numbers.grad = torch.autograd.grad(seen.objective.sum(), [picture, numbers])
        strength = into.detach().abs().sum(1)
        opacity = strength if opacity is None else opacity + strength
        objectives.append(seen.objective.detach())
        targets.append(seen.target.detach())
        adam.step()
        told()
    with torch.no_grad():
        done = kind.picture(numbers)
    flat = torch.zeros_like(done[:, 0]) if opacity is None else opacity
    return Climbed(done, flat, torch.stack(objectives, 1), torch.stack(targets, 1))
