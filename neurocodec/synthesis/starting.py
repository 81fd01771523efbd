"""What pictures set out from: noise, or images that are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.samples import CPU, Samples
from neurocodec.errors import InputError
from neurocodec.synthesis.making import Studio


def started(
    place: Studio, start: xr.DataArray | str, draws: int
) -> tuple[Tensor | None, dict[str, Any]]:
    """Pictures that are set out from, None for noise; and their dim with its labels."""
    if isinstance(start, str):
        if start != "noise":
            raise InputError(
                came=f"start={start!r}", expected="'noise' or images", hint="start='noise'"
            )
        return None, {v.DRAW: np.arange(draws)}
    samples = Samples.of(place.net, start)
    shape = place.like.samples.window_shape
    if samples.window_shape != shape:
        raise InputError(
            came=f"start= with samples of shape {samples.window_shape}",
            expected=f"the shape of like=, {shape}",
        )
    batch = torch.cat([samples.batch(i, i + 1, CPU).x for i in range(len(samples))])
    known = samples.coords.get(samples.dim)
    labels = np.arange(len(samples)) if known is None else known.values
    return place.like.pictures(batch), {samples.dim: labels}
