"""Pictures that others shall be like: their size, colours, spectrum and range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.samples import CPU, Samples
from neurocodec.errors import InputError
from neurocodec.network import Network
from neurocodec.nn.synthesis.natural import Natural

LEAST: Final = 16
"""Pictures that a spectrum takes."""
MOST: Final = 64
"""Pictures that are looked at, at equal distances."""


@dataclass(frozen=True)
class Like:
    """Some pictures as a network takes them, what they have in common, and their labels."""

    samples: Samples
    batch: Tensor  # (sample, ...), as the network takes it
    dims: tuple[str, ...]  # of one sample

    @property
    def axes(self) -> tuple[str, ...]:
        """Dims of a picture behind its colours."""
        return tuple(d for d in self.dims if d != v.COLOR)

    @cached_property
    def natural(self) -> Natural:
        """What the pictures have in common."""
        return Natural.of(self.pictures(self.batch))

    def pictures(self, samples: Tensor) -> Tensor:
        """Samples (sample, dims...) as pictures (picture, color, axes...)."""
        if v.COLOR not in self.dims:
            return samples.unsqueeze(1)
        return samples.movedim(1 + self.dims.index(v.COLOR), 1)

    def samples_of(self, pictures: Tensor) -> Tensor:
        """Pictures as the network takes them."""
        if v.COLOR not in self.dims:
            return pictures.squeeze(1)
        return pictures.movedim(1, 1 + self.dims.index(v.COLOR))

    def coords(self, net: Network) -> dict[str, Any]:
        """Coordinates of one picture."""
        known: dict[str, Any] = {
            d: c for d, c in self.samples.pixels.items() if set(c.dims) <= {*self.dims}
        }
        if v.LAG in self.dims:
            known[v.LAG] = self.samples.lags(self.samples.history or 1, net.frame_rate)
        return known


def like(net: Network, given: xr.DataArray | None) -> Like:
    """Check pictures that are given, or make some of two photographs of scikit-learn."""
    stimulus = _photographs(net) if given is None else given
    samples = Samples.of(net, stimulus, stream=True)
    if not {v.Y, v.X} <= {*samples.dims}:
        raise InputError(
            came=f"samples with the dims {samples.dims}",
            expected="images (color, y, x) or frames (y, x): what has no places has no picture",
        )
    if len(samples) < LEAST:
        raise InputError(
            came=f"like= of {len(samples)} {'windows' if net.history else 'images'}",
            expected=f"at least {LEAST}, whose spectrum pictures take",
            hint="like=None" if net.preprocessing is not None else "",
        )
    places = np.unique(np.linspace(0, len(samples) - 1, min(MOST, len(samples))).astype(int))
    batch = torch.cat([samples.batch(int(i), int(i) + 1, CPU).x for i in places])
    dims = samples.dims if net.history is None else (v.LAG, *samples.dims)
    found = Like(samples, batch, dims)
    if not bool(found.natural.amplitude.isfinite().all()):
        raise InputError(
            came=f"like= with values of {float(batch.abs().max()):.1e}: their squares are infinite",
            expected="pictures as the network takes them",
        )
    if found.natural.low.equal(found.natural.high):
        raise InputError(
            came=f"like= of {len(samples)} samples that are all one colour",
            expected="pictures that vary: others have no spectrum",
            hint="like=None" if net.preprocessing is not None else "",
        )
    return found


def _photographs(net: Network) -> xr.DataArray:
    """Crops of two photographs that come with scikit-learn, as the network takes images."""
    if net.preprocessing is None or net.history is not None:
        raise InputError(
            came=f"like=None for {net.name!r}, which has no preprocessing of images",
            expected="some images or a movie as the network takes them",
            hint="like=stimulus",
        )
    draw = np.random.default_rng(0)
    crops = []
    for photograph in load_sample_images().images:
        image = Image.fromarray(photograph)
        for _ in range(LEAST // 2):
            side = int(draw.uniform(0.5, 1) * min(image.size))
            left, top = (int(draw.integers(0, n - side + 1)) for n in image.size)
            crop = image.crop((left, top, left + side, top + side))
            crops.append(np.asarray(net.preprocessing(crop)))
    return xr.DataArray(np.stack(crops), dims=(v.STIMULUS, v.COLOR, v.Y, v.X))
