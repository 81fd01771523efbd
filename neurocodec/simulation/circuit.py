"""The circuit of the simulated retina: who drives whom, and how it answers a movie.

Photoreceptors -> bipolar cells (difference of Gaussians, biphasic, rectified) -> amacrine cells
(feed-forward, crossover and lateral inhibition, gain control) -> ganglion cells. Every filter is
finite, so a response depends on the last `HISTORY` frames and on nothing else.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from neurocodec.simulation.filters import (
    biphasic,
    center_surround,
    filter_past,
    gamma,
    place,
    pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Activity = dict[str, NDArray[np.float32]]  # (time, position) by type

PHOTORECEPTOR, BIPOLAR, AMACRINE = 14, 20, 8
HISTORY: Final = PHOTORECEPTOR + BIPOLAR + AMACRINE - 2
"""Frames that a response depends on: the three kernels after one another."""

SIZE: Final = 50
REACH: Final = 7
"""Pixels from the middle to the edge of a bipolar cell's receptive field."""
SPACING: Final = 2
POOLING: Final = 5.0
"""Farthest input of an amacrine or ganglion cell, per axis, in pixels."""


@dataclass(frozen=True)
class Bipolar:
    """A bipolar cell type."""

    polarity: int  # 1 for ON, -1 for OFF
    center: float  # standard deviations of the receptive field in pixels
    surround: float
    opposition: float  # weight of the surround relative to the centre
    fast: float  # time constants of the two phases in frames
    slow: float
    transience: float  # weight of the second phase relative to the first
    threshold: float  # voltage from which transmitter is released, in s.d. on natural scenes


@dataclass(frozen=True)
class Amacrine:
    """An amacrine cell type."""

    inputs: Mapping[str, float]  # weight of each bipolar type
    pooling: float  # standard deviation of the region that it pools, in pixels
    delay: float  # time constant of its low-pass filter in frames


@dataclass(frozen=True)
class Ganglion:
    """A ganglion cell type."""

    excitation: Mapping[str, float]  # weight of each bipolar type
    inhibition: Mapping[str, float]  # weight of each amacrine type
    pooling: float  # standard deviation of the region of its excitation, in pixels
    lateral: float  # and of its inhibition
    threshold: float  # in s.d. of its drive on natural scenes
    rate: float  # mean firing rate on natural scenes in Hz


BIPOLARS: Final = {
    "ON transient bipolar": Bipolar(1, 1.4, 3.0, 0.95, 0.75, 1.6, 0.95, 0.4),
    "OFF transient bipolar": Bipolar(-1, 1.5, 3.2, 0.95, 0.80, 1.8, 0.95, 0.4),
    "ON sustained bipolar": Bipolar(1, 1.4, 3.0, 0.85, 1.30, 2.6, 0.5, 0.4),
    "OFF sustained bipolar": Bipolar(-1, 1.4, 3.0, 0.85, 1.50, 2.8, 0.5, 0.4),
}
AMACRINES: Final = {
    "wide-field amacrine": Amacrine(
        {"ON transient bipolar": 0.5, "OFF transient bipolar": 0.5}, 3.5, 0.8
    ),
    "ON amacrine": Amacrine({"ON sustained bipolar": 1.0}, 2.0, 0.5),
    "OFF amacrine": Amacrine({"OFF sustained bipolar": 1.0}, 2.0, 0.5),
}
GANGLIONS: Final = {
    "ON transient": Ganglion(
        {"ON transient bipolar": 1.0}, {"OFF amacrine": 0.5}, 1.6, 2.5, 0.4, 8.0
    ),
    "OFF transient": Ganglion(
        {"OFF transient bipolar": 1.0}, {"wide-field amacrine": 0.5}, 2.6, 3.5, 0.4, 7.0
    ),
    "OFF sustained": Ganglion(
        {"OFF sustained bipolar": 1.0}, {"ON amacrine": 0.8}, 2.0, 2.0, 0.6, 12.0
    ),
    "ON-OFF": Ganglion(
        {"ON transient bipolar": 1.0, "OFF transient bipolar": 1.0},
        {"wide-field amacrine": 1.0, "ON amacrine": 0.2},
        2.0,
        4.0,
        0.5,
        8.0,
    ),
}
SHARES: Final = ("opposition", "transience")
"""Parameters that are at most 1: an opposing phase never outweighs the leading one."""
GAIN_POOL: Final = "wide-field amacrine"
"""The amacrine type whose activity divides the release of the bipolar cells around it."""


CellType = TypeVar("CellType", Bipolar, Amacrine, Ganglion)


@dataclass(frozen=True)
class Parameters:
    """What a simulated retina is drawn from.

    Parameters
    ----------
    cells_per_type
        Ganglion cells of each type.
    spread
        Every filter parameter is multiplied by a random factor within 1 plus and minus this.
    jitter
        Standard deviation of the ganglion cells' positions around their grid, in pixels.
    separation
        Spacing of the grid of each type in pixels.
    gain_control
        Strength of the divisive inhibition; 0 is none.
    peak
        Firing rate in Hz at which a ganglion cell saturates.
    """

    cells_per_type: int = 4
    spread: float = 0.12
    jitter: float = 0.8
    separation: float = 3.5
    gain_control: float = 0.4
    peak: float = 200.0


@dataclass(frozen=True)
class Responses:
    """Answers to a movie: voltages (time, position) by type, and currents (time, cell)."""

    bipolar: dict[str, NDArray[np.float32]]
    amacrine: dict[str, NDArray[np.float32]]
    excitation: NDArray[np.float32]  # from bipolar cells
    inhibition: NDArray[np.float32]  # from amacrine cells

    @property
    def drive(self) -> NDArray[np.float32]:
        """What ganglion cells fire by (time, cell)."""
        return self.excitation - self.inhibition


