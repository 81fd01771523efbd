"""What channels and cells look for: the movie that each answers most to."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.errors import collected
from neurocodec.network import Network
from neurocodec.nn.attribution.features import Features
from neurocodec.nn.attribution.targets import Output
from neurocodec.synthesis.visualise import visualise

STEPS: Final = 64
"""Of every ascent."""
CHANNELS: Final = 8
"""Of the first layer, at most."""
CELLS_SHOWN: Final = 4
"""At equal distances in the order of the model."""
OF_CHANNELS: Final = "channels"
OF_CELLS: Final = "cells"


def picture_movies(
    net: Network, stimulus: xr.DataArray, rates: xr.DataArray, tree: xr.DataTree, **where: Any
) -> xr.DataTree:
    """Most exciting movies (..., lag, y, x) of the first layer's channels and of some cells."""
    (first, node), names = next(iter(tree.children.items())), rates[v.CELL].values
    few = np.unique(np.linspace(0, len(names) - 1, CELLS_SHOWN).astype(int))
    wanted = tuple(range(min(CHANNELS, node.sizes[v.CHANNEL])))
    asked = {"like": stimulus, "steps": STEPS, **where}
    with collected():  # the page says which are not confirmed
        at_first = visualise(net, Features(first, channels=wanted, position="center"), **asked)
        cells = [visualise(net, Output(names[i].item()), **asked) for i in few]
    shown = xr.concat(cells, v.CELL, combine_attrs="override", join="exact")
    shown = shown.assign_coords({v.CELL: names[few]})
    nodes = {OF_CHANNELS: at_first, OF_CELLS: shown}
    return xr.DataTree.from_dict({n: x.isel({v.DRAW: 0}, drop=True) for n, x in nodes.items()})
