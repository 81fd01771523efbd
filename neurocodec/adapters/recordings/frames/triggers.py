"""Onsets of frames from trigger pulses, one a frame or one in every few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec.errors import InputError, warn

Missing = Literal["refuse", "skipped", "unseen"]
OFF_STEP: Final = 0.25
"""Share of a step by which an interval may miss a whole number of steps."""

LEVELS: Final = 4
"""Different numbers up to which a long list is a digital trace, and no times."""

Times = NDArray[np.float64]


def unwrapped(values: Any) -> Any:
    """Times of a pynapple object, or of one with units; the index of others is none of times."""
    if type(values).__module__.startswith("pynapple."):
        return values.index.values
    if isinstance(values, xr.DataArray) and values.dtype.kind in "fiu":
        return clock.seconds(values.variable).values  # of other units, where it tells them
    if callable(getattr(values, "rescale", None)):  # of quantities and neo
        return _in_seconds(values.rescale)
    if callable(getattr(values, "to_value", None)) and hasattr(values, "unit"):  # of astropy
        return _in_seconds(values.to_value)
    return values


def _in_seconds(change: Callable[[str], Any]) -> Any:
    try:
        return np.asarray(change("s"))
    except ValueError as error:
        raise InputError(
            came=f"times in units that are none of time: {error}", expected="seconds, or ms"
        ) from error


def as_array(values: Any, what: str, expected: str) -> NDArray[Any]:
    """Times or rows of any kind as an array, NaN where a mask hides them."""
    if type(values).__name__ == "IntervalSet":
        raise InputError(
            came=f"{what} as a pynapple IntervalSet",
            expected=expected,
            hint="intervals.start, where each began at one of the times",
        )
    plain = unwrapped(values)
    try:
        found = np.asanyarray(plain)
    except ValueError as error:
        raise InputError(
            came=f"{what} of lists that have other lengths", expected=expected
        ) from error
    if found.dtype.kind == "m":
        found = found / np.timedelta64(1, "s")
    if found.dtype.kind == "M":
        raise InputError(
            came=f"{what} of dates",
            expected=f"{expected}, since one start for spikes and frames",
            hint="(dates - start) / np.timedelta64(1, 's')",
        )
    if isinstance(found, np.ma.MaskedArray):
        found = np.ma.filled(found.astype(np.float64), np.nan) if found.mask.any() else found
    return np.asarray(found)


def rising(values: Any, what: str) -> Times:
    """Times in seconds from a list, an array or a pynapple `Ts`, which rise."""
    found = as_array(values, what, "times in seconds")
    if found.dtype.kind not in "fiu" or not found.size:
        raise InputError(
            came=f"{what} of {found.dtype} and shape {found.shape}", expected="times in seconds"
        )
    if found.ndim != 1 and max(found.shape) != found.size:
        raise InputError(
            came=f"{what} of shape {found.shape}",
            expected="one time each",
            hint=f"triggers=np.ravel(triggers), trials={len(found)}, where there is a row a trial"
            if what == "triggers"
            else "",
        )
    levels = np.unique(found[np.isfinite(found)])
    if found.size > LEVELS**2 and levels.size <= LEVELS:
        raise InputError(
            came=f"{what} of {found.size} numbers of which only {levels.size} differ, as a digital"
            " trace has",
            expected="times in seconds",
            hint=f"{what}=(1 + np.flatnonzero(np.diff(({what} > {float(levels.mean()):g})"
            ".astype(int)) == 1)) / sample_rate",
        )
    return clock.rising(found, where=what)


@dataclass(frozen=True)
class Of:
    """Trial that triggers are of, in words, and what to type to leave it out."""

    where: str = ""
    without: str = ""


def matched(
    triggers: Times, frames: int, per: int, missing: Missing, of: Of | None = None
) -> Times:
    """Onset of each frame; NaN for a frame that was skipped."""
    of = of or Of()
    wanted = -(-frames // per)
    if len(triggers) != wanted and missing != "refuse":
        triggers = _filled(triggers, wanted, missing, per, of)
    if len(triggers) != wanted:
        raise _refusal(triggers, frames, wanted, per, of)
    if per == 1:
        return triggers
    if wanted < 2:
        raise InputError(
            came=f"one trigger for {frames} frames{of.where}",
            expected="two triggers at least, or a frame rate",
            hint="trials=triggers, frame_rate=60.0",
        )
    lasting = _lasting(triggers, per, of.where)
    own = np.arange(frames)
    return np.asarray(triggers[own // per] + lasting[own // per] * (own % per) / per)


def _lasting(triggers: Times, per: int, where: str) -> Times:
    """How long the frames of each trigger last together: to the next one, but not over a pause."""
    step = clock.usual_step(triggers)
    late = clock.after_gaps(triggers, step, clock.JUMP / per)
    lasting = np.append(np.diff(triggers), step)
    held = late & (lasting[:-1] < (2 - clock.JUMP / per) * step)
    if held.any():
        places = np.flatnonzero(held) + 1
        warn(
            f"triggers {', '.join(map(str, places[:5]))}{where} came late, by fewer frames than"
            " follow one: the last frame before each is taken to be the one that lasted"
        )
    lasting[:-1][late] = step
    return lasting


def _filled(triggers: Times, wanted: int, missing: Missing, per: int, of: Of) -> Times:
    """Put NaN, or a time in between, where an interval is as long as several."""
    if missing == "skipped" and per > 1:
        raise InputError(
            came=f"missing='skipped' with {per} frames a trigger",
            expected="one trigger a frame: of several frames, a trigger tells no single one",
            hint="missing='unseen'",
        )
    steps = np.diff(triggers) / clock.usual_step(triggers)
    whole = np.round(steps)
    places = np.append(0, np.cumsum(whole)).astype(int)
    if (np.abs(steps - whole) > OFF_STEP).any() or places[-1] + 1 != wanted or (whole < 1).any():
        even = bool((whole == 1).all()) and len(triggers) < wanted
        raise InputError(
            came=f"{len(triggers)} triggers{of.where}, whose intervals are {places[-1] + 1} steps"
            f" together, for {wanted}",
            expected="as many steps as there should be triggers, each a whole number",
            hint=of.without or (_shorter(len(triggers) * per) if even else "np.diff(triggers)"),
        )
    filled = np.full(wanted, np.nan)
    filled[places] = triggers
    if missing == "unseen":
        filled = np.interp(np.arange(wanted), places, triggers)
    return filled


def _shorter(frames: int) -> str:
    """What to type where the last triggers are missing, which no interval tells."""
    return f"stimulus[:{frames}], where the last frames had no trigger"


def _refusal(triggers: Times, frames: int, wanted: int, per: int, of: Of) -> InputError:
    steps = np.diff(triggers)
    late = np.flatnonzero(steps > (1 + clock.JUMP) * clock.usual_step(triggers))
    told = f"; late after triggers {late[:5].tolist()}" if late.size else ""
    few = len(triggers) < wanted
    if of.without:
        hint = of.without
    elif few and frames % len(triggers) == 0 and not late.size and per == 1:
        hint = (
            f"frames_per_trigger={frames // len(triggers)}, or trials=triggers, frame_rate=60.0"
            " where each began a trial"
        )
    elif few and not late.size:
        hint = _shorter(len(triggers) * per)
    elif few:
        skipped = "missing='skipped' (never shown), or " if per == 1 else ""
        hint = f"{skipped}missing='unseen' (shown without a trigger)"
    elif len(triggers) % wanted == 0:
        times = len(triggers) // wanted
        hint = f"trials={times}, where all of it was repeated"
        if wanted - 1 not in late:
            hint += f"; triggers[::{times}], where there are {times} pulses a frame"
    else:
        hint = f"triggers[:{wanted}], where the last are not of this stimulus"
    return InputError(
        came=f"{len(triggers)} triggers{of.where} for {frames} frames{told}",
        expected=f"{wanted}, one for every {per} frames" if per > 1 else "one trigger a frame",
        hint=hint,
    )
