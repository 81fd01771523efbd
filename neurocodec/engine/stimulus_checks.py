"""What is refused before a stimulus is read: dims, shapes, frame rates that do not fit."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.network import Network

IMAGE_DIMS = (v.COLOR, v.Y, v.X)


def checked_dims(net: Network, stimulus: xr.DataArray) -> tuple[str, ...]:
    """Check dims, shape and frame rate of a stimulus against a network; read nothing of it.

    Parameters
    ----------
    net
        The network.
    stimulus
        Movie (time, y, x) or images (stimulus, ...).

    Returns
    -------
    tuple of str
        Its dims in the order in which the network takes them, the sample dim first.

    Raises
    ------
    InputError
        Wrong dims, shape, type or frame rate, or a movie shorter than the history.
    """
    dim = net.sample_dim
    if not isinstance(stimulus, xr.DataArray) or dim not in stimulus.dims:
        kind = "a movie with dims ('time', 'y', 'x')" if net.history else "images with 'stimulus'"
        found = getattr(stimulus, "dims", type(stimulus).__name__)
        raise InputError(
            came=f"a stimulus with dims {found}",
            expected=f"{kind}, as {net.name!r} takes them",
            hint="xr.DataArray(values, dims=('time', 'y', 'x'))",
        )
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


def _check_shape(net: Network, stimulus: xr.DataArray, shape: tuple[int, ...]) -> None:
    if net.input_shape is not None and shape != net.input_shape:
        raise InputError(
            came=f"a stimulus of {dict(stimulus.sizes)}",
            expected=f"samples of shape {net.input_shape}, as {net.name!r} takes them",
        )
    if net.history is None:
        return
    if stimulus.ndim != 3:
        raise InputError(
            came=f"a movie with dims {tuple(map(str, stimulus.dims))}",
            expected="dims ('time', 'y', 'x')",
        )
    if stimulus.sizes[v.TIME] < net.history:
        raise InputError(
            came=f"a movie of {stimulus.sizes[v.TIME]} frames",
            expected=f"at least {net.history}, the history that {net.name!r} sees",
        )
    _check_rate(net, stimulus)


def _check_rate(net: Network, stimulus: xr.DataArray) -> None:
    if net.frame_rate is None or v.TIME not in stimulus.coords or stimulus.sizes[v.TIME] < 2:
        return
    steps = np.diff(stimulus[v.TIME].values)
    if not np.allclose(steps, 1 / net.frame_rate, rtol=1e-3):
        raise InputError(
            came=f"a movie with frames {steps.min():.6g} to {steps.max():.6g} s apart",
            expected=f"{net.frame_rate:g} frames per second, as {net.name!r} takes them",
            hint=f"nc.stimuli.resample(recording, {net.frame_rate:g})",
        )
