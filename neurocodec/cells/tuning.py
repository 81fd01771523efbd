"""`nc.tuning`: what cells, channels and modes prefer of flashes, discs and moving bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.contributions import contributions
from neurocodec.engine.samples import Samples, bar, batches
from neurocodec.engine.session import opened
from neurocodec.errors import InputError
from neurocodec.kernels import tuning as kernel
from neurocodec.labels import labelled, require_dims, require_finite, stamp
from neurocodec.modes.decomposition import Decomposition
from neurocodec.network import Network
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.stimuli import probes
from neurocodec.stimuli.shapes import Center

UNIT: Final = "unit"
BATCH: Final = 64
PAUSE: Final = 0.1
"""Seconds of mean light between presentations, beyond the history of a model."""

Read = Callable[[xr.DataArray], Iterable[xr.DataArray]]
"""Movie -> responses (time, unit)."""


class _Shown(NamedTuple):
    """One presentation: its frames, those of mean light before, and its parameters."""

    during: slice
    before: slice
    phase: str
    told: Mapping[str, float]


def tuning(
    source: Network | xr.DataArray,
    *,
    layers: Iterable[str] = (),
    modes: Mapping[str, Decomposition] | None = None,
    target: Target | None = None,
    method: Method | None = None,
    mean: float = 0.0,
    deviation: float = 1.0,
    center: Center = None,
    permutations: int = 999,
    seed: int = 0,
    device: str | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Measure what units prefer: light or dark, brief or lasting, size, direction, speed.

    A response is what a unit does above its mean in the mean light just before, its peak during
    the presentation; below that mean it is 0. Of a network, flashes of the whole frame, discs of
    five sizes, and bright and dark bars in eight directions at three speeds are shown, with its
    frame size and rate. Of a channel, its unit in the middle of the map is measured; discs are
    shown at `center`, so that a unit that looks elsewhere has a preferred size only as far as
    they reach it.

    - `on_off_index` = (ON - OFF) / (ON + OFF), of flashes as much brighter as darker than mean
      light: 1 answers light alone, -1 dark alone;
    - `transience` = 1 - mean / peak over the flash that it answers more: 0 lasts, near 1 is brief;
    - `direction_selectivity`, `orientation_selectivity` = abs(sum r exp(i k angle)) / sum r with k
      = 1, 2 (Swindale 1998), of responses averaged over speeds and contrasts, and the p-value of
      angles permuted within each of these;
    - `preferred_direction` (degrees counterclockwise from rightwards), `preferred_orientation` of
      the motion, `preferred_speed`, `preferred_diameter`, and the curves that they are read from.

    Parameters
    ----------
    source
        A network; or responses (time, unit) to flashes or moving bars of `nc.stimuli`, recorded or
        modelled, whose `time` has the stimulus' coordinates `trial`, `phase`, and so on.
    layers
        Aliases of layers whose channels are measured too.
    modes
        Alias -> fitted modes: their loadings of the contributions to `target`, by `method`, are
        measured too.
    target, method
        As `modes` were fitted to; needed for `modes`.
    mean, deviation
        Mean light and light of a contrast of 1, in what the network takes.
    center
        (y, x) of the discs; None is the middle of the frame.
    permutations
        Of the angles.
    seed
        Of the permutations.
    device, progress
        As in `nc.respond`.

    Returns
    -------
    xarray.Dataset
        The indices over the dim of the responses; of a network over `unit`, with the coordinates
        `kind` ("cell", "channel", "mode"), `layer` and `name`. NaN where a unit does not answer.

    Raises
    ------
    InputError
        Where the responses do not say what was shown, or modes come without their target.

    Examples
    --------
    >>> import neurocodec as nc
    >>> shown = nc.stimuli.flashes((1, 1), 10.0, duration=0.2, pause=0.2)
    >>> light = shown[:, 0, 0].drop_vars(["y", "x"])
    >>> cells = xr.concat([light.clip(0), (-light).clip(0)], "cell").transpose("time", "cell")
    >>> nc.tuning(cells).on_off_index.values.tolist()
    [1.0, -1.0]
    """
    draws = arguments.whole("permutations", permutations, hint="permutations=999")
    start = arguments.whole("seed", seed, 0)
    facts: dict[str, Any] = {"permutations": draws, "seed": start}
    if isinstance(source, xr.DataArray):
        return stamp(_described(source, draws, start), "nc.tuning", **facts)
    if not isinstance(source, Network):
        raise InputError(
            came=f"a {type(source).__name__}",
            expected="a network, or responses (time, unit) to nc.stimuli.flashes or moving_bars",
            hint="nc.tuning(net)",
        )
    net = source.on(device)
    readers: list[Read] = [
        partial(_responses, net, layers=list(layers), progress=progress),
        *_of_modes(net, modes, target, method),
    ]
    found: list[xr.Dataset] = []
    for movie in _probes(net, center, (mean, deviation)):
        responses = [one for read in readers for one in read(movie)]
        found.append(_described(xr.concat(responses, UNIT), draws, start))
    facts |= {"mean": mean, "deviation": deviation, "center": center}
    return stamp(xr.merge(found, compat="equals"), "nc.tuning", **facts)


