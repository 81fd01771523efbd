"""Recorded interneurons, checked against the network that is to be compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock, labels
from neurocodec import vocabulary as v
from neurocodec.cells.recording import is_uniform, stimulus_of
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.ceiling import repeat_ceiling
from neurocodec.kernels.lagged import GAP, HALVES
from neurocodec.network import Network


@dataclass(frozen=True)
class RecordedInterneurons:
    """A stimulus and the interneurons that were recorded under it."""

    stimulus: xr.DataArray  # (time, y, x)
    samples: Samples  # the stimulus as the network takes it
    traces: xr.DataArray  # (time, interneuron) while the network responds, mean over repeats
    repeats: NDArray[np.float64] | None  # (repeat, time, interneuron); None where fewer than two
    rate: float  # frames per second

    @classmethod
    def of(
        cls, net: Network, recording: xr.Dataset | xr.DataTree, variable: str | None = None
    ) -> Self:
        """Check a recording and take its parts; the first of `v.VOLTAGES` where none is named."""
        _require_movie(net)
        dataset = clock.in_seconds(_dataset(recording))
        voltage = _voltage(dataset, variable)
        stimulus = stimulus_of(dataset)
        labels.require_same(stimulus, voltage, v.TIME, "the stimulus and the recorded interneurons")
        samples = Samples.of(net, stimulus)
        voltage = voltage.isel({v.TIME: samples.ends})
        _require_finite(voltage)
        several = v.REPEAT in voltage.dims and voltage.sizes[v.REPEAT] > 1
        repeats = np.asarray(voltage.values, dtype=np.float64) if several else None
        traces = voltage.mean(v.REPEAT) if v.REPEAT in voltage.dims else voltage
        return cls(stimulus, samples, traces.astype(np.float64), repeats, _rate(net, stimulus))

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Names of the interneurons, and what else is known of them."""
        named = {
            str(k): c.variable for k, c in self.traces.coords.items() if c.dims == (v.INTERNEURON,)
        }
        count = self.traces.sizes[v.INTERNEURON]
        numbers = np.array([str(i) for i in range(count)])
        return {v.INTERNEURON: xr.Variable(v.INTERNEURON, numbers), **named}

    @property
    def is_uniform(self) -> bool:
        """Whether no place of the stimulus differs from another."""
        return is_uniform(self.stimulus)

    def require_variance(self, halves: NDArray[np.int8]) -> None:
        """Refuse a trace that is constant in one of the halves."""
        for half in HALVES:
            flat = np.ptp(self.traces.values[halves == half], axis=0) == 0
            if flat.any():
                names = self.coords[v.INTERNEURON].values[flat].tolist()
                raise InputError(
                    came=f"interneurons {names[:5]} ({len(names)} in all), constant over"
                    " one of the halves that the time is cut into",
                    expected="traces that vary, so that they can be correlated with anything",
                    hint=f"recording.drop_sel(interneuron={names[:5]!r}), or a longer recording",
                )

    def ceiling(self, halves: NDArray[np.int8]) -> NDArray[np.float64] | None:
        """Highest correlation that the repeats allow, see `neurocodec.kernels.ceiling`."""
        return None if self.repeats is None else repeat_ceiling(self.repeats[:, halves != GAP])


def _require_movie(net: Network) -> None:
    if net.history is None:
        raise InputError(
            came=f"{net.name!r}, a network that sees still images",
            expected="one that sees a movie, as interneurons are recorded over time",
            hint="nc.Network(module, layers, history=40)",
        )


def _dataset(recording: xr.Dataset | xr.DataTree) -> xr.Dataset:
    if isinstance(recording, xr.DataTree):
        if not recording.data_vars and recording.children:
            raise InputError(
                came=f"a tree with the parts {[*recording.children]}",
                expected="one part, with the stimulus and the interneurons recorded under it",
                hint=f"recording[{next(iter(recording.children))!r}]",
            )
        return recording.to_dataset()
    if not isinstance(recording, xr.Dataset):
        raise InputError(
            came=f"a recording of type {type(recording).__name__}",
            expected="an xarray.Dataset, or a node of what nc.read_recording returns",
            hint="xr.Dataset({'stimulus': stimulus, 'membrane_potential': voltage})",
        )
    return recording


def _voltage(dataset: xr.Dataset, variable: str | None) -> xr.DataArray:
    if variable is not None and variable not in dataset:
        raise unknown_name("variable in the recording", variable, dataset.data_vars)
    name = variable or next((n for n in v.VOLTAGES if n in dataset), None)
    if name is None:
        raise InputError(
            came=f"a recording with the variables {[*map(str, dataset.data_vars)]}",
            expected=f"one of {v.VOLTAGES} with dims ('time', 'interneuron'), and 'stimulus'",
            hint="recording.rename(old_name='membrane_potential')",
        )
    found = dataset[name]
    repeat = (v.REPEAT,) if v.REPEAT in found.dims else ()
    return labels.require_dims(found, (*repeat, v.TIME, v.INTERNEURON), f"the recorded {name!r}")


def _require_finite(voltage: xr.DataArray) -> None:
    bad = ~np.isfinite(np.asarray(voltage.values, dtype=np.float64))
    if not bad.any():
        return
    place: Mapping[str, Any] = {
        str(d): i[0] for d, i in zip(voltage.dims, np.nonzero(bad), strict=True)
    }
    first = {
        d: voltage[d].values[i].item() if d in voltage.coords else int(i) for d, i in place.items()
    }
    raise InputError(
        came=f"recorded interneurons with {int(bad.sum())} NaN or infinite values,"
        f" the first at {first}",
        expected="finite numbers at all times at which the model responds",
        hint="recording.interpolate_na('time') for short gaps, or"
        f" recording.drop_sel(interneuron=[{first[v.INTERNEURON]!r}])",
    )


def _rate(net: Network, stimulus: xr.DataArray) -> float:
    if v.TIME in stimulus.coords and stimulus.sizes[v.TIME] > 1:
        return round(1 / clock.step_of(stimulus[v.TIME].values), 6)
    if net.frame_rate is not None:
        return net.frame_rate
    raise InputError(
        came="a stimulus without times, for a network without a frame rate",
        expected="times in seconds, in which lags and blocks are given",
        hint="recording.assign_coords(time=np.arange(frames) / 100)",
    )
