"""Methods: how the contribution of every hidden unit to a target is computed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from neurocodec.arguments import whole
from neurocodec.errors import InputError
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Attribution, Method, by_layer, only
from neurocodec.nn.attribution.passes import Passes, Point
from neurocodec.nn.attribution.tangents import tangents
from neurocodec.nn.capture.prefix import Batch

__all__ = [
    "ActGrad",
    "Activation",
    "Attribution",
    "Gradient",
    "InputGrad",
    "IntegratedGradients",
    "Method",
    "NormGrad",
    "SmoothGrad",
]


class _AtSample(Method):
    """A method that needs nothing but the network at the sample, which many features share."""

    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """One forward and one backward pass."""
        return self._found(passes, passes.at(batch), batch)

    def attribute_each(self, passes: Passes, batch: Batch) -> Iterator[Attribution]:
        """One forward pass, and one backward pass for each feature."""
        for one, point in passes.points(batch):
            yield self._found(one, point, batch)

    @abstractmethod
    def _found(self, passes: Passes, point: Point, batch: Batch) -> Attribution:
        """Contributions, from the network at the samples."""


@dataclass(frozen=True)
class ActGrad(_AtSample):
    """Activation times gradient: (h - h') dy/dh at x (CODEC eq. 2).

    h' is zero unless a baseline is given; then it is the activation at the baseline.

    Examples
    --------
    >>> ActGrad()
    ActGrad()
    """

    def _found(self, passes: Passes, point: Point, batch: Batch) -> Attribution:
        hidden = only(passes, point.hidden)
        above = {
            alias: values if alias not in point.windows else point.windows[alias].cut(values)
            for alias, values in _above_baseline(passes, hidden).items()
        }
        values = by_layer(torch.mul, above, point.gradient)
        promise = passes.changes(point, batch.x)
        found = Attribution(values, hidden, point.target, promise, windows=point.windows)
        return replace(found, outputs=point.outputs)


def _above_baseline(passes: Passes, hidden: dict[str, Tensor]) -> dict[str, Tensor]:
    if not passes.given:
        return hidden
    return by_layer(torch.sub, hidden, passes.start_pass.hidden)


@dataclass(frozen=True)
class InputGrad(Method):
    """dy/dh times the change of h along x - x', to first order (CODEC eq. 3-5).

    sum_i dy/dh_j dh_j/dx_i (x_i - x'_i): one Jacobian-vector product by forward-mode
    differentiation and one backward pass.

    Examples
    --------
    >>> InputGrad()
    InputGrad()
    """

    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """One forward and one backward pass, and a forward pass with tangents up to the layers."""
        point = passes.at(batch)
        direction = batch.x - passes.baseline
        tangent = tangents(passes.capture, passes.aliases, batch.x, direction)
        values = by_layer(torch.mul, tangent, point.gradient)
        promise = passes.changes(point, batch.x)
        made = Attribution(values, only(passes, point.hidden), point.target, promise)
        return replace(made, outputs=point.outputs)


@dataclass(frozen=True)
class NormGrad(_AtSample):
    """h times dy/dh divided by its norm over the layer, per sample (the authors' `act_normgrad`).

    Contributions do not sum to the target; no completeness error is reported.

    Examples
    --------
    >>> NormGrad()
    NormGrad()
    """

    def _found(self, passes: Passes, point: Point, batch: Batch) -> Attribution:
        del batch
        hidden = only(passes, point.hidden)
        unit = by_layer(_unit_norm, point.gradient)
        values = by_layer(torch.mul, _above_baseline(passes, hidden), unit)
        return Attribution(values, hidden, point.target, {})


def _unit_norm(gradient: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    norm = torch.where(norm == 0, 1.0, norm)
    return gradient / norm.view(-1, *[1] * (gradient.ndim - 1))


@dataclass(frozen=True)
class Gradient(_AtSample):
    """dy/dh at x: sensitivity, not contribution.

    Examples
    --------
    >>> Gradient().variable
    'gradient'
    """

    variable: ClassVar[str] = "gradient"

    def _found(self, passes: Passes, point: Point, batch: Batch) -> Attribution:
        del batch
        return Attribution(point.gradient, only(passes, point.hidden), point.target, {})


@dataclass(frozen=True)
class Activation(Method):
    """h at x: what is represented, whether or not it is used.

    Examples
    --------
    >>> Activation().variable
    'activation'
    """

    variable: ClassVar[str] = "activation"

    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """One forward pass."""
        done = passes.seen(batch)
        with torch.no_grad():
            target = passes.value(done, passes.target)
        return Attribution({}, only(passes, done.hidden), target, {})


@dataclass(frozen=True)
class SmoothGrad(Method):
    """Mean of activation times gradient over noisy inputs (CODEC sec. 2).

    mean over n of h(x + sigma e_n) dy/dh (x + sigma e_n), e_n standard normal.

    Parameters
    ----------
    sigma
        Standard deviation of the noise, in the units of the stimulus.
    samples
        Noisy inputs per sample.
    seed
        The noise of a sample depends on this and on the sample's position alone, so that it is
        the same for any batch size and on any device; it is drawn on the CPU for that.

    Examples
    --------
    >>> SmoothGrad(sigma=0.1).samples
    16
    """

    sigma: float = 0.1
    samples: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", whole("samples", self.samples))
        object.__setattr__(self, "seed", whole("seed", self.seed, 0))
        if not self.sigma >= 0 or self.seed >= 2**23:
            raise InputError(
                came=f"SmoothGrad(sigma={self.sigma}, seed={self.seed})",
                expected="sigma of at least 0, a seed from 0 to 8388607",
            )

    def attribute(self, passes: Passes, batch: Batch) -> Attribution:
        """`samples` forward and backward passes."""
        generators = [self._generator(batch.first + i) for i in range(len(batch.x))]
        sums: dict[str, Tensor] = {}
        for _ in range(self.samples):
            noise = torch.stack([_drawn(batch.x.shape[1:], g) for g in generators])
            noisy = batch.x + self.sigma * noise.to(batch.x)
            point = passes.point(noisy)
            found = by_layer(torch.mul, only(passes, point.hidden), point.gradient)
            sums = by_layer(torch.add, sums, found) if sums else found
        point = passes.point(batch.x)
        values = {alias: total / self.samples for alias, total in sums.items()}
        promise = passes.changes(point, batch.x)
        made = Attribution(values, only(passes, point.hidden), point.target, promise)
        return replace(made, outputs=point.outputs)

    def _generator(self, position: int) -> torch.Generator:
        return torch.Generator("cpu").manual_seed((self.seed << 40) + position)


def _drawn(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
