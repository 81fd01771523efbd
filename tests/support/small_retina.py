"""A retina model and a recording that are small enough to analyse within a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial

import numpy as np
import pytest
import torch
import xarray as xr

from neurocodec.analyses.options import MOMENTS
from neurocodec.analyses.retina import analyse
from neurocodec.analyses.retina.analyse import analyse_retina
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.labels import labelled, time_coordinate
from neurocodec.modes.sparse import SparseModes
from neurocodec.network import Network
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.zoo import retina_network

CELLS = ["simulated 1", "simulated 2", "simulated 3", "simulated 4"]
TYPES = ["ON", "OFF", "ON", "OFF"]
HISTORY = 4


def small_network(name: str = "simulated-small", cells: list[str] | None = None) -> Network:
    """An untrained retina model of two layers of two channels, always with the same weights."""
    names = CELLS if cells is None else cells
    config = RetinaConfig(
        cells=len(names), history=HISTORY, size=(9, 9), channels=(2, 2), kernels=(3, 3)
    )
    module = RetinaCNN(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return retina_network(module, name=name, outputs=names, frame_rate=100.0)


def small_recording(frames: int = 300) -> xr.Dataset:
    """A movie of smooth noise, firing rates and types of the cells of `small_network`."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(frames, 9, 9)).astype(np.float32)
    movie = np.stack([steps[max(0, i - 5) : i + 1].mean(axis=0) for i in range(frames)])
    times = {"time": time_coordinate(frames, 100.0)}
    rate = rng.gamma(1.0, 10.0, size=(frames, len(CELLS))).astype(np.float32)
    stimulus = labelled(movie, ("time", "y", "x"), times, name="stimulus", comment="simulated")
    cells = {"cell": CELLS, "cell_type": ("cell", TYPES)}
    rates = labelled(rate, ("time", "cell"), {**times, **cells}, name="firing_rate")
    data = xr.Dataset({"stimulus": stimulus, "firing_rate": rates}, attrs={"simulated": 1})
    return data.assign_coords(cell_type=("cell", np.array(TYPES)), cell=np.array(CELLS))


EPOCHS = 10
"""Of the modes in tests of what is made of them, which is most of the time of an analysis."""


@contextmanager
def few_epochs() -> Iterator[None]:
    """Analyse retinas with modes that are fitted once, for a short time, and few fields."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyse, "SparseModes", partial(SparseModes, epochs=EPOCHS))
        for name, value in (("mode_seeds", 0), ("moments", 8)):
            patch.setitem(analyse_retina.__kwdefaults__, name, value)
        yield


@cache
def small_analysis() -> RetinaAnalysis:
    """The whole analysis of the two, computed once."""
    quick = {"expansion": 2, "mode_seeds": 2, "moments": MOMENTS, "progress": False}
    with few_epochs():
        return analyse_retina(small_network(), small_recording(), **quick)
