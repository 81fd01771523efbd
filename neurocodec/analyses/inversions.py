"""Pictures of tense images: what excites a channel in them, what inhibits it, and its atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.attribution.contributions import contributions
from neurocodec.attribution.ranking import rank_stimuli
from neurocodec.attribution.tension import LINE
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import opened
from neurocodec.errors import InputError, collected
from neurocodec.labels import labelled
from neurocodec.network import Network
from neurocodec.nn.attribution.features import Feature, Features, Position
from neurocodec.nn.attribution.method import Method
from neurocodec.synthesis.atlas import attribution_atlas, tensest
from neurocodec.synthesis.invert import invert
from neurocodec.synthesis.like import LEAST
from neurocodec.synthesis.visualise import visualise

STEPS: Final = 64
"""Of every ascent."""
INVERSION: Final = "inversion"
ACCENTUATION: Final = "accentuation"
VISUALISATION: Final = "visualisation"
IMAGES: Final = "images"
IN_ATLAS: Final = 10_000
"""Images of an atlas, at most."""
GRID: Final = 20
"""Places along a side of an atlas, at most."""
IN_PLACE: Final = 25
"""Images of a place, in the mean over all: with fewer images an atlas has fewer places."""
THUMB: Final = 64
"""Pixels along the longer side of an image of an atlas."""
BLOCK: Final = 64
"""Images that are made smaller at once."""


@dataclass(frozen=True)
class Ascents:
    """Which pictures are made of which network."""

    net: Network
    stimulus: xr.DataArray
    layer: str
    read: str  # alias of what the channels are of
    position: Position
    method: Method | None
    settings: Mapping[str, Any]  # batch_size, workers, progress

    def of_channel(self, found: xr.Dataset, channel: int, count: int) -> xr.DataTree:
        """The tensest images of a channel, inverted and accentuated, and what it looks for."""
        target = Features(self.read, channels=(channel,), position=self.position)
        own = found.sel({v.FEATURE: [channel]})
        with collected():  # fewer than asked for are fewer rows
            ranked = rank_stimuli(own, "tension", count=count)[0]
        places = np.asarray(ranked)[np.asarray(ranked[v.RANK_SCORE]) > 0]
        options: dict[str, Any] = {"target": target, "like": self.stimulus, "steps": STEPS}
        options["progress"] = self.settings["progress"]
        with collected():  # the page says which are not confirmed
            nodes = {VISUALISATION: visualise(self.net, **options)}
            if len(places):
                nodes |= self._of_images(places, options)
                told = own.isel({v.STIMULUS: places})[[v.EXCITATION, v.INHIBITION, v.TARGET]]
                nodes[IMAGES] = nodes[IMAGES].assign(told)
        alone = {f"/{n}": x.squeeze(v.FEATURE, drop=True) for n, x in nodes.items()}
        return xr.DataTree.from_dict(alone)

    def _of_images(self, places: NDArray[np.intp], options: dict[str, Any]) -> dict[str, Any]:
        """Pictures of some images, and the images as people see them."""
        chosen = self.stimulus.isel({v.STIMULUS: places}).load()
        call = {"target": options["target"], "method": self.method or LINE, "reduce": "none"}
        tree = contributions(self.net, chosen, layers=[self.layer], **call, **self.settings)
        attribution = tree[self.layer].to_dataset()[v.CONTRIBUTION]
        shown = pictures(chosen, self.net.preprocessing).drop_vars([v.Y, v.X], errors="ignore")
        shown = shown.expand_dims({v.FEATURE: 1})
        return {
            INVERSION: invert(self.net, self.layer, attribution, **options),
            ACCENTUATION: invert(self.net, self.layer, attribution, start=chosen, **options),
            IMAGES: shown.to_dataset(name="picture"),
        }

    def atlas(self, channel: int, folder: Path | None) -> xr.DataTree:
        """Atlas of a channel, of as many places as the images fill."""
        count = min(IN_ATLAS, self.stimulus.sizes[v.STIMULUS])
        vector = np.zeros(self._channels())
        vector[channel] = 1
        with collected():
            return attribution_atlas(
                self.net,
                self.stimulus,
                self.layer,
                target=Feature(self.read, tuple(vector.tolist()), self.position),
                method=self.method,
                count=max(count, 4),
                grid=int(np.clip(np.sqrt(count / IN_PLACE), 1, GRID)),
                like=self.stimulus,
                steps=STEPS,
                workers=self.settings["workers"],
                progress=self.settings["progress"],
                out=folder,
            )

    def _channels(self) -> int:
        """How many channels there are to choose from."""
        few = Samples.of(self.net, self.stimulus, stream=True).few(self.net.device)
        with opened(self.net, self.net.select_layers([self.read]), few) as session:
            layer, done = session.capture.layers[self.read], session.traced.done
            return int(layer.channels_first(done.hidden[self.read]).shape[1])

    def thumbnails(self, atlas: xr.DataTree) -> xr.DataArray:
        """Images that the page of an atlas shows, small: 0 to 255."""
        shown = sorted({int(i) for some in tensest(atlas) for i in some})
        own, labels = self.stimulus.get_index(v.STIMULUS), atlas.coords[v.STIMULUS].values[shown]
        known = v.STIMULUS in self.stimulus.coords and own.is_unique
        places = own.get_indexer(labels.tolist()) if known else labels
        small = []
        for first in range(0, len(places), BLOCK):
            some = self.stimulus.isel({v.STIMULUS: places[first : first + BLOCK]}).load()
            made = pictures(some, self.net.preprocessing).transpose(v.STIMULUS, v.Y, v.X, v.COLOR)
            small += [_small(one) for one in np.asarray(made)]
        dims = (v.STIMULUS, v.Y, v.X, v.COLOR)
        return labelled(np.stack(small), dims, {v.STIMULUS: labels}, name="picture")


def _small(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    values = np.rint(picture * 255).astype(np.uint8)
    one = Image.fromarray(values if values.shape[2] == 3 else values[..., 0])
    one.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    return np.atleast_3d(np.asarray(one))


def require_images(stimulus: xr.DataArray, count: int, inversions: int, *, atlas: bool) -> None:
    """Refuse more images than there are, and too few to make pictures like them."""
    have, most = stimulus.sizes.get(v.STIMULUS, 0), max(count, inversions)
    if have and most > have:
        name = "count" if most == count else "inversions"
        raise InputError(
            came=f"{name}={most} of {have} images",
            expected="no more than there are",
            hint=f"{name}={have}",
        )
    if atlas and not stimulus.get_index(v.STIMULUS).is_unique:
        raise InputError(
            came="images of which two have one name",
            expected="a name of its own for each: an atlas finds images by theirs",
            hint="stimulus.drop_vars('stimulus')",
        )
    if (inversions or atlas) and have < LEAST:
        raise InputError(
            came=f"pictures made like {have} images",
            expected=f"at least {LEAST}, whose spectrum they take",
        )
