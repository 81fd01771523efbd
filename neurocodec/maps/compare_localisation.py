"""`nc.compare_localisation`: whether maps of modes keep inside of objects better than others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples, bar
from neurocodec.errors import InputError
from neurocodec.kernels.localisation import PARTS, Part
from neurocodec.labels import fingerprint, stamp
from neurocodec.maps.by_label import goals, labels_of, require_outputs, with_label
from neurocodec.maps.channels import TOP, Modes, Weights
from neurocodec.maps.comparison_table import Draws, Scores, require_free, summarise
from neurocodec.maps.controls import as_dictionary, random_sets, weights_of
from neurocodec.maps.localisation import SCORES, map_of, score_arrays
from neurocodec.maps.making import Asked, Making, MapMaker, map_maker
from neurocodec.maps.masks import checked_masks
from neurocodec.modes.decomposition import dictionary_of
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import InputGrad
from neurocodec.nn.attribution.target import Target

OneSign = Literal["excitatory", "inhibitory", "net"]

BYTES: Final = 2**28
"""Of maps that are in memory together."""


def compare_localisation(
    net: Network,
    images: xr.DataArray,
    masks: xr.DataArray,
    layer: str,
    modes: Modes,
    *,
    target: Target | Literal["label"],
    method: Method | None = None,
    weights: Weights = "equal",
    top: int = TOP,
    sign: OneSign = "excitatory",
    of: Part = "absolute",
    draws: int = 20,
    seed: int = 0,
    bootstrap: int = 2000,
    confidence: float = 0.95,
    baseline: ArrayLike | xr.DataArray | Literal["zeros", "mean"] | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Score how well maps of modes keep inside of objects, against other maps of the same images.

    Maps (`nc.contribution_maps`) are made image by image, scored (`nc.localisation`) and dropped.
    The maps are those of

    - ``"modes"``: each mode of the layer (the mean over those that contribute to an image),
    - ``"random sets"``: as many channels as a mode has, with its weights, drawn from the layer,
    - ``"strongest mode"``, ``"strongest random set"``: in each image the one with the largest
      contribution to the target, of all modes and of as many random sets as there are modes,
    - ``"whole layer"``: all channels of the layer, with the same sign,
    - ``"whole network"``: the map of the network itself, input times gradient (or integrated
      gradients, where that is the method), which knows no sign of hidden channels.

    Parameters
    ----------
    net, images, layer, method, weights, top, baseline, batch_size, device, workers
        As for `nc.contribution_maps`.
    masks
        bool (stimulus, y, x), true inside of the object; see `nc.box_masks`, `nc.mosaics`.
    modes
        Fitted modes, or rows of their dictionary (mode, channel).
    target
        One of `nc.targets`; ``"label"`` is the output that the coordinate `label` of each image
        names.
    sign
        Channel-positions whose contribution is positive (``"excitatory"``), negative, or all
        (``"net"``).
    of
        What counts as energy; see `nc.localisation`.
    draws
        Random sets for each mode. Modes whose weights are the same, such as ten channels that
        count 1, share them; of these there are as many sets as modes at least.
    seed
        Of the random sets and of the bootstrap.
    bootstrap
        Draws of images for the intervals; 0 for none.
    confidence
        Of the intervals.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        - `energy_inside`, `localisation`, `pointing` (stimulus, map): scores of each image;
        - `mean_localisation`, ... (map) and `mean_localisation_interval`, ... (map, bound): means
          over images with their bootstrap intervals;
        - `localisation_difference` (map, against) and `localisation_difference_interval`: mean
          over images of the differences of `localisation`, map minus against;
        - `mode_localisation`, `mode_contribution` (stimulus, mode) and, over the images that a
          mode contributes to, `mode_difference` (mode, against) with its interval, not corrected
          for the number of modes, and `n_images` (mode);
        - `mask_area` (stimulus).

        NaN where a map has no energy.

    Raises
    ------
    InputError
        Where masks, modes or options do not fit.

    Examples
    --------
    >>> import neurocodec as nc, torch
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.ReLU(), torch.nn.Flatten())
    >>> module[0].weight.data[:] = 1.0
    >>> net = nc.Network(module, layers={"conv": "0"})
    >>> dims = ("stimulus", "color", "y", "x")
    >>> images = xr.DataArray(np.ones((2, 1, 2, 2), "float32"), dims=dims)
    >>> mask = xr.DataArray([[True, False], [False, False]], dims=("y", "x"))
    >>> mode = xr.DataArray([[1.0, 0.0]], dims=("mode", "channel"))
    >>> found = nc.compare_localisation(
    ...     net, images, mask, "conv", mode, target=nc.targets.Sum(), top=1, progress=False
    ... )
    >>> found.mean_localisation.sel(map="modes").item()
    1.0
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    for what, value, known in (("sign", sign, get_args(OneSign)), ("part of a map", of, PARTS)):
        arguments.one_of(what, value, known)
    draws = arguments.whole("draws", draws, hint="draws=20")
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    net = require_network(net).on(device)
    samples = Samples.of(net, images, stream=True)
    inside = checked_masks(masks, images)
    asked = with_label(images, target)
    images, inside = (x.isel({v.STIMULUS: asked}, missing_dims="ignore") for x in (images, inside))
    rows = _dictionary(modes)
    require_free(images, rows)
    start = None if baseline is None else samples.baseline(baseline)[0].numpy()  # of all images
    own = weights_of(rows, layer, weights, top)
    sets = random_sets(own, draws=draws, seed=seed)
    whole_layer = np.ones((1, *own.shape[1:]))
    drawn = weights_of(sets.rows, layer, "dictionary", top)
    making = Making(method or InputGrad(), sign, baseline=start)
    with map_maker(
        net, samples, layer, target, making, batch_size=arguments.batch_size(batch_size)
    ) as maker:
        require_outputs(labels_of(images, target), maker.session.outputs)
        every = as_dictionary(np.concatenate([own, whole_layer, drawn]))
        wanted = _Wanted(maker, layer, every, len(own), of)
        scores, read = _scored(wanted, images, inside, target, workers, progress=progress)
    images, inside = (x.isel({v.STIMULUS: read}, missing_dims="ignore") for x in (images, inside))
    draw = Draws(bootstrap, confidence, seed)
    found = summarise(scores, sets, images, inside, rows, sign=sign, draws=draw)
    facts = {**net.facts, "layer": layer, "target": target, "of": of}
    facts |= {"data_sha256": samples.sha256}
    facts |= {"masks_sha256": fingerprint(inside.values)}
    facts |= {"baseline": baseline if isinstance(baseline, str | None) else "given"}
    facts |= {"method": method, "weights": weights, "top": top, "sign": sign, "sets": draws}
    return stamp(found, "nc.compare_localisation", **facts, draws=draw)


def _dictionary(modes: Modes) -> xr.DataArray:
    """Rows (mode, ..., channel) of modes; one row may be without `mode`."""
    rows = dictionary_of(modes)
    if isinstance(rows, xr.DataArray) and v.CHANNEL in rows.dims and rows.size:
        return rows if v.MODE in rows.dims else rows.expand_dims(v.MODE)
    sizes = dict(rows.sizes) if isinstance(rows, xr.DataArray) else type(rows).__name__
    raise InputError(
        came=f"modes with dims {sizes}",
        expected="fitted modes, or rows of their dictionary (mode, channel)",
        hint="modes.dictionary.sel(mode=[3, 5])",
    )


@dataclass(frozen=True)
class _Wanted:
    """Which maps of an image are made, and how they are scored."""

    maker: MapMaker
    layer: str
    rows: xr.DataArray  # weights of modes, of the whole layer, of random sets: one pass for all
    modes: int  # how many of them are modes
    of: Part

    def scores(self, images: xr.DataArray, masks: xr.DataArray, target: Target) -> Scores:
        """Scores of all maps of these images."""
        step = max(1, BYTES // _map_bytes(images))
        scores, contribution = [], []
        for first in range(0, self.rows.sizes[v.MODE], step):
            some = self.rows.isel({v.MODE: slice(first, first + step)})
            maps = self.maker.maps(images, Asked(self.layer, None, some, "dictionary"), target)
            scores.append(self._score(maps.transpose(v.STIMULUS, v.MODE, ...), masks))
            contribution.append(maps[v.CONTRIBUTION].transpose(v.STIMULUS, v.MODE).values)
        ends = [self.modes, self.modes + 1]
        modes, layer, sets = np.split(np.concatenate(scores, axis=1), ends, axis=1)
        own, _, drawn = np.split(np.concatenate(contribution, axis=1), ends, axis=1)
        network = self._score(self.maker.of_network().maps(images, Asked(), target), masks)
        return Scores(modes, own, sets, drawn, layer[:, 0], network)

    def _score(self, maps: xr.Dataset, masks: xr.DataArray) -> NDArray[np.float64]:
        found = score_arrays(map_of(maps), masks, self.of)
        return np.stack([found[name] for name in SCORES], axis=-1)


def _map_bytes(images: xr.DataArray) -> int:
    """Bytes of one map of each of these images, as they are summed."""
    return 12 * max(1, images.size)


def _scored(
    wanted: _Wanted,
    images: xr.DataArray,
    masks: xr.DataArray,
    target: Target | Literal["label"],
    workers: int | None,
    *,
    progress: bool,
) -> tuple[Scores, NDArray[np.intp]]:
    """Scores of all images that can be read, in their order, and which these are."""
    found: list[tuple[NDArray[np.intp], Scores]] = []
    asked = goals(images, target)
    plan = [(goal, some) for goal, own in asked for some in _blocks(wanted, images, own)]
    with bar(images.sizes[v.STIMULUS], "localisation", progress=progress) as shown:
        read = _read(wanted.maker.session.net, images, [places for _, places in plan], workers)
        for (goal, group), (some, block) in zip(plan, read, strict=True):
            mask = masks.isel({v.STIMULUS: some}, missing_dims="ignore")
            if len(some):
                found.append((some, wanted.scores(block, mask, goal)))
            shown.update(len(group))
    places = np.concatenate([places for places, _ in found])
    order = np.argsort(places)
    parts = [vars(scores) for _, scores in found]
    joined = {name: np.concatenate([p[name] for p in parts])[order] for name in parts[0]}
    return Scores(**joined), places[order]


def _read(
    net: Network, images: xr.DataArray, groups: list[NDArray[np.intp]], workers: int | None
) -> Iterator[tuple[NDArray[np.intp], xr.DataArray]]:
    """Read groups of images once for all of their maps, without those that are broken."""
    order = np.concatenate(groups)
    samples = Samples.of(net, images.isel({v.STIMULUS: order}), stream=True)
    ends = np.cumsum([0, *map(len, groups)]).tolist()
    with samples.blocks([*pairwise(ends)], workers, net.device) as blocks:
        for places, block in zip(groups, blocks, strict=True):
            some = places[block.kept]
            coords = images.isel({v.STIMULUS: some}).coords
            values = block.values.numpy()[block.kept]
            yield some, xr.DataArray(values, coords, (v.STIMULUS, *samples.dims))


def _blocks(
    wanted: _Wanted, images: xr.DataArray, places: NDArray[np.intp]
) -> Iterator[NDArray[np.intp]]:
    """Places of images in groups whose maps are at most `BYTES` together."""
    one = _map_bytes(images) // images.sizes[v.STIMULUS]
    step = max(1, BYTES // (wanted.rows.sizes[v.MODE] * one))
    for first in range(0, len(places), step):
        yield places[first : first + step]
