"""Movies and recordings for the command line, by name or file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import xarray as xr

from neurocodec import clock, stimuli, storage, zoo
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.read_recording import read_recording
from neurocodec.arguments import one_of
from neurocodec.cells.recording import in_seconds
from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network
from neurocodec.nn.standardisation import Standardisation

MOVIES: Final = (".nc", ".zarr")
USUAL: Final = "test"
"""Part of a recording that is analysed where none is named."""


def load_movie(name: str, duration: float | None = None) -> Any:
    """Load a bundled movie, or a `.nc` or `.zarr` file of `nc.save`; `duration` in seconds."""
    # A movie (time, y, x), or a Dataset with one as `stimulus`.
    _require_duration(duration)
    known = zoo.datasets_available()
    if name in known:
        return zoo.load_dataset(name, duration=duration)
    if Path(name).suffix not in MOVIES:
        error = unknown_name("movie", name, known)
        raise InputError(
            came=error.came,
            expected=f"{error.expected}, or a {' or '.join(MOVIES)} file written by nc.save",
            hint=f"--recording {name}" if Path(name).exists() else f"--movie {known[0]}",
        )
    movie = storage.open(name)
    if isinstance(movie, xr.DataTree) and v.STIMULUS not in movie.data_vars:
        raise InputError(
            came=f"{name!r} with the parts {list(movie.children)}",
            expected="a movie, or a Dataset with one as 'stimulus'",
            hint=f"--recording {name}",
        )
    return _cut(movie, name, duration)


def _require_duration(duration: float | None) -> None:
    if duration is not None and not duration > 0:
        raise InputError(came=f"--duration {duration:g}", expected="a number of seconds above 0")


def _cut(movie: Any, name: str, duration: float | None) -> Any:
    if duration is None:
        return movie
    if v.TIME not in getattr(movie, "coords", ()):
        raise InputError(came=f"--duration for {name!r}", expected="a movie with times")
    movie = in_seconds(movie)
    times = clock.rising(movie[v.TIME].values)
    step = clock.step_of(times) if len(times) > 1 else 0.0
    if duration > times[-1] - times[0] + 1.5 * step:
        raise InputError(
            came=f"--duration {duration:g} of {name!r}",
            expected=f"at most {times[-1] - times[0] + step:g} seconds, the length of the movie",
        )
    return movie.sel({v.TIME: times < times[0] + duration - step / 2})


def load_part(file: str, name: str | None = None, duration: float | None = None) -> xr.Dataset:
    """Read a part of a recording by name; "test", or the first with a stimulus, where None."""
    _require_duration(duration)
    parts = read_recording(file).children
    shown = [k for k, part in parts.items() if v.STIMULUS in part.data_vars]
    found = _chosen(parts, shown, name, f"stimulus in {file!r}", first=USUAL)
    cut: xr.Dataset = _cut(found, file, duration)
    return cut


def load_interneurons(
    file: str, net: Network, name: str | None = None, diameter: float | None = None
) -> xr.Dataset:
    """Read recorded interneurons, with their stimulus on a model's grid and at its frame rate."""
    # Where no part is named, the first with interneurons; a full field before a disc, whose
    # `diameter` (pixels of the model's grid) has to be given. Contrasts become light where the
    # model standardises its input, see `nc.stimuli.present`.
    parts = read_recording(file).children
    having = [k for k, part in parts.items() if {*v.VOLTAGES} & {*map(str, part.data_vars)}]
    if diameter is None:
        having.sort(key=lambda k: parts[k].attrs.get("geometry") == stimuli.presentation.DISC)
    part = _chosen(parts, having, name, f"interneurons in {file!r}")
    if net.input_shape is None:
        raise InputError(
            came=f"the model {net.name!r}, which does not say how large its frames are",
            expected="a network with input_shape",
            hint="nc.Network(..., input_shape=(50, 50))",
        )
    height, width = net.input_shape
    mean, deviation = _light(net)
    return stimuli.present(
        part,
        (height, width),
        net.frame_rate,
        diameter=diameter,
        mean=mean,
        deviation=deviation,
    )


def _light(net: Network) -> tuple[float, float]:
    """Mean and standard deviation of the light that a model takes; (0, 1) of contrasts."""
    for part in net.module.modules():
        if isinstance(part, Standardisation):
            return float(part.mean), float(part.deviation)
    return 0.0, 1.0


def _chosen(
    parts: Any, fitting: list[str], name: str | None, what: str, first: str = ""
) -> xr.Dataset:
    if name is not None:
        one_of("part", name, parts)
    if not fitting:
        raise InputError(
            came=f"no {what}, whose parts are {list(parts)}", expected="a part with it"
        )
    if name is not None and name not in fitting:
        raise InputError(
            came=f"the part {name!r} without {what}",
            expected=f"one of the parts {', '.join(map(repr, fitting))}",
        )
    chosen = name or (first if first in fitting else fitting[0])
    found: xr.Dataset = parts[chosen].to_dataset()
    return found.assign_attrs(part=chosen)