def _of_modes(
    net: Network,
    modes: Mapping[str, Decomposition] | None,
    target: Target | None,
    method: Method | None,
) -> list[Read]:
    """How loadings of modes are read, layer by layer."""
    if modes is None:
        return []
    if target is None:
        raise InputError(
            came="modes without the target that they are modes of",
            expected="target= (and method=) as contributions were computed with",
            hint="nc.tuning(net, modes=modes, target=nc.targets.Surprisal())",
        )
    if not isinstance(modes, Mapping):
        raise InputError(
            came=f"modes={type(modes).__name__}",
            expected="the modes of each layer by its alias",
            hint=f"modes={{{next(iter(net.layers), 'layer')!r}: modes}}",
        )
    net.select_layers(modes)
    return [
        partial(_loadings, net, layer=layer, target=target, method=method)
        for layer in modes.items()
    ]


def _probes(net: Network, center: Center, scale: tuple[float, float]) -> Iterable[xr.DataArray]:
    """Flashes, discs, bars at a model's grid and rate, with pauses that outlast its history."""
    size, rate = _grid(net)
    pause = PAUSE + (net.history or 1) / rate
    told: dict[str, Any] = {"mean": scale[0], "deviation": scale[1], "pause": pause}
    yield probes.flashes(size, rate, **told)
    sides = [min(size) * share for share in (0.125, 0.25, 0.5, 0.75, 1.0)]
    yield probes.flashes(size, rate, duration=0.5, diameters=sides, center=center, **told)
    speeds = [max(size) * share for share in (0.5, 1.0, 2.0)]
    yield probes.moving_bars(size, rate, speeds=speeds, contrasts=(1.0, -1.0), **told)


def _grid(net: Network) -> tuple[tuple[int, int], float]:
    shape, rate = net.input_shape, net.frame_rate
    if net.sample_dim == v.TIME and shape is not None and len(shape) == 3 and rate is not None:
        raise InputError(
            came=f"a network of movies in {shape[0]} colours",
            expected="responses to a probe in the colours that are to be shown",
            hint=f"bars = nc.stimuli.moving_bars({shape[1:]}, {rate:g},"
            f" pause={PAUSE + (net.history or 1) / rate:.3g});"
            f" nc.tuning(nc.respond(net, bars.expand_dims(color={shape[0]}, axis=1)))",
        )
    if net.sample_dim != v.TIME or shape is None or len(shape) != 2 or rate is None:
        raise InputError(
            came=f"a network of {net.sample_dim} with input_shape={shape}, frame_rate={rate}",
            expected="a network of movies whose frames have a size (y, x) and a rate",
            hint="nc.Network(module, history=40, input_shape=(50, 50), frame_rate=100.0)",
        )
    return (int(shape[0]), int(shape[1])), float(rate)


