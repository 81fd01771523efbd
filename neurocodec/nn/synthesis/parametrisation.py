"""Pictures as phases of a fixed spectrum, as frequencies, or as pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neurocodec.nn.synthesis.natural import Natural, in_cosines


@dataclass(frozen=True)
class Parametrisation(ABC):
    """Numbers that ascent changes, and the picture (picture, color, axes...) that they are."""

    natural: Natural
    contrast: float | None = None  # standard deviation that every picture keeps; None: the range

    @abstractmethod
    def drawn(self, noise: Tensor) -> Tensor:
        """Numbers of a first picture, of white noise (picture, color, axes...)."""

    @abstractmethod
    def of(self, pictures: Tensor) -> Tensor:
        """Numbers of given pictures."""

    @abstractmethod
    def components(self, numbers: Tensor) -> Tensor:
        """Principal colours about the mean."""

    def picture(self, numbers: Tensor) -> Tensor:
        """The picture, within the range of natural ones, or of one contrast."""
        made = self.components(numbers)
        if self.contrast is None:
            return self.natural.within(self.natural.about_mean(made))
        # the size is a constant of the step: what moves is the direction, on the sphere of numbers
        size = (
            made.detach().square().flatten(1).mean(1).sqrt().clamp(min=torch.finfo(made.dtype).tiny)
        )
        return self.natural.about_mean(made * (self.contrast / _beside(size, made)))

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of a picture behind its colours."""
        return tuple(range(2, 2 + len(self.natural.size)))

    def _spectrum(self, made: Tensor) -> Tensor:
        found: Tensor = torch.fft.rfftn(made, dim=self.axes, norm="ortho")
        return found

    def _back(self, spectrum: Tensor) -> Tensor:
        size = self.natural.size
        found: Tensor = torch.fft.irfftn(spectrum, s=size, dim=self.axes, norm="ortho")
        return found


class Phase(Parametrisation):
    """Phases alone: every picture has the same spectrum (MACO: Fel et al. 2023).

    Of a picture that is given the spectrum stays its own: numbers hold its amplitude beside.
    """

    def drawn(self, noise: Tensor) -> Tensor:
        """Phases of noise, and the natural amplitudes."""
        phase = self._spectrum(noise).angle()
        return torch.stack([phase, self.natural.amplitude.expand_as(phase)], 1)

    def of(self, pictures: Tensor) -> Tensor:
        """Phases and amplitudes of the pictures."""
        spectrum = self._spectrum(self.natural.components(pictures))
        return torch.stack([spectrum.angle(), spectrum.abs()], 1)

    def components(self, numbers: Tensor) -> Tensor:
        """Back from phases; amplitudes stay as they are."""
        phase, amplitude = numbers.unbind(1)
        # a frequency that is its own conjugate is real: only a sign, which no step can change
        phase = torch.where(self._real(phase), phase.detach(), phase)
        return self._back(torch.polar(amplitude.detach(), phase))

    def _real(self, phase: Tensor) -> Tensor:
        """Whether a frequency (frequencies...) is its own conjugate: 0 or half of each size."""
        found = phase.new_ones((), dtype=torch.bool)
        for size, count in zip(self.natural.size, phase.shape[2:], strict=True):
            own = 2 * torch.arange(count, device=phase.device) % size == 0
            found = found[..., None] & own
        return found


class Fourier(Parametrisation):
    """Frequencies in units of the natural spectrum: cosines, so that no border wraps around."""

    def drawn(self, noise: Tensor) -> Tensor:
        """White noise, frequency by frequency."""
        return noise

    def of(self, pictures: Tensor) -> Tensor:
        """Their frequencies, in units of the natural spectrum."""
        least = 1e-6 * self.natural.cosines.amax()
        found = in_cosines(self.natural.components(pictures), self.axes)
        return found / self.natural.cosines.clamp(min=least)

    def components(self, numbers: Tensor) -> Tensor:
        """Back from frequencies."""
        if self.contrast is not None:
            numbers = _on_the_sphere(numbers)
        return in_cosines(numbers * self.natural.cosines, self.axes, back=True)


class Pixels(Parametrisation):
    """Pixels in principal colours, each in units of the contrast of natural pictures."""

    def drawn(self, noise: Tensor) -> Tensor:
        """The noise."""
        return noise

    def of(self, pictures: Tensor) -> Tensor:
        """Their pixels, in units of the contrast."""
        return self.natural.components(pictures) / self.natural.contrast

    def components(self, numbers: Tensor) -> Tensor:
        """Pixels of the natural contrast."""
        if self.contrast is not None:
            numbers = _on_the_sphere(numbers)
        return numbers * self.natural.contrast


KINDS: Final[dict[str, type[Phase] | type[Fourier] | type[Pixels]]] = {
    "phase": Phase,
    "fourier": Fourier,
    "pixels": Pixels,
}


def _on_the_sphere(numbers: Tensor) -> Tensor:
    """Numbers of norm 1 per number, so that only their direction counts."""
    size = numbers.square().flatten(1).mean(1).sqrt()
    return numbers / _beside(size.clamp(min=torch.finfo(numbers.dtype).tiny), numbers)


def _beside(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (like.ndim - 1))
