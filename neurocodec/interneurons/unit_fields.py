"""Where in the stimulus a hidden unit looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurocodec.engine.samples import Samples
from neurocodec.network import Network
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer

_SAMPLES: Final = 8
"""Samples, spread over the stimulus, over which a unit's squared gradient is summed."""


def field_centers(
    net: Network,
    samples: Samples,
    layers: Mapping[str, Layer],
    units: Sequence[tuple[str, int]],
) -> NDArray[np.float64]:
    """Centre of the receptive field of hidden units: centroid of their squared gradient.

    Parameters
    ----------
    net
        The network.
    samples
        The stimulus, of which a few samples are used.
    layers
        Alias -> layer.
    units
        Alias of the layer and position of the unit in its flattened activation.

    Returns
    -------
    numpy.ndarray
        (unit, 2), y and x in pixels; NaN where a unit is silent on all of these samples.

    Examples
    --------
    >>> import xarray as xr
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.Flatten())
    >>> net = Network(module, {"first": "0"}, history=1)
    >>> movie = xr.DataArray(np.zeros((4, 5, 5)), dims=("time", "y", "x"))
    >>> found = field_centers(net, Samples.of(net, movie), net.layers, [("first", 8)])
    >>> bool((abs(found - [3, 3]) <= 1).all())
    True
    """
    used = {alias: layers[alias] for alias, _ in units}
    x = _spread(samples, net.device)
    with Capture(net.module, used, net.select).attached() as capture, torch.enable_grad():
        x.requires_grad_()
        done = capture.run(x)
        hidden = {a: layer.channels_first(done.hidden[a]).flatten(1) for a, layer in used.items()}
        known = {unit: _centroid(hidden[unit[0]][:, unit[1]], x) for unit in dict.fromkeys(units)}
    return np.array([known[unit] for unit in units], dtype=np.float64).reshape(-1, 2)


def _spread(samples: Samples, device: torch.device) -> Tensor:
    places = np.unique(np.linspace(0, len(samples) - 1, _SAMPLES).astype(int))
    return torch.cat([samples.batch(int(i), int(i) + 1, device).x for i in places])


def _centroid(unit: Tensor, x: Tensor) -> tuple[float, float]:
    (gradient,) = torch.autograd.grad(unit.sum(), x, retain_graph=True)
    power = (gradient.double() ** 2).sum(dim=tuple(range(x.ndim - 2))).cpu().numpy()
    total = power.sum()
    if not total > 0:
        return np.nan, np.nan
    y, x_ = (
        float((power.sum(axis=1 - i) * np.arange(n)).sum() / total)
        for i, n in enumerate(power.shape)
    )
    return y, x_
