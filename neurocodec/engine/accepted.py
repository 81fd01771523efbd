"""Which stimuli a network accepts: their dims, shape and type, before anything is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.network import CARRIED, Network
from neurocodec.nn.video.windowed import Windowed

IMAGE_DIMS = (v.COLOR, v.Y, v.X)


def checked_dims(net: Network, stimulus: xr.DataArray) -> tuple[str, ...]:
    """Dims in the network's order, the sample dim first; refuses a stimulus, and reads nothing."""
    dim = net.sample_dim
    if not isinstance(stimulus, xr.DataArray) or dim not in stimulus.dims:
        raise _other_kind(net, stimulus)
    rest = [str(d) for d in stimulus.dims if d != dim]
    if set(rest) <= set(IMAGE_DIMS):
        rest = [d for d in IMAGE_DIMS if d in rest]
    _check_shape(net, stimulus, tuple(stimulus.sizes[d] for d in rest))
    if stimulus.dtype.kind not in "fiub" or not stimulus.size:
        raise InputError(
            came=f"a stimulus of {stimulus.dtype} with {dict(stimulus.sizes)}",
            expected="real numbers, at least one sample",
        )
    return (dim, *rest)


def _other_kind(net: Network, stimulus: Any) -> InputError:
    """Error for no array, for a movie given to a network of images, and the other way round."""
    dims = tuple(map(str, getattr(stimulus, "dims", ())))
    if net.history is not None:
        kind, hint = "a movie with dims ('time', 'y', 'x')", "stimulus.rename(old_name='time')"
        if not dims:
            wanted = ("time", "color", "y", "x") if np.ndim(stimulus) == 4 else ("time", "y", "x")
            hint = f"xr.DataArray(values, dims={wanted})"
    elif v.TIME in dims:
        kind = "images with 'stimulus': without history= a network sees no movie"
        hint = "nc.Network(module, layers, history=40), the frames that it sees at once"
    else:
        kind = "images with 'stimulus'"
        hint = "xr.DataArray(values, dims=('stimulus', 'color', 'y', 'x'))"
    return InputError(
        came=f"a stimulus with dims {dims or type(stimulus).__name__}",
        expected=f"{kind}, as {net.name!r} takes them",
        hint=hint,
    )


def _check_shape(net: Network, stimulus: xr.DataArray, shape: tuple[int, ...]) -> None:
    if net.input_shape is not None and shape != net.input_shape:
        raise InputError(
            came=f"a stimulus of {dict(stimulus.sizes)}",
            expected=f"samples of shape {net.input_shape}, as {net.name!r} takes them",
        )
    if net.history is None:
        return
    given = {*map(str, stimulus.dims)} - {v.TIME}
    if given != {v.Y, v.X} and not (given == {*IMAGE_DIMS} and _takes_color(net)):
        colors = " and 'color'" if _takes_color(net) else ""
        raise InputError(
            came=f"a movie with dims {tuple(map(str, stimulus.dims))}",
            expected=f"dims ('time', 'y', 'x'){colors}",
            hint=_of_other_dims(net, [*map(str, stimulus.dims)]),
        )
    if stimulus.sizes[v.TIME] < net.history:
        raise InputError(
            came=f"a movie of {stimulus.sizes[v.TIME]} frames",
            expected=f"at least {net.history}, the history that {net.name!r} sees",
        )


def _of_other_dims(net: Network, given: list[str]) -> str:
    """What to type where a movie has other dims than its time and pixels."""
    if v.COLOR in given and not _takes_color(net):
        return (
            "movie.isel(color=0), or movie.mean('color'); nc.Network(module, layers, input="
            "'(sample, color, time, y, x)', output='(sample, time, cell)', ...) for a module that"
            " takes colours"
        )
    odd = [d for d in given if d not in (v.TIME, *IMAGE_DIMS)]
    missing = [d for d in (v.Y, v.X) if d not in given]
    if odd and not missing and _takes_color(net):
        missing = [v.COLOR]
    if len(odd) != len(missing):
        return ""
    told = ", ".join(f"{one}={other!r}" for one, other in zip(odd, missing, strict=True))
    return f"movie.rename({told})" if all(x.isidentifier() for x in odd) else ""


def _takes_color(net: Network) -> bool:
    """Whether the words of a video network speak of colour."""
    return isinstance(net.module, Windowed) and v.COLOR in net.module.arrangement.input


def require_windows(net: Network) -> None:
    """Refuse a network whose state is carried over the movie, where windows are wanted."""
    if net.state == CARRIED:
        raise InputError(
            came=f"{net.name!r} with state={net.state!r}, where an answer depends on all frames"
            " before it",
            expected="windows that start anew, for whatever looks at what an answer depends on",
            hint="dataclasses.replace(net, state='reset'), with a history that is long enough",
        )


def require_one_step_a_frame(net: Network) -> None:
    """Refuse to carry a state through a network whose steps do not follow the frames."""
    answer = net.answering
    if answer is None or not answer.each:
        raise InputError(
            came=f"state={net.state!r} of {net.name!r}, whose steps do not follow the frames: they"
            " depend on all of them, or there are fewer",
            expected="one output step for each frame, that depends on no more than it has seen",
            hint="dataclasses.replace(net, state='reset')",
        )
