"""Some of the samples of a movie: the windows that end at chosen times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError
from neurocodec.fields.plan import positions_of
from neurocodec.network import Network
from neurocodec.nn.fast.movie import windows


def samples_at(net: Network, stimulus: xr.DataArray, times: Any) -> Samples:
    """Samples of a stimulus; of a movie those at chosen times.

    Parameters
    ----------
    net
        The network.
    stimulus
        Movie (time, y, x) or images (stimulus, ...); images that are stored stay there.
    times
        As `nc.receptive_fields` takes them, numbers of frames where these have no labels; None for
        all samples.

    Raises
    ------
    InputError
        Where there is no response at a time, or times are given for images.

    Examples
    --------
    >>> net = Network(torch.nn.Flatten(), [], history=2)
    >>> movie = xr.DataArray(np.zeros((5, 3, 3), "float32"), dims=("time", "y", "x"))
    >>> len(samples_at(net, movie, None)), len(samples_at(net, movie, [1, 4]))
    (4, 2)
    """
    if times is None:
        return Samples.of(net, stimulus, stream=True)
    if net.history is None:
        raise InputError(
            came=f"times= for {net.name!r}, a network of still images",
            expected="images that are chosen before",
            hint="images.isel(stimulus=[0, 1])",
        )
    whole = Samples.of(net, stimulus)
    places = positions_of(whole, times)
    coords = {name: c.isel({v.TIME: places}) for name, c in whole.coords.items()}
    # frames without labels are told apart by their numbers, as they were chosen
    coords.setdefault(v.TIME, xr.Variable(v.TIME, places + net.history - 1))
    if (np.diff(places) == 1).all():
        frames = whole.values[places[0] : places[-1] + net.history]
        return replace(whole, values=frames, coords=coords)
    chosen = windows(whole.values, net.history)[torch.from_numpy(places)]
    return replace(whole, values=chosen, coords=coords, history=None, dims=(v.LAG, *whole.dims))
