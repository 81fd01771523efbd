"""`nc.write_explorer`: a folder in which every mode of a network that sees images can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.images.findings import LEAST, ImageAnalysis
from neurocodec.errors import CaptureError, InputError, unknown_name
from neurocodec.network import Network
from neurocodec.plotting import style
from neurocodec.reports.image_explorer.curves import class_curves, perturbed_by
from neurocodec.reports.image_explorer.held import Held
from neurocodec.reports.image_explorer.layers import BARS, LEVEL, Layer, short
from neurocodec.reports.image_explorer.masks import LayerMaps
from neurocodec.reports.image_explorer.masks import Mapping as Maps
from neurocodec.reports.image_explorer.store import FOLDER, Store
from neurocodec.reports.page import filled
from neurocodec.storage.files import existing_folder

BLOCK: Final = 16
"""Modes in one file."""
IMAGES: Final = 64
"""Images in one file, and read at a time."""
EACH: Final = 6
"""Modes of a layer that are told of an image."""
SMALL: Final = 64
"""Pixels up to which an image is shown pixel by pixel."""
OF_CLASS: Final = 24
"""Modes that are told of a class."""


def write_explorer(
    analysis: ImageAnalysis,
    images: xr.DataArray,
    folder: str | Path,
    *,
    net: Network | None = None,
    maps: int = 3,
    stability: Mapping[str, xr.Dataset] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write a folder to look at every mode, image and class of an analysis in a browser.

    `index.html` opens from a disk, without a server, and loads what is looked at. Images are those
    that modes were not fitted to. First the images that each mode is strongest on are found, then
    maps are made of these alone.

    Parameters
    ----------
    analysis
        As `nc.analyse_images` returns it, with modes.
    images
        The images that it was given.
    folder
        Gets `index.html`, and the folders `data` and `images`.
    net
        The network: its preprocessing is undone in pictures, and maps are made with it.
    maps
        Images of each mode, the strongest first, of which the part that acts through it is shown;
        0 for none. Without `net` there are none.
    stability
        Layer -> what `nc.mode_stability` returns; that of the analysis where None.
    batch_size
        Of maps.
    seed
        Of random images and of chance.
    progress
        Whether to show a bar.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        Where there are no modes or no held-out images, images are missing, or `stability` is of
        another layer.
    StorageError
        Where a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    >>> net = nc.Network(module, {"conv": "1"}, outputs=["cat", "dog"])
    >>> images = xr.DataArray(
    ...     np.random.default_rng(0).random((24, 3, 6, 6), "float32"),
    ...     {"label": ("stimulus", ["cat", "dog"] * 12)}, ("stimulus", "color", "y", "x"),
    ... )
    >>> found = nc.analyse_images(net, images, parts=["modes"], expansion=1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nc.write_explorer(found, images, folder, net=net, progress=False).name
    'index.html'
    """
    count = arguments.whole("maps", maps, 0, hint="maps=0 for none")
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    held = Held.of(analysis)
    stability = analysis.mode_stability if stability is None else stability
    names = _layers(analysis, stability)
    images = _matched(analysis, held, images)
    mapping = Maps(net, analysis.target, count, batch_size) if net is not None and count else None
    writing = _Writing(Store(existing_folder(folder)), analysis, held, images, net, mapping)
    of_layer = (
        Layer.of(analysis, name, held, stability.get(name), seed)
        for name in tqdm(names, desc="explorer", unit="layer", disable=not progress)
    )
    before: Layer | None = None
    for number, (layer, after) in enumerate(pairwise(_and_none(of_layer))):
        if layer is not None:
            writing.layer(number, layer, before, after)
        before = layer
    writing.images()
    writing.classes(names)
    return writing.page(names)


def _layers(analysis: ImageAnalysis, stability: Mapping[str, xr.Dataset]) -> list[str]:
    """Layers with modes of contributions, in the network's order."""
    known = analysis.modes.get(v.CONTRIBUTION, {})
    names = [name for name in analysis.layers if name in known]
    if not names:
        raise InputError(
            came="an analysis without modes",
            expected="modes, which an explorer is of",
            hint="nc.analyse_images(net, images, parts=['modes'])",
        )
    for name in stability:
        if name not in names:
            raise unknown_name("layer of stability", name, names)
    return names


