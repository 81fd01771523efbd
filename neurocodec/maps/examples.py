"""Which modes are shown as maps, and how many channels stand for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from neurocodec.maps.channels import TOP
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import InputGrad
from neurocodec.nn.maps.through_channels import Decomposed

SHARE: Final = 6
"""They are at most one in so many of the layer."""
COPY: Final = 0.95
"""Modes with a larger cosine are near-copies, of which one is shown."""


def top_channels(count: int) -> int:
    """How many channels stand for a mode: those of largest weight, as in CODEC, at most 10.

    Of a layer with few channels, 10 would be most of them, and all modes would look alike.

    Parameters
    ----------
    count
        Channels of the layer.

    Examples
    --------
    >>> top_channels(512), top_channels(16), top_channels(1)
    (10, 3, 1)
    """
    return min(TOP, -(-count // SHARE))


def largest(row: NDArray[Any], top: int) -> list[int]:
    """Positions of the channels of largest weight, the largest first; none whose weight is 0.

    Parameters
    ----------
    row
        Weights (channel) of a mode.
    top
        How many, at most.

    Examples
    --------
    >>> largest(np.array([0.1, -2.0, 0.0]), 3)
    [1, 0]
    """
    sizes = np.abs(row)
    return [int(i) for i in np.argsort(-sizes, kind="stable")[:top] if sizes[i] > 0]


def distinct(atoms: NDArray[Any], order: Sequence[int] | NDArray[np.intp], count: int) -> list[int]:
    """Take modes in a given order, but none that is like one taken before.

    Modes are alike where they are near-copies, or where the same channels stand for them, as of a
    layer with few channels.

    Parameters
    ----------
    atoms
        Dictionary (mode, channel).
    order
        Positions of modes, those to take first.
    count
        How many, at most.

    Returns
    -------
    list of int
        Places in `order`.

    Examples
    --------
    >>> distinct(np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]]), [1, 0, 2], 2)
    [0, 2]
    """
    norms = np.linalg.norm(atoms, axis=1, keepdims=True)
    unit = np.divide(atoms, norms, out=np.zeros_like(atoms), where=norms > 0)
    top = top_channels(atoms.shape[1])
    taken: list[int] = []
    channels: list[set[int]] = []
    for place, mode in enumerate(order):
        own = {*largest(atoms[mode], top)}
        alike = (unit[[order[i] for i in taken]] @ unit[mode] >= COPY).any()
        if own and own not in channels and not alike:
            taken.append(place)
            channels.append(own)
        if len(taken) == count:
            break
    return taken


def decomposed(method: Method) -> Method:
    """Method that maps are made with: that of the contributions, where it can be.

    Parameters
    ----------
    method
        Of the contributions.

    Examples
    --------
    >>> from neurocodec.nn.attribution.methods import ActGrad, SmoothGrad
    >>> decomposed(ActGrad()), decomposed(SmoothGrad())
    (ActGrad(), InputGrad())
    """
    return method if isinstance(method, get_args(Decomposed)) else InputGrad()