def lattice(size: int = SIZE) -> NDArray[np.int_]:
    """Positions (position, 2) of the bipolar and amacrine cells of each type, in pixels."""
    line = np.arange(REACH, size - REACH, SPACING)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class Circuit:
    """One simulated retina: types, positions of ganglion cells, and scales set by calibration."""

    bipolars: Mapping[str, Bipolar]
    amacrines: Mapping[str, Amacrine]
    ganglions: Mapping[str, Ganglion]
    photoreceptor: float  # time constant in frames
    positions: NDArray[np.float64]  # ganglion cells (cell, 2) as (y, x) in pixels
    cell_type: tuple[str, ...]  # name of the type of every ganglion cell
    gain_control: float  # strength of the divisive inhibition
    scale: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Standard deviation of each bipolar type's linear response to the calibration movie."""

    @cached_property
    def lattice(self) -> NDArray[np.int_]:
        """Positions (position, 2) of bipolar and amacrine cells."""
        return lattice()

    def respond(
        self,
        movie: NDArray[np.float32],
        transmitted: Callable[[Activity], Activity] = dict,  # what of it reaches other cells
    ) -> Responses:
        """Answer a movie (time, y, x) of contrasts, grey (contrast 0) before its first frame."""
        voltage = {name: self._bipolar(name, movie) for name in self.bipolars}
        release = {n: np.maximum(v - self.bipolars[n].threshold, 0) for n, v in voltage.items()}
        release = transmitted(release)
        amacrine = {name: self._amacrine(name, release) for name in self.amacrines}
        heard = transmitted(amacrine)
        divisor = 1 + self.gain_control * heard[GAIN_POOL]
        release = {name: r / divisor for name, r in release.items()}
        return Responses(voltage, amacrine, *self._currents(release, heard))

    def _bipolar(self, name: str, movie: NDArray[np.float32]) -> NDArray[np.float32]:
        cell = self.bipolars[name]
        footprint = center_surround(REACH, cell.center, cell.surround, cell.opposition, blur=0.6)
        kernel = np.convolve(
            gamma(PHOTORECEPTOR, self.photoreceptor, order=2),
            biphasic(BIPOLAR, cell.fast, cell.slow, cell.transience),
        )
        matrix = place(cell.polarity / self.scale.get(name, 1.0) * footprint, self.lattice, SIZE)
        return filter_past(movie.reshape(len(movie), -1) @ matrix, kernel)

    def _amacrine(
        self, name: str, release: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        cell = self.amacrines[name]
        total = _weighted(release, cell.inputs) @ self._pool(self.lattice, cell.pooling)
        return filter_past(total, gamma(AMACRINE, cell.delay, order=1))

    def _currents(
        self,
        release: Mapping[str, NDArray[np.float32]],
        amacrine: Mapping[str, NDArray[np.float32]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        excited, inhibited = [], []
        for kind, at in zip(self.cell_type, self.positions, strict=True):
            cell = self.ganglions[kind]
            near, around = (self._pool(at[None], s)[:, 0] for s in (cell.pooling, cell.lateral))
            excited.append(_weighted(release, cell.excitation, near))
            inhibited.append(_weighted(amacrine, cell.inhibition, around))
        return np.stack(excited, axis=1), np.stack(inhibited, axis=1)

    def _pool(self, positions: NDArray[Any], sigma: float) -> NDArray[np.float32]:
        return pool(self.lattice.astype(np.float64), positions, sigma, POOLING)


def _weighted(
    values: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, float],
    pooling: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    total = np.sum([np.float32(w) * values[name] for name, w in weights.items()], axis=0)
    return np.asarray(total if pooling is None else total @ pooling)


def draw_circuit(rng: np.random.Generator, parameters: Parameters | None = None) -> Circuit:
    """Draw a retina, not calibrated yet: parameters around those of types, jittered positions."""
    parameters = parameters or Parameters()
    kinds = [name for name in GANGLIONS for _ in range(parameters.cells_per_type)]
    return Circuit(
        bipolars={n: _vary(c, rng, parameters.spread) for n, c in BIPOLARS.items()},
        amacrines={n: _vary(c, rng, parameters.spread) for n, c in AMACRINES.items()},
        ganglions={n: _vary(c, rng, parameters.spread) for n, c in GANGLIONS.items()},
        photoreceptor=0.9 * rng.uniform(1 - parameters.spread, 1 + parameters.spread),
        positions=np.concatenate([_mosaic(parameters, rng) for _ in GANGLIONS]),
        cell_type=tuple(kinds),
        gain_control=parameters.gain_control,
    )


def _vary(cell: CellType, rng: np.random.Generator, spread: float) -> CellType:
    names = [f.name for f in dataclasses.fields(cell) if isinstance(getattr(cell, f.name), float)]
    factors = rng.uniform(1 - spread, 1 + spread, len(names))
    values = {n: getattr(cell, n) * f for n, f in zip(names, factors, strict=True)}
    capped = {n: min(v, 1.0) if n in SHARES else v for n, v in values.items()}
    return dataclasses.replace(cell, **capped)


def _mosaic(parameters: Parameters, rng: np.random.Generator) -> NDArray[np.float64]:
    side = int(np.ceil(np.sqrt(parameters.cells_per_type)))
    line = (np.arange(side) - (side - 1) / 2) * parameters.separation
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    offset = rng.uniform(-1.5, 1.5, 2) + (SIZE - 1) / 2
    jitter = rng.normal(0, parameters.jitter, grid.shape)
    return np.asarray((grid + offset + jitter)[: parameters.cells_per_type])
