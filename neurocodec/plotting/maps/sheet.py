"""What figures of maps draw of every image: itself, and its maps beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurocodec.plotting.maps import captions as map_captions
from neurocodec.plotting.maps import panels as map_panels
from neurocodec.plotting.maps.grid import below
from neurocodec.plotting.maps.layout import Maps, Series
from neurocodec.plotting.maps.panels import Look

KIND_TITLES: Final = {"signed": "signed map", "masked": "masked image"}


@dataclass(frozen=True)
class Sheet:
    """What is drawn of every image: itself, and its maps beside it.

    Parameters
    ----------
    pictures
        Images between 0 and 1, (..., color, y, x).
    series
        Maps over the dims of the images.
    look
        How the maps are drawn.
    least
        Difference between a map's sum and its contribution that is rounding.
    """

    pictures: xr.DataArray
    series: Sequence[Series]
    look: Look
    least: float

    @property
    def panels(self) -> int:
        """How many there are of one image, beside itself."""
        return len(self.series) * len(self.look.kinds)

    def titles(self) -> list[str]:
        """What the panels beside an image are."""
        kinds = [KIND_TITLES[k] if self.look.kind == "both" else "" for k in self.look.kinds]
        pairs = itertools.product((one.title for one in self.series), kinds)
        return ["\n".join(text for text in pair if text) for pair in pairs]

    def draw(self, axes: NDArray[Any], place: Mapping[str, int]) -> None:
        """Draw one image and its maps; nothing where there is none.

        Parameters
        ----------
        axes
            One for the image, then `panels` of them.
        place
            Dim -> number of the image.
        """
        picture = self._picture(place)
        known = [picture, *(one.array.isel(place) for one in self.series)]
        if not all(np.isfinite(array.values).all() for array in known):
            map_panels.empty_all(axes)
            return
        if picture.sizes == self.pictures.sizes and any(place.values()):
            map_panels.empty_all(axes[:1])  # one image for all maps, drawn once
        else:
            self.draw_image(axes[0], place)
        self.draw_maps(axes[1:], place)

    def draw_image(self, ax: Axes, place: Mapping[str, int]) -> None:
        """Draw one image, with its target.

        Parameters
        ----------
        ax
            The panel.
        place
            Dim -> number of the image.
        """
        map_panels.draw_image(ax, self._picture(place).values)
        below(ax, map_captions.target_text(_at(self.series[0].maps, place)))

    def draw_maps(self, axes: NDArray[Any], place: Mapping[str, int]) -> None:
        """Draw all maps of one image, with their contributions.

        Parameters
        ----------
        axes
            `panels` of them.
        place
            Dim -> number of the image.
        """
        picture = self._picture(place).values
        for one, part in zip(self.series, axes.reshape(len(self.series), -1), strict=True):
            values = one.array.isel(place).values
            for ax, kind in zip(part, self.look.kinds, strict=True):
                map_panels.draw_map(ax, values, picture, kind, self.look)
            below(part[0], map_captions.value_text(_at(one.maps, place), self.least))

    def _picture(self, place: Mapping[str, int]) -> xr.DataArray:
        return self.pictures.isel({d: n for d, n in place.items() if d in self.pictures.dims})


def _at(maps: Maps, place: Mapping[str, int]) -> Maps:
    return maps.isel({d: n for d, n in place.items() if d in maps.dims})
