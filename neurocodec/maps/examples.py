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
    """How many of a layer's channels stand for a mode: those of largest weight, as in CODEC."""
    # of few channels, 10 would be most, and all modes would look alike
    return min(TOP, -(-count // SHARE))


def largest(row: NDArray[Any], top: int) -> list[int]:
    """Positions of a mode's channels of largest weight, the largest first; none of weight 0."""
    sizes = np.abs(row)
    return [int(i) for i in np.argsort(-sizes, kind="stable")[:top] if sizes[i] > 0]


def distinct(
    atoms: NDArray[Any],  # dictionary (mode, channel)
    order: Sequence[int] | NDArray[np.intp],  # positions of modes, those to take first
    count: int,  # how many, at most
) -> list[int]:
    """Places in `order` of modes none of which is like one before."""
    # alike are near-copies, and modes that the same channels stand for, as of a layer with few
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
    """Method that maps are made with: that of the contributions, where it can be."""
    return method if isinstance(method, get_args(Decomposed)) else InputGrad()
