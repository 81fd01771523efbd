"""Stimulus, responses and times of one part of a recording, checked for a fit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurocodec import clock, labels
from neurocodec import vocabulary as v
from neurocodec.cells.recording import bin_width_of, stimulus_of
from neurocodec.errors import InputError
from neurocodec.fitting.segments import Stretch

SPIKE_COUNT: Final = "spike_count"
FIRING_RATE: Final = "firing_rate"
RATE_TOLERANCE: Final = 1e-3
"""Largest relative difference of frame rates that count as one."""


def has_responses(part: xr.Dataset) -> bool:
    """Whether a part holds spike counts or firing rates."""
    return FIRING_RATE in part or SPIKE_COUNT in part


def is_counted(part: xr.Dataset) -> bool:
    """Whether the responses of a part are its spike counts, which are smoothed."""
    repeated = SPIKE_COUNT in part and v.REPEAT in part[SPIKE_COUNT].dims
    return repeated or (SPIKE_COUNT in part and FIRING_RATE not in part)


def frames_of(part: xr.Dataset) -> NDArray[Any]:
    """Frames (time, y, x) of a part's stimulus: bytes where they are bytes, else float32."""
    stimulus = labels.require_dims(stimulus_of(part), (v.TIME, v.Y, v.X), "the stimulus")
    labels.require_finite(stimulus, "the stimulus")
    values = stimulus.values
    frames = np.ascontiguousarray(values, None if values.dtype == np.uint8 else np.float32)
    if not frames.size or frames.min() == frames.max():
        raise InputError(came="a constant stimulus", expected="one that varies in time or space")
    return frames


def frame_rate_of(part: xr.Dataset) -> float:
    """Frames per second, from the times of a part in seconds."""
    if v.TIME not in part.coords or part.sizes[v.TIME] < 2:
        raise InputError(
            came="a recording without times",
            expected="a coordinate 'time' in seconds",
            hint="recording.assign_coords(time=np.arange(n) / frame_rate)",
        )
    times = clock.rising(clock.seconds(part[v.TIME].variable).values, "recording")
    return round(1 / clock.step_of(times), 6)


def responses_of(part: xr.Dataset, smoothing: float, stretches: list[Stretch]) -> xr.DataArray:
    """Responses (repeat, time, cell) in Hz, of cells with names that are text."""
    # Repeated counts come before rates; counts are smoothed within each stretch (s.d. in seconds),
    # rates are taken as they are.
    rate = frame_rate_of(part)
    if is_counted(part):
        counts = checked(part[SPIKE_COUNT], "the spike counts")
        width = bin_width_of(part) if "bin_width" in part.coords else 1 / rate
        values = counts.values.astype(np.float64) / width
        return counts.copy(data=smoothed(values, smoothing * rate, stretches))
    if FIRING_RATE not in part:
        raise InputError(
            came=f"a recording with the variables {[*map(str, part.data_vars)]}",
            expected="'firing_rate' (time, cell) or 'spike_count' (repeat, time, cell)",
            hint="recording.rename(old_name='firing_rate')",
        )
    return checked(part[FIRING_RATE], "the firing rates")


def smoothed(
    values: NDArray[np.float64], sigma: float, stretches: list[Stretch]
) -> NDArray[np.float64]:
    """Smooth responses (repeat, time, cell) within each stretch; `sigma` in frames."""
    if not sigma:
        return values
    found = values.copy()
    for a, b, _ in stretches:
        found[:, a:b] = gaussian_filter1d(values[:, a:b], sigma, axis=1)
    return found


def checked(responses: xr.DataArray, what: str) -> xr.DataArray:
    """Finite responses (repeat, time, cell), at least 0, with the names of the cells as text."""
    if v.REPEAT not in responses.dims:
        responses = responses.expand_dims(v.REPEAT)
    responses = labels.require_dims(responses, (v.REPEAT, v.TIME, v.CELL), what)
    labels.require_finite(responses, what)
    if float(responses.min()) < 0:
        raise InputError(came=f"{what}, negative ones among them", expected="numbers of at least 0")
    if v.CELL not in responses.coords:
        raise InputError(
            came="responses of cells without names",
            expected="a coordinate 'cell'",
            hint="recording.assign_coords(cell=['cell00', 'cell01'])",
        )
    names = np.array([str(name) for name in responses[v.CELL].values])
    return responses.assign_coords({v.CELL: names})


def require_alike(training: xr.Dataset, test: xr.Dataset) -> None:
    """Refuse a test part with another frame rate, or frames of another size."""
    rates = [frame_rate_of(part) for part in (training, test)]
    if abs(rates[1] / rates[0] - 1) > RATE_TOLERANCE:
        raise InputError(
            came=f"a test part at {rates[1]:g} frames per second",
            expected=f"{rates[0]:g}, as in the training part",
            hint="bring both parts to one frame rate before the fit",
        )
    sizes = [tuple(stimulus_of(part).sizes.get(d) for d in (v.Y, v.X)) for part in (training, test)]
    if sizes[0] != sizes[1]:
        raise InputError(
            came=f"a test part with frames of {sizes[1]} pixels",
            expected=f"{sizes[0]}, as in the training part",
        )
