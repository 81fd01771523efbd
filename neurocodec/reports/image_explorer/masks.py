"""Which part of its strongest images acts through each mode of a layer: the second stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples
from neurocodec.kernels import map_pictures
from neurocodec.maps.examples import top_channels
from neurocodec.maps.making import Asked, Making, MapMaker, map_maker
from neurocodec.network import Network
from neurocodec.nn.attribution.methods import InputGrad
from neurocodec.nn.attribution.target import Target
from neurocodec.reports.image_explorer.layers import Layer
from neurocodec.reports.image_explorer.store import mask_address

QUANTILE: Final = 0.99
CONTRAST: Final = 0.7


@dataclass(frozen=True)
class Mapping:
    """What maps are made with, and of how many images of each mode."""

    net: Network
    target: Target
    count: int  # of the strongest images of a mode
    batch_size: int | None = None

    @contextmanager
    def of_layer(self, layer: Layer, images: xr.DataArray) -> Iterator[LayerMaps]:
        """Hook a layer once for all of its modes; `images` are a few that show how it runs."""
        samples = Samples.of(self.net, images)
        making = Making(InputGrad(), sign=v.EXCITATORY)
        with map_maker(
            self.net, samples, layer.name, self.target, making, batch_size=self.batch_size
        ) as maker:
            yield LayerMaps(self, layer, maker)


@dataclass(frozen=True)
class LayerMaps:
    """A layer that is hooked."""

    mapping: Mapping
    layer: Layer
    maker: MapMaker

    def masks(self, mode: int, images: xr.DataArray) -> list[str]:
        """Masks of the strongest images of a mode, on one scale, as addresses."""
        rows = self.layer.modes.dictionary.isel({v.MODE: [mode]})
        top = top_channels(rows.sizes[v.CHANNEL])
        asked = Asked(self.layer.name, modes=rows, top=top)
        maps = self.maker.maps(images, asked, self.mapping.target)
        values: Any = maps[v.CONTRIBUTION_MAP].isel({v.MODE: 0})
        values = values.transpose(v.STIMULUS, v.COLOR, v.Y, v.X).values
        size = max(3, 2 * round(min(values.shape[-2:]) / 90) + 1)
        sizes = map_pictures.size_picture(values, size)
        limit = float(np.quantile(sizes, QUANTILE)) or float(sizes.max())
        masks = map_pictures.mask(
            values, size=size, quantile=QUANTILE, contrast=CONTRAST, limit=limit
        )
        return [mask_address(one) for one in masks]
