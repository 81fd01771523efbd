"""Stimuli that probe a model: flashes, contrast steps, a chirp, moving bars, white noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import stamp, time_coordinate
from neurocodec.stimuli.intensity import Size, movie, require_size
from neurocodec.stimuli.shapes import Center, bar, disc

TRIAL, PHASE = "trial", "phase"
"""Coordinates of frames: which presentation they are of (-1 before the first), and what is on."""
GREY: Final = "grey"
"""Phase in which all is at mean light: before a presentation, and after it."""
FLASH, MOTION = "flash", "motion"
DIRECTION, SPEED, DIAMETER, CONTRAST = "direction", "speed", "diameter", "contrast"
PARAMETERS: Final = {
    DIRECTION: "degree",
    SPEED: "pixel s-1",
    DIAMETER: v.PIXEL,
    CONTRAST: v.DIMENSIONLESS,
}
"""Coordinates of frames and their units: parameters of the presentation, NaN before the first."""

Frames = NDArray[np.float64]
_Piece = tuple[Frames, str, dict[str, float]]
"""Contrast (time, y, x), phase, parameters."""


class _Screen(NamedTuple):
    """Pixels, frames per second, frames of a pause, mean light and light of a contrast of 1."""

    size: Size
    rate: float
    rest: int
    mean: float
    deviation: float


def flashes(
    size: Size,
    frame_rate: float,
    *,
    duration: float = 1.0,
    pause: float = 1.0,
    contrasts: float | Sequence[float] = (1.0, -1.0),
    diameters: float | Sequence[float] | None = None,
    center: Center = None,
    repeats: int = 1,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.DataArray:
    """Flash the frame, or discs, brighter and darker than mean light.

    Each flash follows a pause at mean light, so that the answer to light and the answer to dark
    begin at the same place. The light is ``mean + deviation * contrast``.

    Parameters
    ----------
    size
        Pixels (y, x) of a frame: `net.input_shape`.
    frame_rate
        Frames per second: `net.frame_rate`.
    duration, pause
        Seconds of a flash, and of mean light before the first and after each.
    contrasts
        Of the flashes, above 0 brighter and below 0 darker than mean light.
    diameters
        Of discs in pixels, each flashed with every contrast; None flashes the whole frame.
    center
        (y, x) of the discs; None is the middle of the frame.
    repeats
        How often the whole series is shown.
    mean, deviation
        Mean light and light of a contrast of 1, in the units that the network takes.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x). Each frame has the coordinates `trial` (-1 before the first),
        `phase` ("flash" or "grey"), `contrast` and, of discs, `diameter` of its presentation;
        the pause after a flash is part of its presentation. `nc.tuning` reads them.

    Raises
    ------
    InputError
        Where a duration is below a frame, or numbers are not finite.

    Examples
    --------
    >>> shown = flashes((2, 2), 10.0, duration=0.1, pause=0.1)
    >>> shown[:, 0, 0].values.tolist(), shown.trial.values.tolist()
    ([0.0, 1.0, 0.0, -1.0, 0.0], [-1, 0, 0, 1, 1])
    """
    size, rate = require_size(size), arguments.frame_rate(frame_rate)
    long = _frames("duration", duration, rate)
    screen = _Screen(size, rate, _frames("pause", pause, rate), mean, deviation)
    sides = [None] if diameters is None else _numbers("diameters", diameters, least=0)
    pieces: list[_Piece] = []
    for _ in range(arguments.whole("repeats", repeats)):
        for side in sides:
            mask = np.ones(size) if side is None else _disc(size, side, center)
            for contrast in _numbers("contrasts", contrasts):
                told = {CONTRAST: contrast} | ({} if side is None else {DIAMETER: side})
                pieces.append((np.repeat(contrast * mask[None], long, axis=0), FLASH, told))
    facts = {"duration": duration, "pause": pause, "center": center}
    return _shown(pieces, screen, "nc.stimuli.flashes", facts)


def contrast_steps(
    size: Size,
    frame_rate: float,
    *,
    contrasts: Sequence[float] = (0.1, 0.2, 0.4, 0.8),
    duration: float = 1.0,
    pause: float = 1.0,
    repeats: int = 1,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.DataArray:
    """Step the whole frame to one contrast after the other, brighter and darker.

    Parameters
    ----------
    size, frame_rate, duration, pause, repeats, mean, deviation
        As in `flashes`.
    contrasts
        Sizes of the steps; each is shown upwards, then downwards.

    Returns
    -------
    xarray.DataArray
        As of `flashes`.

    Examples
    --------
    >>> shown = contrast_steps((1, 1), 10.0, contrasts=[0.5], duration=0.1, pause=0.1)
    >>> shown.values.ravel().tolist()
    [0.0, 0.5, 0.0, -0.5, 0.0]
    """
    steps = _numbers("contrasts", contrasts, least=0)
    both = [sign * step for step in steps for sign in (1, -1)]
    shown = flashes(
        size,
        frame_rate,
        duration=duration,
        pause=pause,
        contrasts=both,
        repeats=repeats,
        mean=mean,
        deviation=deviation,
    )
    return stamp(shown, "nc.stimuli.contrast_steps", duration=duration, pause=pause)


def chirp(
    size: Size,
    frame_rate: float,
    *,
    pause: float = 2.0,
    step: float = 3.0,
    sweep: float = 8.0,
    frequencies: tuple[float, float] = (0.5, 8.0),
    frequency: float = 2.0,
    diameter: float | None = None,
    center: Center = None,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.DataArray:
    """Show a step to bright and dark, a sweep of the frequency, and a sweep of the contrast.

    The order is that of the chirp of Baden et al. 2016 (Nature 529, 345), about mean light:
    pause, bright step, dark step, pause, sine of rising frequency at full contrast, pause, sine
    of rising contrast at one frequency, pause. The phase of the sweep is the integral of the
    frequency, which rises evenly with time.

    Parameters
    ----------
    size, frame_rate, diameter, center, mean, deviation
        As in `flashes`; `diameter` is one, None lights the whole frame.
    pause, step, sweep
        Seconds of mean light, of each step, and of each sweep.
    frequencies
        First and last of the frequency sweep, in Hz; the last at most half of the frame rate.
    frequency
        Of the contrast sweep, in Hz.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x), with `phase` of each frame: "grey", "bright", "dark",
        "frequency", "contrast".

    Raises
    ------
    InputError
        Where a frequency is above half of the frame rate.

    Examples
    --------
    >>> shown = chirp((1, 1), 50.0)
    >>> shown.sizes["time"] / 50.0, float(shown.max()), float(shown.min())
    (30.0, 1.0, -1.0)
    """
    size, rate = require_size(size), arguments.frame_rate(frame_rate)
    first, last = _both_frequencies(frequencies)
    for name, hertz in (("frequencies", max(first, last)), ("frequency", frequency)):
        if not 0 < arguments.at_least(name, hertz, 0) <= rate / 2:
            raise InputError(
                came=f"{name} up to {hertz:g} Hz at {rate:g} frames per second",
                expected=f"above 0, at most {rate / 2:g} Hz: two frames a period",
                hint=f"{name}={rate / 4:g}"
                if name == "frequency"
                else f"{name}=(0.5, {rate / 4:g})",
            )
    rest, held, long = (
        _frames(name, seconds, rate)
        for name, seconds in (("pause", pause), ("step", step), ("sweep", sweep))
    )
    grey, times = np.zeros(rest), np.arange(long) / rate
    rising = np.sin(2 * np.pi * (first * times + (last - first) * times**2 / (2 * sweep)))
    growing = times / sweep * np.sin(2 * np.pi * frequency * times)
    parts = [(grey, GREY), (np.ones(held), "bright"), (-np.ones(held), "dark"), (grey, GREY)]
    parts += [(rising, "frequency"), (grey, GREY), (growing, "contrast"), (grey, GREY)]
    mask = np.ones(size) if diameter is None else _disc(size, diameter, center)
    contrast = np.concatenate([trace for trace, _ in parts])
    phases = np.concatenate([np.full(len(trace), name) for trace, name in parts])
    light = _light(contrast[:, None, None] * mask, mean, deviation)
    facts = {"frequencies": frequencies, "frequency": frequency, "diameter": diameter}
    made = movie(light, time_coordinate(len(light), rate), "nc.stimuli.chirp", **facts)
    return made.assign_coords({PHASE: (v.TIME, phases)})


def moving_bars(
    size: Size,
    frame_rate: float,
    *,
    directions: int | Sequence[float] = 8,
    speeds: float | Sequence[float] | None = None,
    width: float | None = None,
    length: float | None = None,
    contrasts: float | Sequence[float] = 1.0,
    pause: float = 0.5,
    repeats: int = 1,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.DataArray:
    """Move bars across the frame, from outside to outside, in several directions.

    Parameters
    ----------
    size, frame_rate, pause, repeats, mean, deviation
        As in `flashes`.
    directions
        How many, equally spaced from 0; or which, in degrees counterclockwise from rightwards in
        a picture whose first row is at the top: 90 moves up.
    speeds
        Pixels per second; None crosses the longer side of the frame in one second.
    width, length
        Of the bar along and across its motion, in pixels; None is a fifth of the shorter side,
        and the whole frame.
    contrasts
        Of the bars against mean light.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x). Each frame has the coordinates `trial` (-1 before the first),
        `phase` ("motion" or "grey"), `direction`, `speed` and `contrast` of its presentation.

    Raises
    ------
    InputError
        Where a speed or a width is not positive.

    Examples
    --------
    >>> shown = moving_bars((1, 3), 1.0, directions=[0], speeds=1.0, width=1.0, pause=1.0)
    >>> shown[:, 0].values.round(6).argmax(axis=-1)[2:5].tolist()  # from left to right
    [0, 1, 2]
    """
    size, rate = require_size(size), arguments.frame_rate(frame_rate)
    wide = _side("width", min(size) / 5 if width is None else width)
    sides = (wide, None if length is None else _side("length", length))
    fast = _numbers("speeds", float(max(size)) if speeds is None else speeds, least=0)
    screen = _Screen(size, rate, _frames("pause", pause, rate), mean, deviation)
    angles = _directions(directions)
    ways = [(angle, speed) for speed in fast for angle in angles]
    lit = [_crossing(screen, angle, speed, sides) for angle, speed in ways]
    pieces: list[_Piece] = [
        (contrast * frames, MOTION, {DIRECTION: angle, SPEED: speed, CONTRAST: contrast})
        for _ in range(arguments.whole("repeats", repeats))
        for contrast in _numbers("contrasts", contrasts)
        for (angle, speed), frames in zip(ways, lit, strict=True)
    ]
    facts = {"width": sides[0], "length": length, "pause": pause}
    return _shown(pieces, screen, "nc.stimuli.moving_bars", facts)


def white_noise(
    size: Size,
    frame_rate: float,
    *,
    duration: float,
    box: int = 1,
    contrast: float = 1.0,
    binary: bool = True,
    seed: int = 0,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.DataArray:
    """Show boxes whose light is drawn anew for each frame, independent of all others.

    Parameters
    ----------
    size, frame_rate, mean, deviation
        As in `flashes`.
    duration
        Seconds.
    box
        Side of a box in pixels; boxes at the right and lower edge are cut.
    contrast
        Standard deviation of the contrast.
    binary
        Whether a box is either `contrast` or -`contrast`; else Gaussian.
    seed
        Of the draws.

    Returns
    -------
    xarray.DataArray
        `stimulus` (time, y, x).

    Examples
    --------
    >>> shown = white_noise((4, 4), 100.0, duration=0.5, box=2)
    >>> shown.sizes["time"], sorted({*shown.values.ravel().tolist()})
    (50, [-1.0, 1.0])
    """
    size, rate = require_size(size), arguments.frame_rate(frame_rate)
    count, side = _frames("duration", duration, rate), arguments.whole("box", box)
    random = np.random.default_rng(arguments.whole("seed", seed, 0))
    shape = (count, -(-size[0] // side), -(-size[1] // side))
    if not isinstance(binary, bool):
        raise InputError(came=f"binary={binary!r}", expected="True or False", hint="binary=False")
    drawn = random.choice([-1.0, 1.0], shape) if binary else random.standard_normal(shape)
    frames = drawn.repeat(side, axis=1).repeat(side, axis=2)[:, : size[0], : size[1]]
    light = _light(arguments.at_least("contrast", contrast, 0) * frames, mean, deviation)
    facts = {"box": side, "contrast": contrast, "binary": binary, "seed": seed}
    return movie(light, time_coordinate(count, rate), "nc.stimuli.white_noise", **facts)


def _crossing(
    screen: _Screen, angle: float, speed: float, sides: tuple[float, float | None]
) -> Frames:
    """One bar over the frame (time, y, x), from just outside of it to just outside again."""
    (height, width), turn = screen.size, np.deg2rad(angle)
    reach = (abs(np.cos(turn)) * width + abs(np.sin(turn)) * height + sides[0]) / 2
    count = int(np.ceil(2 * reach / speed * screen.rate)) + 1
    # a bar drifts across its long axis: downwards where it lies (0), right where it stands (90)
    made = bar(
        np.ones(count),
        screen.size,
        width=sides[0],
        length=sides[1],
        orientation=angle + 90,
        position=-reach,
        speed=speed,
        frame_rate=screen.rate,
    )
    return made.values.astype(np.float64)


def _shown(
    pieces: Sequence[_Piece], screen: _Screen, function: str, facts: dict[str, Any]
) -> xr.DataArray:
    """One presentation after the other, with mean light before the first and after each."""
    rest, grey = screen.rest, np.zeros((screen.rest, *screen.size))
    counts = [rest, *(n for frames, _, _ in pieces for n in (len(frames), rest))]
    contrast = np.concatenate([grey, *(x for frames, _, _ in pieces for x in (frames, grey))])
    trial = np.repeat([-1, *np.repeat(np.arange(len(pieces)), 2)], counts)
    phase = np.repeat([GREY, *(x for _, name, _ in pieces for x in (name, GREY))], counts)
    light = _light(contrast, screen.mean, screen.deviation)
    made = movie(light, time_coordinate(len(light), screen.rate), function, **facts)
    made = made.assign_coords({TRIAL: (v.TIME, trial), PHASE: (v.TIME, phase)})
    for name in pieces[0][2]:
        values = np.array([*(told[name] for _, _, told in pieces), np.nan])[trial]  # -1: the last
        made = made.assign_coords({name: (v.TIME, values, {"units": PARAMETERS[name]})})
    return made


def _light(contrast: Frames, mean: float, deviation: float) -> Frames:
    finite = "a finite number"
    light: Frames = contrast * arguments.number("deviation", deviation, finite)
    light += arguments.number("mean", mean, finite)
    return light


def _disc(size: Size, diameter: float, center: Center) -> Frames:
    lit = disc([1.0], size, diameter=diameter, center=center, frame_rate=1.0)
    return np.asarray(lit.values[0], dtype=np.float64)


def _frames(name: str, seconds: float, rate: float) -> int:
    """Seconds as a number of frames, at least one."""
    expected, hint = f"seconds, finite and at least {1 / rate:g}: a frame", f"{name}=1.0"
    count = round(arguments.number(name, seconds, expected, hint=hint) * rate)
    if count < 1:
        came = f"{name}={seconds!r}: less than a frame at {rate:g} per second"
        raise InputError(came=came, expected=expected, hint=hint)
    return count


def _side(name: str, value: float) -> float:
    """Length in pixels, above 0."""
    found = arguments.number(name, value, "pixels, above 0", hint=f"{name}=3.0")
    if found <= 0:
        raise InputError(came=f"{name}={value!r}", expected="pixels, above 0", hint=f"{name}=3.0")
    return found


def _both_frequencies(frequencies: Any) -> tuple[float, float]:
    """First and last frequency of a sweep, in Hz, above 0."""
    found = _numbers("frequencies", frequencies, least=0)
    if len(found) != 2:
        raise InputError(
            came=f"frequencies={frequencies!r}",
            expected="the first and the last of the sweep, in Hz",
            hint="frequencies=(0.5, 8.0)",
        )
    return found[0], found[1]


def _directions(directions: int | Sequence[float]) -> list[float]:
    if arguments.is_whole(directions):
        count = arguments.whole("directions", directions)
        return [360 * n / count for n in range(count)]
    found = _numbers("directions", directions)
    if len({angle % 360 for angle in found}) < len(found):
        raise InputError(
            came=f"directions={directions!r}, of which two are the same",
            expected="different ones, in degrees: 360 is 0",
            hint="directions=8",
        )
    return found


def _numbers(name: str, values: float | Sequence[float], least: float | None = None) -> list[float]:
    """One finite number or several, above `least`."""
    try:
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        found = np.empty(0)
    above = "" if least is None else f" above {least:g}"
    if (
        found.ndim != 1
        or not found.size
        or not np.isfinite(found).all()
        or (least is not None and (found <= least).any())
    ):
        raise InputError(came=f"{name}={values!r}", expected=f"one or several numbers{above}")
    return [float(x) for x in found]
