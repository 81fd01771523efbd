"""The simulated retina as a pure function of its seed: a circuit and its spiking output.

Calibration shows `CALIBRATION` frames of natural scenes: the bipolar cells' linear responses are
scaled to standard deviation 1, then the ganglion cells' thresholds are set in units of the standard
deviation of their drive, and their gains so that they fire at the mean rate of their type.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from neurocodec.simulation.circuit import SIZE, Circuit, Parameters, draw_circuit
from neurocodec.simulation.stimuli import natural_scene_movie

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_RATE: Final = 100.0
"""Frames, and bins of spikes, per second."""
CALIBRATION: Final = 2000
"""Frames of natural scenes that set the scales of a retina; they are in no data set."""
SOFTNESS: Final = 0.15
"""Width of the ganglion cells' threshold in standard deviations of their drive."""

STREAMS: Final = ("circuit", "calibration", "stimulus", "spikes")


def generator(seed: int, stream: str, *choices: int) -> np.random.Generator:
    """Independent random numbers for one of `STREAMS` of a world; choices tell streams apart."""
    return np.random.default_rng([seed, STREAMS.index(stream), *choices])


@dataclass(frozen=True)
class Retina:
    """A calibrated circuit and the spiking nonlinearity of its ganglion cells."""

    circuit: Circuit  # with its bipolar voltages in s.d. on natural scenes
    threshold: NDArray[np.float64]  # (cell,), in the units of the drive
    width: NDArray[np.float64]  # of the threshold
    gain: NDArray[np.float64]  # firing rate in Hz per unit of drive above threshold
    peak: float  # firing rate in Hz at which a cell saturates

    def firing_rate(self, drive: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn drive into rate (time, cell) in Hz: soft threshold, gain, saturation at `peak`."""
        rate = self.gain * soft_threshold(drive, self.threshold, self.width)
        return np.asarray(self.peak * np.tanh(rate / self.peak), dtype=np.float32)


def soft_threshold(
    drive: NDArray[np.float32], threshold: NDArray[np.float64], width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Smooth rectification `width * log(1 + exp((drive - threshold) / width))`."""
    return np.asarray(width * np.logaddexp(0, (drive - threshold) / width))


def draw_retina(seed: int = 0, parameters: Parameters | None = None) -> Retina:
    """Draw and calibrate the retina of a seed."""
    parameters = parameters or Parameters()
    circuit = draw_circuit(generator(seed, "circuit"), parameters)
    source = generator(seed, "calibration")
    movie = natural_scene_movie(CALIBRATION, SIZE, source, held_out=False)
    scale = {name: float(v.std()) for name, v in circuit.respond(movie).bipolar.items()}
    circuit = dataclasses.replace(circuit, scale=scale)
    return _set_output(circuit, circuit.respond(movie).drive, parameters.peak)


def _set_output(circuit: Circuit, drive: NDArray[np.float32], peak: float) -> Retina:
    kinds = [circuit.ganglions[name] for name in circuit.cell_type]
    deviation = drive.std(axis=0, dtype=np.float64)
    threshold = deviation * [kind.threshold for kind in kinds]
    width = SOFTNESS * deviation
    mean = soft_threshold(drive, threshold, width).mean(axis=0)
    return Retina(circuit, threshold, width, np.array([k.rate for k in kinds]) / mean, peak)