def _matched(analysis: ImageAnalysis, held: Held, images: xr.DataArray) -> xr.DataArray:
    """Held-out images, in the order of the analysis, not yet read."""
    if not isinstance(images, xr.DataArray) or {*images.dims} != {v.STIMULUS, v.COLOR, v.Y, v.X}:
        raise InputError(
            came=f"images over {tuple(map(str, getattr(images, 'dims', ())))}",
            expected="images (stimulus, color, y, x), as the analysis was given them",
            hint="images = nc.images(folder, net)",
        )
    wanted = analysis.tree.coords[v.STIMULUS].values[held.places]
    known = v.STIMULUS in images.coords
    index = images.get_index(v.STIMULUS) if known else range(images.sizes[v.STIMULUS])
    at = {name: place for place, name in enumerate(index)}
    missing = [name for name in wanted.tolist() if name not in at]
    if missing:
        raise InputError(
            came=f"{images.sizes[v.STIMULUS]} images without {len(missing)} of the analysis,"
            f" such as {missing[0]!r}",
            expected="the images that the analysis was given",
        )
    return images.isel({v.STIMULUS: [at[name] for name in wanted.tolist()]})


def _and_none(layers: Iterator[Layer]) -> Iterator[Layer | None]:
    yield from layers
    yield None