def _responses(
    net: Network, movie: xr.DataArray, *, layers: Sequence[str], progress: bool
) -> Iterable[xr.DataArray]:
    """What cells answer, and the unit in the middle of each channel (time, unit)."""
    samples, chosen = Samples.of(net, movie), net.select_layers(layers) if layers else {}
    rows: dict[str, list[NDArray[Any]]] = {"": [], **{alias: [] for alias in chosen}}
    with (
        opened(net, chosen, samples.few(net.device)) as session,
        torch.no_grad(),
        bar(len(samples), "responses", progress=progress) as shown,
    ):
        for start, stop in batches(len(samples), BATCH, progress=False, what=""):
            done = session.capture.run(samples.batch(start, stop, net.device).x)
            rows[""].append(done.outputs.cpu().numpy())
            for alias in chosen:
                hidden = session.capture.layers[alias].channels_first(done.hidden[alias])
                for axis in range(2, hidden.ndim):
                    hidden = hidden.narrow(axis, hidden.shape[axis] // 2, 1)
                rows[alias].append(hidden.flatten(1).cpu().numpy())
            shown.update(stop - start)
    for alias, parts in rows.items():
        values = np.concatenate(parts)
        names = net.output_names(values.shape[1]) if not alias else range(values.shape[1])
        kind = v.CHANNEL if alias else net.output_dim
        yield _units(values, samples.coords, kind, alias, [*map(str, names)])


def _loadings(
    net: Network,
    movie: xr.DataArray,
    *,
    layer: tuple[str, Decomposition],
    target: Target,
    method: Method | None,
) -> list[xr.DataArray]:
    alias, modes = layer
    tree = contributions(net, movie, target=target, method=method, layers=[alias], progress=False)
    found = modes.transform(tree, layer=alias).transpose(v.TIME, v.MODE)
    shown = Samples.of(net, movie).coords  # of the movie's frames, which rows do not keep
    return [_units(found.values, shown, v.MODE, alias, [*map(str, found[v.MODE].values)])]


def _units(
    values: NDArray[Any], coords: Mapping[str, Any], kind: str, layer: str, names: list[str]
) -> xr.DataArray:
    about = {v.KIND: kind, v.LAYER: layer}
    same = {name: (UNIT, [text] * len(names)) for name, text in about.items()}
    return labelled(
        values, (v.TIME, UNIT), {**coords, **same, "name": (UNIT, names)}, name="response"
    )


def _described(responses: xr.DataArray, permutations: int, seed: int) -> xr.Dataset:
    """All indices that what was shown allows."""
    unit = [str(d) for d in responses.dims if d != v.TIME]
    if len(unit) != 1:
        raise InputError(
            came=f"responses with dims {tuple(map(str, responses.dims))}",
            expected="time and one other: cells, channels or modes",
            hint="responses.stack(unit=[...])" if unit else "responses.expand_dims('cell', 1)",
        )
    responses = require_dims(responses, (v.TIME, unit[0]), "responses")
    require_finite(responses, "the responses")
    shown = _presentations(responses)
    values = responses.values
    courses = [kernel.above_baseline(values, one.during, one.before) for one in shown]
    peaks = np.array([course.max(axis=0) for course in courses])
    made: dict[str, xr.DataArray] = {}
    coords = {str(n): c.variable for n, c in responses.coords.items() if c.dims == (unit[0],)}
    told = _Told(shown, peaks, unit[0], coords)
    if shown[0].phase == probes.MOTION:
        made |= _of_bars(told, permutations, seed)
    elif probes.DIAMETER in shown[0].told:
        made |= _preferred(told, probes.DIAMETER)
    else:
        made |= _of_flashes(told, courses)
    return xr.Dataset(made)


class _Told(NamedTuple):
    """Peaks (presentation, unit) of what was shown, and the labels of the units."""

    shown: Sequence[_Shown]
    peaks: NDArray[np.float64]
    dim: str
    coords: Mapping[str, Any]

    def values(self, name: str) -> NDArray[np.float64]:
        """A parameter of each presentation."""
        return np.array([one.told[name] for one in self.shown])

    def label(self, name: str, values: NDArray[Any], *dims: str, **coords: Any) -> xr.DataArray:
        return labelled(values, (self.dim, *dims), {**self.coords, **coords}, name=name)


def _presentations(responses: xr.DataArray) -> list[_Shown]:
    """Each presentation whose mean light before it is there."""
    missing = {probes.TRIAL, probes.PHASE} - {*map(str, responses.coords)}
    if missing:
        raise InputError(
            came=f"responses without the coordinates {sorted(missing)} of what was shown",
            expected="responses to nc.stimuli.flashes, contrast_steps or moving_bars",
            hint="responses.assign_coords(trial=stimulus.trial, phase=stimulus.phase)",
        )
    trial, phase = responses[probes.TRIAL].values, responses[probes.PHASE].values.astype(str)
    names = [n for n in probes.PARAMETERS if n in responses.coords]
    found = []
    for number in np.unique(trial[trial >= 0]):
        own = np.flatnonzero((trial == number) & (phase != probes.GREY))
        if not own.size:
            continue
        first, kind = int(own[0]), str(phase[own[0]])
        # what still comes while the bar has just left belongs to it; dark after light does not
        last = int(own[-1] if kind == probes.FLASH else np.flatnonzero(trial == number)[-1])
        grey = np.flatnonzero(phase[:first] != probes.GREY)
        rest = first - (int(grey[-1]) + 1 if grey.size else 0)
        if rest < 1:
            raise InputError(
                came=f"no frame of mean light before presentation {number}",
                expected="responses to the pause before each presentation",
                hint="a pause longer than the model's history: nc.stimuli.flashes(pause=1.0)",
            )
        before = slice(first - max(1, rest // 2), first)
        told = {name: float(responses[name].values[first]) for name in names}
        found.append(_Shown(slice(first, last + 1), before, kind, told))
    if not found:
        raise InputError(
            came="responses to mean light alone",
            expected="at least one presentation of nc.stimuli.flashes or moving_bars",
            hint="nc.tuning(nc.respond(net, nc.stimuli.flashes(net.input_shape, net.frame_rate)))",
        )
    if len({one.phase for one in found}) != 1:
        raise InputError(
            came=f"presentations of the kinds {sorted({one.phase for one in found})}",
            expected="flashes, or moving bars: one kind in one array",
            hint=f"responses.isel(time=responses.phase.isin(['grey', {found[0].phase!r}]))",
        )
    return found


def _of_flashes(told: _Told, courses: Sequence[NDArray[np.float64]]) -> dict[str, xr.DataArray]:
    contrasts = told.values(probes.CONTRAST)
    both = sorted({*contrasts[contrasts > 0]} & {*-contrasts[contrasts < 0]})
    if not both:
        raise InputError(
            came=f"flashes of the contrasts {sorted({*contrasts.tolist()})}",
            expected="as much brighter as darker than mean light",
            hint="nc.stimuli.flashes(size, frame_rate, contrasts=(1.0, -1.0))",
        )
    strongest = both[-1]
    on, off = (
        np.mean([c for c, x in zip(courses, contrasts, strict=True) if x == sign * strongest], 0)
        for sign in (1, -1)
    )
    peaks = on.max(axis=0), off.max(axis=0)
    brief = np.where(peaks[0] >= peaks[1], kernel.transience(on), kernel.transience(off))
    values = {
        "on_response": peaks[0],
        "off_response": peaks[1],
        "on_off_index": kernel.on_off_index(*peaks),
        "transience": brief,
    }
    return {name: told.label(name, x) for name, x in values.items()}


def _of_bars(told: _Told, permutations: int, seed: int) -> dict[str, xr.DataArray]:
    angles = np.unique(told.values(probes.DIRECTION))
    steps = np.diff([*angles, angles[0] + 360])
    if len(angles) < 3 or not np.allclose(steps, steps[0]):
        raise InputError(
            came=f"the directions {angles.tolist()}",
            expected="at least three, equally spaced over a whole turn",
            hint="nc.stimuli.moving_bars(size, frame_rate, directions=8)",
        )
    blocks = _blocks(told, angles)  # (block, unit, direction)
    curve = blocks.mean(axis=0)
    made = {
        "direction_response": told.label(
            "direction_response", curve, probes.DIRECTION, direction=angles
        )
    }
    for word, harmonic in (("direction", kernel.DIRECTION), ("orientation", kernel.ORIENTATION)):
        index, angle = kernel.selectivity(curve, angles, harmonic)
        chance = kernel.selectivity_p_value(blocks, angles, harmonic, permutations, seed)
        values = {
            f"{word}_selectivity": index,
            f"preferred_{word}": angle,
            f"{word}_p_value": chance,
        }
        made |= {name: told.label(name, x) for name, x in values.items()}
    if len({*told.values(probes.SPEED)}) > 1:
        made |= _preferred(told, probes.SPEED)
    return made


def _blocks(told: _Told, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks (block, unit, direction): a block is what else was shown in every direction once."""
    direction = told.values(probes.DIRECTION)
    others = [told.values(n) for n in (probes.SPEED, probes.CONTRAST) if n in told.shown[0].told]
    # in whatever order they were shown: a block has one speed and one contrast
    order = np.lexsort(others) if others else np.arange(len(direction))
    by_angle = [told.peaks[order][direction[order] == angle] for angle in angles]
    if len({len(peaks) for peaks in by_angle}) != 1:
        raise InputError(
            came=f"{[len(peaks) for peaks in by_angle]} presentations of the directions",
            expected="as many of each",
        )
    return np.stack(by_angle, axis=-1)


def _preferred(told: _Told, name: str) -> dict[str, xr.DataArray]:
    """Curve over a parameter, averaged over all else, and where it is highest."""
    values = told.values(name)
    levels = np.unique(values)
    curve = np.stack([told.peaks[values == level].mean(axis=0) for level in levels], axis=-1)
    best = np.where(curve.max(axis=-1) > 0, levels[curve.argmax(axis=-1)], np.nan)
    return {
        f"{name}_response": told.label(f"{name}_response", curve, name, **{name: levels}),
        f"preferred_{name}": told.label(f"preferred_{name}", best),
    }
