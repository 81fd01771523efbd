"""The simulated retina's recordings, labelled: stimulus, rates, spikes and interneurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.arguments import number, one_of, whole
from neurocodec.errors import InputError
from neurocodec.labels import labelled, stamp, time_coordinate
from neurocodec.simulation.circuit import SIZE, Circuit, Parameters, Responses
from neurocodec.simulation.retina import FRAME_RATE, draw_retina, generator
from neurocodec.simulation.silencing import (
    Silence,
    cell_names,
    interneuron_names,
    recorded_places,
    wanted_silence,
)
from neurocodec.simulation.stimuli import (
    NaturalScenes,
    WhiteNoise,
    natural_scene_movie,
    white_noise_movie,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Stimulus = Literal["natural scenes", "white noise"]
Split = Literal["train", "test"]

DEVIATION: Final = 5.0
"""Membrane potential in mV of one standard deviation of a bipolar type on natural scenes."""


@dataclass(frozen=True)
class Interneurons:
    """Recorded interneurons: names, types, positions (cell, 2) and voltages (time, cell)."""

    names: list[str]
    types: list[str]
    positions: NDArray[np.int_]
    voltage: NDArray[np.float32]


def simulate_retina(
    seed: int = 0,
    *,
    stimulus: Stimulus = "natural scenes",
    split: Split = "test",
    duration: float = 30.0,
    repeats: int = 20,
    silence: str | Sequence[str] = (),
    parameters: Parameters | None = None,
    scenes: NaturalScenes | None = None,
    noise: WhiteNoise | None = None,
) -> xr.Dataset:
    """Simulate a recording from a retina with known answers: a pure function of its arguments.

    Parameters
    ----------
    seed
        Different seeds are different retinas, which see different movies.
    stimulus
        "natural scenes" (crops of real photographs under fixational eye movements) or
        "white noise" (binary checkers).
    split
        "train" and "test" movies differ; natural scenes are cut from different parts of the
        photographs.
    duration
        Length of the movie in seconds.
    repeats
        How many times the movie is shown; the spikes differ between repeats.
    silence
        Cell types, or names of single cells of the recording, that transmit nothing, as if the
        synapses that they make were blocked: the same retina answers the same movie without them.
        Voltages of silent interneurons are still recorded; silent ganglion cells fire no spikes.
    parameters, scenes, noise
        Parameters of the circuit and of the two stimuli.

    Returns
    -------
    xarray.Dataset
        All of it simulated:

        - `stimulus` (time, y, x): contrast, at 100 frames per second;
        - `firing_rate` (time, cell): the true rate in Hz;
        - `spike_count` (repeat, time, cell): Poisson spikes per bin of `bin_width`;
        - `membrane_potential` (time, interneuron): bipolar and amacrine cells, in mV.

        `cell` carries `cell_type`, `y_center` and `x_center` (pixels); `interneuron` carries
        `interneuron_cell_type`, `interneuron_y_center` and `interneuron_x_center`. Before the
        first frame the screen was grey; a response depends on the last 40 frames.

    Raises
    ------
    InputError
        Where the stimulus, split or a silent cell does not exist, or nothing would be recorded.

    Examples
    --------
    >>> recording = simulate_retina(seed=1, duration=0.5, repeats=2)
    >>> dict(recording.spike_count.sizes)
    {'repeat': 2, 'time': 50, 'cell': 16}
    >>> without = simulate_retina(1, duration=0.5, repeats=2, silence="wide-field amacrine")
    >>> more = (without.firing_rate > recording.firing_rate).any("time")
    >>> sorted(set(without.cell_type.values[more].tolist()))
    ['OFF transient', 'ON-OFF']
    """
    choices = _choice("stimulus", stimulus, Stimulus), _choice("split", split, Split)
    seed, repeats = whole("seed", seed, 0), whole("repeats", repeats, hint="repeats=20")
    silent = wanted_silence(silence, (parameters or Parameters()).cells_per_type)
    movie = _movie(seed, choices, _frames(duration), scenes, noise)
    retina = draw_retina(seed, parameters)
    quiet = Silence.of(retina.circuit, silent)
    responses = retina.circuit.respond(movie, quiet.transmitted)
    rate = np.where(quiet.cells, np.float32(0), retina.firing_rate(responses.drive))
    with np.errstate(under="ignore"):  # of cells that are silent, whatever a user has set
        expected = rate / FRAME_RATE
    counts = generator(seed, "spikes", *choices).poisson(expected, (repeats, *rate.shape))
    arrays = [
        _stimulus(movie, stimulus),
        *_cells(retina.circuit, rate, counts.astype(np.int16)),
        _membrane_potential(recorded_interneurons(retina.circuit, responses)),
    ]
    data = xr.merge(arrays, join="exact", compat="equals", combine_attrs="override")
    title = f"simulated retina, seed {seed}: {stimulus} ({split})"
    title += f", without {', '.join(silent)}" if silent else ""
    data.attrs = {"title": title, "simulated": 1}
    facts: dict[str, Any] = {
        "seed": seed,
        "stimulus": stimulus,
        "split": split,
        "duration": duration,
    }
    facts |= {"silence": silent} if silent else {}
    facts |= {"repeats": repeats, "parameters": parameters or Parameters()}
    facts |= {"scenes": scenes or NaturalScenes(), "noise": noise or WhiteNoise()}
    return stamp(data, "neurocodec.simulation.simulate_retina", **facts)


def _movie(
    seed: int,
    choices: tuple[int, int],
    frames: int,
    scenes: NaturalScenes | None,
    noise: WhiteNoise | None,
) -> NDArray[np.float32]:
    source = generator(seed, "stimulus", *choices)
    stimulus, split = choices
    if get_args(Stimulus)[stimulus] == "white noise":
        return white_noise_movie(frames, SIZE, source, noise)
    held_out = get_args(Split)[split] == "test"
    return natural_scene_movie(frames, SIZE, source, held_out=held_out, scenes=scenes)


def _frames(duration: float) -> int:
    expected, hint = f"at least one frame (1 / {FRAME_RATE:g} s)", "duration=30.0"
    frames = round(number("duration", duration, expected, hint=hint) * FRAME_RATE)
    if frames < 1:
        raise InputError(came=f"duration={duration!r}", expected=expected, hint=hint)
    return frames


def _choice(kind: str, name: str, choices: object) -> int:
    known = get_args(choices)
    return known.index(one_of(kind, name, known))


def _stimulus(movie: NDArray[np.float32], stimulus: str) -> xr.DataArray:
    pixels: dict[str, Any] = {
        d: np.arange(n) for d, n in zip((v.Y, v.X), movie.shape[1:], strict=True)
    }
    coords = {**pixels, v.TIME: time_coordinate(len(movie), FRAME_RATE)}
    about = f"simulated experiment: {stimulus}; contrast, 0 is the mean intensity, -1 is dark"
    return labelled(
        movie,
        (v.TIME, v.Y, v.X),
        coords,
        name="stimulus",
        units=v.DIMENSIONLESS,
        frame_rate=FRAME_RATE,
        comment=about,
    )


def _cells(
    circuit: Circuit, rate: NDArray[np.float32], spikes: NDArray[np.int16]
) -> Iterator[xr.DataArray]:
    names = cell_names(rate.shape[1])
    coords: dict[str, Any] = {
        v.TIME: time_coordinate(len(rate), FRAME_RATE),
        **_sites(v.CELL, names, list(circuit.cell_type), circuit.positions),
    }
    yield labelled(rate, (v.TIME, v.CELL), coords, name="firing_rate", comment="simulated")
    coords |= {
        v.REPEAT: np.arange(len(spikes)),
        "bin_width": xr.Variable((), 1 / FRAME_RATE, {"units": v.SECONDS}),
    }
    yield labelled(
        spikes, (v.REPEAT, v.TIME, v.CELL), coords, name="spike_count", comment="simulated"
    )


def _membrane_potential(recorded: Interneurons) -> xr.DataArray:
    coords = {
        v.TIME: time_coordinate(len(recorded.voltage), FRAME_RATE),
        **_sites(v.INTERNEURON, recorded.names, recorded.types, recorded.positions),
    }
    return labelled(
        DEVIATION * recorded.voltage,
        (v.TIME, v.INTERNEURON),
        coords,
        name="membrane_potential",
        units=v.MILLIVOLTS,
        comment="simulated, without noise",
    )


def _sites(
    dim: str, names: list[str], types: list[str], positions: NDArray[np.float64] | NDArray[np.int_]
) -> dict[str, xr.Variable]:
    y, x = np.asarray(positions, dtype=np.float64).T
    # One Dataset holds both kinds of cells, so the names of their coordinates differ.
    prefix = "" if dim == v.CELL else f"{dim}_"
    return {
        dim: xr.Variable(dim, np.array(names)),
        f"{prefix}cell_type": xr.Variable(dim, np.array(types)),
        f"{prefix}y_center": xr.Variable(dim, y, {"units": "pixel"}),
        f"{prefix}x_center": xr.Variable(dim, x, {"units": "pixel"}),
    }


def recorded_interneurons(circuit: Circuit, responses: Responses) -> Interneurons:
    """Bipolar and amacrine cells next to the first ganglion cell of each type."""
    at = recorded_places(circuit)
    cells = {**responses.bipolar, **responses.amacrine}
    voltage = np.concatenate([voltage[:, at] for voltage in cells.values()], axis=1)
    types = [name for name in cells for _ in at]
    places = np.tile(circuit.lattice[at], (len(cells), 1))
    return Interneurons(interneuron_names(), types, places, voltage)