@dataclass
class _Writing:
    """An explorer that is being written."""

    store: Store
    analysis: ImageAnalysis
    held: Held
    pictures_of: xr.DataArray  # held-out images, read when they are needed
    net: Network | None
    mapping: Maps | None

    def __post_init__(self) -> None:
        self.used = np.zeros(len(self.held), dtype=bool)
        self.of_images: list[dict[str, Any]] = []
        self.of_classes: list[list[list[Any]]] = [[] for _ in self.held.classes]
        self.above = [0 for _ in self.held.classes]
        self.mapped = self.mapping is not None
        self.why = ""
        self.stable = False
        self.perturbed = perturbed_by(self.analysis.perturbation)

    def layer(self, number: int, layer: Layer, before: Layer | None, after: Layer | None) -> None:
        """Write a layer: its atlas, and the pages of its modes."""
        self.used[np.unique(layer.top[layer.top >= 0])] = True
        beside = {"before": before, "after": after}
        linked = {key: layer.linked(other) for key, other in beside.items() if other is not None}
        self.stable |= bool(np.isfinite(layer.stability).any())
        self.store.script(f"layer-{number}", layer.told())
        with self._hooked(layer) as maker:
            for start in range(0, len(layer.names), BLOCK):
                modes = range(start, min(start + BLOCK, len(layer.names)))
                told = [
                    layer.one(m, linked)
                    | {"masks": self._masks(maker, layer, m), "ablated": self._ablated(layer, m)}
                    for m in modes
                ]
                self.store.script(f"modes-{number}-{start // BLOCK}", told)
        self._gather(number, layer)

    def _hooked(self, layer: Layer) -> Any:
        """A layer that is hooked for maps; nothing where there are none."""
        if self.mapping is None or not self.mapped:
            return nullcontext()
        return self.mapping.of_layer(layer, self.pictures_of.isel({v.STIMULUS: slice(1)}).load())

    def _masks(self, maker: LayerMaps | None, layer: Layer, mode: int) -> list[str]:
        places = [i for i in layer.top[mode, 0].tolist() if i >= 0]
        if maker is None or not places or not self.mapped or self.mapping is None:
            return []
        images = self.pictures_of.isel({v.STIMULUS: places[: self.mapping.count]}).load()
        try:
            return maker.masks(mode, images)
        except (InputError, CaptureError) as error:  # all else is still worth having
            self.mapped, self.why = False, error.came
            return []

    def _ablated(self, layer: Layer, mode: int) -> list[int]:
        """Classes that were perturbed by the channels of a mode."""
        names = self.perturbed.get((layer.name, layer.names[mode]), [])
        return [self.held.classes.index(name) for name in names if name in self.held.classes]

    def _gather(self, number: int, layer: Layer) -> None:
        """Keep what pages of images and classes tell of the layer."""
        made = layer.contributions
        order = np.argsort(-made, axis=1, kind="stable")[:, :EACH]
        left = layer.excitation - made.sum(axis=1)
        self.of_images.append(
            {
                "order": order,
                "made": np.take_along_axis(made, order, axis=1),
                "sums": np.stack([layer.excitation, layer.inhibition, left], axis=1),
            }
        )
        for c, rows in enumerate(self.of_classes):
            r = np.nan_to_num(layer.r[:, c], nan=-1.0)
            self.above[c] += int((r > layer.chance[:, c]).sum())
            best = np.argsort(-r, kind="stable")[:OF_CLASS]
            told = [
                [number, int(m), short(r[m]), short(layer.chance[m, c])] for m in best if r[m] > 0
            ]
            self.of_classes[c] = sorted([*rows, *told], key=lambda row: -row[2])[:OF_CLASS]

    def images(self) -> None:
        """Write small pictures of the images that are shown, and what is told of each."""
        preprocessing = None if self.net is None else self.net.preprocessing
        for start in range(0, len(self.held), IMAGES):
            places = np.arange(start, min(start + IMAGES, len(self.held)))
            shown = places[self.used[places]]
            if len(shown):
                some = self.pictures_of.isel({v.STIMULUS: shown}).load()
                made = pictures(some, preprocessing).values
                for place, picture in zip(shown.tolist(), made, strict=True):
                    self.store.picture(place, np.concatenate([picture] * (3 // len(picture))))
            told = [self._image(int(i)) if self.used[i] else None for i in places]
            self.store.script(f"images-{start // IMAGES}", told)

    def _image(self, i: int) -> dict[str, Any]:
        held = self.held
        layers = []
        for one in self.of_images:
            pairs = zip(one["order"][i].tolist(), one["made"][i], strict=True)
            modes = [[m, short(x)] for m, x in pairs if x > 0]
            layers.append([[short(x) for x in one["sums"][i]], modes])
        known = {"name": held.names[i], "label": int(held.class_of[i]), "answer": held.answer[i]}
        return {**known, "target": short(held.target[i]), "layers": layers}

    def classes(self, names: Sequence[str]) -> None:
        """Write what is told of each class."""
        for c, rows in enumerate(self.of_classes):
            members = np.flatnonzero((self.held.class_of == c) & self.used)[:OF_CLASS]
            curves = class_curves(self.analysis.perturbation, self.held.classes[c], names)
            told = {
                "modes": rows,
                "above": self.above[c],
                "images": members.tolist(),
                "curves": curves,
            }
            self.store.script(f"class-{c}", told)

    def page(self, names: Sequence[str]) -> Path:
        """Write the page itself, which has what all views need."""
        modes = self.analysis.modes[v.CONTRIBUTION]
        units = str(self.analysis.tree[v.TARGET].attrs.get("units", ""))
        data = {
            "model": self.analysis.model,
            "images": len(self.held),
            "all": int(self.analysis.held.size),
            "classes": self.held.classes,
            "sizes": self.held.sizes.tolist(),
            "least": LEAST,
            "level": LEVEL,
            "bars": BARS,
            "block": BLOCK,
            "perFile": IMAGES,
            "folder": FOLDER,
            "stability": self.stable,
            "small": max(self.pictures_of.sizes[d] for d in (v.Y, v.X)) <= SMALL,
            "units": "" if units == v.DIMENSIONLESS else units,
            "maps": self._words_of_maps(),
            "layers": [
                {
                    "name": name,
                    "modes": [str(m) for m in modes[name].dictionary[v.MODE].values],
                    "r2": short(modes[name].r2),
                    "channels": int(modes[name].dictionary.sizes[v.CHANNEL]),
                }
                for name in names
            ],
        }
        title = f"Modes of {self.analysis.model}"
        return self.store.page(
            filled("image_explorer.html.j2", data=data, title=title, style=style)
        )

    def _words_of_maps(self) -> str:
        """How maps were made, or why there are none."""
        if self.mapping is not None and self.mapped:
            return ""
        if self.why:
            return f"Without maps: {self.why}."
        return "Without maps, which were not asked for."
